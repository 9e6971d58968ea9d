#!/usr/bin/env python3
"""Project rules that a compiler does not check. Prints "file:line: rule: why" for each violation and ends with
"N passed, M failed" (one per rule); exit code 1 when a rule is violated. Standard library only.

    tests/lint/lint.py [ROOT]
"""

import re
import sys
from pathlib import Path

# A file includes only its own layer and those to its left; siblings meet in agent/ (src/README.md).
LAYERS = {
    "base": set(),
    "guard": set(),
    "process": {"base"},
    "crypto": {"base"},
    "json": {"base"},
    "config": {"base", "json"},
}
FLOOR = {"base", "process", "crypto", "json", "config"}
for part in ("http", "tmpl", "delivery"):
    LAYERS[part] = FLOOR
LAYERS["vault"] = FLOOR | {"http", "tmpl"}
LAYERS["lease"] = LAYERS["vault"] | {"vault"}
for part in ("auth", "secrets", "render", "child", "serve", "state"):
    LAYERS[part] = LAYERS["lease"] | {"lease", "delivery"}
LAYERS["agent"] = LAYERS["auth"] | {"auth", "secrets", "render", "child", "serve", "state"}
LAYERS["cli"] = LAYERS["agent"] | {"agent"}
LAYERS["main"] = LAYERS["cli"] | {"cli"}
LAYERS["devvault"] = FLOOR | {"http"}

# One third-party library per corner: where it is replaced, one corner changes.
CORNERS = [
    (r"boost/beast", r"src/http/"),
    (r"openssl/(evp|hmac|sha|rand)\.h", r"src/(crypto|http|tmpl|devvault)/"),  # digests, not connections
    (r"openssl/(crypto|dsa|err|pem|x509v3)\.h", r"src/(crypto|http|tmpl)/"),  # certificates, not connections
    (r"openssl/", r"src/http/"),
    (r"rapidjson/", r"src/json/"),
    (r"toml\+\+/", r"src/(config|devvault)/"),
    (r"CLI/", r"src/cli/"),
    (r"re2/", r"src/tmpl/funcs/regex"),
    (r"(fmt|spdlog)/.*", r".*\.cpp$|tests/"),  # heavy: not in headers
]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
MOST_LINES = 450
METHODS = r'"(approle|kubernetes|jwt|oidc|userpass|ldap|azure|token_file)"'


class Source:
    def __init__(self, root, path):
        self.name = path.relative_to(root).as_posix()
        self.lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        self.is_cpp = path.suffix in (".cpp", ".hpp")
        parts = self.name.split("/")
        self.in_src = parts[0] == "src"
        # "src/main.cpp" is the layer main, "src/http/client.cpp" the layer http.
        self.layer = (parts[1].split(".")[0] if self.in_src else None)

    def includes(self):
        for number, line in enumerate(self.lines, 1):
            if found := INCLUDE.match(line):
                yield number, found[1], found[2]

    def code(self):
        """Lines without comments; text in quotes stays."""
        for number, line in enumerate(self.lines, 1):
            yield number, re.sub(r"(^|[^:\"])//.*", r"\1", line)


def layers(source):
    if not source.in_src or not source.is_cpp:
        return
    allowed = LAYERS.get(source.layer)
    if allowed is None:
        yield 1, f"{source.layer}: a layer that the rule does not know"
        return
    for number, quote, name in source.includes():
        other = name.split("/")[0].split(".")[0]
        if quote == '"' and other != source.layer and other not in allowed:
            yield number, f"{source.layer} may not include {name}"


def third_party(source):
    if not source.is_cpp:
        return
    for number, _, name in source.includes():
        for library, home in CORNERS:
            if re.match(library, name):
                if not re.match(home, source.name) and source.in_src:
                    yield number, f"{name} belongs to {home}"
                break


def own_header_first(source):
    if not source.in_src or not source.name.endswith(".cpp"):
        return
    own = source.name[len("src/"):-len("cpp")] + "hpp"
    included = [(number, name) for number, _, name in source.includes()]
    if own in (name for _, name in included) and included[0][1] != own:
        yield included[0][0], f"{own} comes first, so that it is known to stand alone"


def pragma_once(source):
    if source.name.endswith(".hpp") and source.lines[0] != "#pragma once":
        yield 1, "a header begins with #pragma once"


def words(*patterns, where=lambda source: source.is_cpp):
    """A rule that forbids what matches in code."""
    compiled = [(re.compile(pattern), why) for pattern, why in patterns]

    def rule(source):
        if not where(source):
            return
        for number, line in source.code():
            for pattern, why in compiled:
                if pattern.search(line):
                    yield number, why
    return rule


def capturing_coroutine(source):
    """The captures live in the lambda, not in the coroutine's frame: gone after the first suspension."""
    if not source.is_cpp:
        return
    text = "\n".join(line for _, line in source.code())
    for found in re.finditer(r"\[([^\[\]\n]+)\]\s*\([^()]*(?:\([^()]*\)[^()]*)*\)\s*(?:mutable\s*)?->\s*([\w:]*)awaitable<", text):
        yield text.count("\n", 0, found.start()) + 1, "a coroutine that is a lambda takes parameters, no captures"


def length(source):
    if source.name.endswith("_tables.hpp"):  # made by a program
        return
    if source.is_cpp and not source.name.startswith("src/tmpl/go/") and len(source.lines) > MOST_LINES + 1:
        yield len(source.lines), f"more than {MOST_LINES} lines"


MOST_FUNCTION_LINES = 75


def function_size(source):
    """From a line that begins a definition to the closing brace in the first column."""
    if not source.in_src or not source.name.endswith(".cpp") or source.name.startswith("src/tmpl/go/"):
        return
    start = None
    for number, line in enumerate(source.lines, 1):
        if line == "}" and start:
            if number - start > MOST_FUNCTION_LINES:
                yield start, f"a function of {number - start} lines; at most {MOST_FUNCTION_LINES}"
            start = None
        elif re.match(r"[\w:].*\($|[\w:].*\w\(.*[,({;)]$|[\w:].* \{$", line) and not re.match(r"(struct|class|enum|union|namespace|constexpr|using)\b", line):
            start = start or number
        elif line in ("};", ")\";", "") and not line.startswith(" "):
            start = start if line == "" else None


def unfinished(source):
    for number, line in enumerate(source.lines, 1):
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            yield number, "do it or drop it"


def machine_paths(source):
    for number, line in enumerate(source.lines, 1):
        if re.search(r"(?<![\w./-])/(work|home/[a-z]+|root)/", line):
            yield number, "an absolute path of one machine"


def auth_methods(source):
    """Only a method's own file (and the configuration) knows its name."""
    if not source.in_src or not source.is_cpp or re.match(r"src/(auth/method_|config/|devvault/)", source.name):
        return
    for number, line in source.code():
        if found := re.search(METHODS, line):
            yield number, f"{found[1]} is known to its own file auth/method_*.cpp"


# Ids of src/RULES.md that no test can cite yet, because what they ask for is not built.
NOT_BUILT = {"P9"}


def rules_are_cited(sources):
    """Every id of src/RULES.md is cited by a test."""
    page = next((s for s in sources if s.name == "src/RULES.md"), None)
    if page is None:
        yield "src/RULES.md", 1, "is not there"
        return
    cited = set()
    for source in sources:
        if re.match(r"tests/(unit|e2e|faults|contract|field)/", source.name):
            cited |= set(re.findall(r"\b[TSRP]\d{1,2}\b", "\n".join(source.lines)))
    for number, line in enumerate(page.lines, 1):
        if (found := re.match(r"([TSRP]\d+)\.", line)) and found[1] not in cited | NOT_BUILT:
            yield page.name, number, f"no test cites {found[1]}"


# Whose code is ported, by a word that stands in what is ported from it: the notice in packaging/licenses/.
NOTICES = {
    r"\bGo's\b": "go", r"Masterminds|\bsprig\b": "sprig", r"goutils|\bsprig_(?:abbrev|initials|wrap)": "goutils", r"\bsemver\b": "semver",
    r"xstrings|sprig_(?:snakecase|camelcase)": "xstrings", r"\bmergo\b": "mergo", r"copystructure|sprig_deepCopy": "copystructure",
    r"shopspring|sprig_(?:addf|mulf)": "decimal", r"spf13|\bcast\b": "cast", r"sprig_uuidv4": "uuid", r"BurntSushi": "go-toml",
    r"go-spew": "go-spew", r"yaml\.v2": "go-yaml", r"\bUnicode \d+\.\d+": "unicode", r"\bre2/": "re2", r"\brapidjson/": "rapidjson",
    r"consul-template": "consul-template", r"sockaddr": "go-sockaddr",
    r"\byaml\.h\b|LibYAML": "libyaml", r"toml\+\+/": "tomlplusplus", r"openssl/": "openssl", r"\bboost/": "boost", r"\bfmt/": "fmt",
}


def notices_are_complete(sources):
    """The licence of everything that is in the binary, whole or in part."""
    licenses = {Path(s.name).stem: s for s in sources if s.name.startswith("packaging/licenses/")}
    for pattern, name in NOTICES.items():
        user = next(((s, n) for s in sources if s.in_src and s.is_cpp for n, line in enumerate(s.lines, 1) if re.search(pattern, line)), None)
        if user and (name not in licenses or not re.search("(?i)permission|redistribution|license", "\n".join(licenses[name].lines))):
            yield user[0].name, user[1], f"packaging/licenses/{name}.txt is not there"


# The field's words (left: ours of earlier days, which must not come back).
VOCABULARY = {
    "take_leave": "revoke_and_notify", "hand_over": "apply_to_child", "told_by": "use_command", "stood_in": "using_defaults",
    "stand_in": "use_defaults", "reap_strangers": "reap_orphans", "signal_rest": "signal_escaped", "tree_gone": "tree_exited", "poke": "wakeup",
    "minted": "issued_token", "given_up": "start_failed", "name_space": "vault_namespace", "RegisterLogin": "AuthMethodRegistration",
    "HookResult": "CommandResult", "run_hook": "run_command", "hang_up": "on_sighup", "obey_signals": "handle_signals",
    "mark_applied": "confirm_applied", "kGather": "kStartupCoalesce", "refuse_twins": "reject_duplicate_names", "wanted_by": "required_by",
    "json_complaint": "go_json_error", "raise_and_finish": "notify_and_drain",
}


# Words of texts, comments and names alike, in every file of ours.
WORDS = {"folder": "directory", "folders": "directories", "anew": "again", "House": "Fixture"}


def vocabulary(source):
    if source.is_cpp:
        for number, line in source.code():
            for word in re.findall(r"\w+", re.sub(r'"[^"]*"', '""', line)):
                if word in VOCABULARY:
                    yield number, f"{word}: the field says {VOCABULARY[word]}"
    for number, line in enumerate(source.lines, 1):
        for word in re.findall(r"[A-Za-z]+", line):
            if word in WORDS:
                yield number, f"{word}: the field says {WORDS[word]}"


RULES = {
    "layers": layers,
    "third-party": third_party,
    "own-header-first": own_header_first,
    "pragma-once": pragma_once,
    "no-detached": words((r"asio::detached|[(,]\s*detached\b", "drops exceptions; use TaskGroup")),
    "no-std-regex": words((r"\bstd::w?regex\b|<regex>", "overflows the stack; use RE2")),
    "no-lambda-captures-in-coroutines": capturing_coroutine,
    "no-iostream": words((r"<iostream>|std::(cout|cerr|clog)\b", "depends on the locale; use fmt or log"),
                         where=lambda s: s.in_src and s.is_cpp),
    "no-sleeping": words((r"\b(usleep|nanosleep|sleep)\(|this_thread::sleep", "wait for an event, or until a time of Clock"),
                         where=lambda s: s.in_src and s.is_cpp),
    "no-unfinished": unfinished,
    "file-length": length,
    "function-size": function_size,
    "no-machine-paths": machine_paths,
    "auth-methods": auth_methods,
    "vocabulary": vocabulary,
}


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    if root.is_file():
        root = root.parents[2]
    kinds = {".cpp", ".hpp", ".py", ".sh", ".txt", ".cmake", ".toml", ".md", ".json", ".example", ""}
    paths = [path for directory in ("src", "tests", "packaging", "templates") for path in sorted((root / directory).rglob("*"))]
    paths += sorted(root.glob("*"))
    sources = [Source(root, path) for path in paths
               if path.is_file() and path.suffix in kinds and path != Path(__file__).resolve()
               and not {".git", "vectors", "corpus", "__pycache__", "build"} & set(path.relative_to(root).parts)
               and b"\0" not in path.open("rb").read(4096)]
    if not any(source.in_src for source in sources):
        print(f"{root}: no src directory here\n0 passed, 1 failed")
        return 1
    failed = set()
    for name, rule in RULES.items():
        for source in sources:
            for number, why in rule(source):
                print(f"{source.name}:{number}: {name}: {why}")
                failed.add(name)
    for name, number, why in rules_are_cited(sources):
        print(f"{name}:{number}: rules-are-cited: {why}")
        failed.add("rules-are-cited")
    for name, number, why in notices_are_complete(sources):
        print(f"{name}:{number}: notices-are-complete: {why}")
        failed.add("notices-are-complete")
    print(f"{len(RULES) + 2 - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
