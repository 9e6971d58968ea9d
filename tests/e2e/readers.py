"""Readers of the formats that keybearer writes: what another program makes of the bytes. Those that are no library are
written after the readers' own rules."""
import configparser
import json
import os
import re
import subprocess
import tempfile
import tomllib

import yaml


def systemd(content):
    """EnvironmentFile=, as systemd's parse_env_file_internal reads it; what it drops is missing."""
    state, key, value, found = "pre-key", "", "", {}

    def push():
        # env_value_is_valid: UTF-8 (here: text that could be decoded) without noncharacters.
        invalid = any(0xFDD0 <= ord(c) <= 0xFDEF or ord(c) & 0xFFFE == 0xFFFE for c in value)
        if not invalid and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key.rstrip(" \t")):
            found[key.rstrip(" \t")] = value
    text, at = content.decode("utf-8") + "\n", 0
    while at < len(text):
        stop = {"'": "'\"", '"': "'\"", "value": "\n\r"}.get(state)
        if stop and (run := re.compile(rf"[^{stop}\\]+").match(text, at)):  # a shortcut
            value, at = value + run[0], run.end()
            continue
        c, at = text[at], at + 1
        newline = c in "\n\r"
        if state == "pre-key":
            if c in "#;":
                state = "comment"
            elif c not in " \t\n\r":
                state, key, value = "key", c, ""
        elif state == "key":
            if newline:
                state = "pre-key"
            elif c == "=":
                state = "pre-value"
            else:
                key += c
        elif state == "pre-value":
            if newline:
                push()
                state = "pre-key"
            elif c in "'\"":
                state = c
            elif c == "\\":
                state = "escape"
            elif c not in " \t":
                state, value = "value", value + c
        elif state == "value":
            if newline:
                value = value.rstrip(" \t\n\r")
                push()
                state = "pre-key"
            elif c == "\\":
                state = "escape"
            else:
                value += c
        elif state == "escape":
            state, value = "value", value + ("" if newline else c)
        elif state == "'":
            state, value = ("pre-value", value) if c == "'" else (state, value + c)
        elif state == '"':
            if c == '"':
                state = "pre-value"
            elif c == "\\":
                state = '"escape'
            else:
                value += c
        elif state == '"escape':
            state = '"'
            value += c if c in '"\\`$' else "" if c == "\n" else "\\" + c
        elif state == "comment" and newline:
            state = "pre-key"
    return {name: text.encode() for name, text in found.items()}


def docker(content):
    """--env-file, as docker's kvfile reads it with Go's bufio.Scanner."""
    found = {}
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        assert len(line) < 65536, "bufio.Scanner: token too long"
        line = line.removesuffix(b"\r").lstrip(b" \t")
        line.decode("utf-8")
        if not line or line.startswith(b"#"):
            continue
        name, equals, value = line.partition(b"=")
        assert equals and name and not re.search(rb"\s", name)
        found[name.decode()] = value
    return found


def shell(content, names):
    """A POSIX shell's ".": the values of `names`; fails when another variable appears."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "file")
        with open(path, "wb") as file:
            file.write(content)
        forget = "".join(f"unset {name}; " for name in names)
        show = "".join(f'printf "%s" "${{{name}-}}"; printf "\\001\\002END\\002\\001"; ' for name in names)
        script = f'{forget}set >"$1.before"; . "$1"; {show}{forget}set >"$1.after"'
        done = subprocess.run(["/bin/sh", "-euc", script, "sh", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, timeout=20)
        assert done.returncode == 0 and done.stderr == b"", done.stderr
        with open(path + ".before", "rb") as before, open(path + ".after", "rb") as after:
            assert after.read() == before.read(), "another variable"
    return dict(zip(names, done.stdout.split(b"\1\2END\2\1")))


def ini(content):
    """From a file, whose lines end at CR as well; read_string() knows LF alone."""
    parser = configparser.ConfigParser()
    parser.optionxform = str
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        assert parser.read(file.name, encoding="utf-8") == [file.name]
    return {section: {key: parser.get(section, key).encode() for key in parser[section]} for section in parser.sections()}


def _bytes(tree):
    if isinstance(tree, dict):
        return {key: _bytes(value) for key, value in tree.items()}
    # A lone surrogate would be no text.
    return tree.encode("utf-8") if isinstance(tree, str) else tree


def json_(content):
    def unique(pairs):
        assert len(dict(pairs)) == len(pairs), "a key that comes twice"
        return dict(pairs)
    return _bytes(json.loads(content.decode("utf-8"), object_pairs_hook=unique))


def yaml_(content):
    # libyaml for what would take PyYAML's own reader minutes.
    return _bytes(yaml.load(content.decode("utf-8"), yaml.CSafeLoader if len(content) > 100000 else yaml.SafeLoader))


def toml(content):
    return _bytes(tomllib.loads(content.decode("utf-8")))


def java_properties(content, encoding="latin-1"):
    """java.util.Properties.load(InputStream): ISO 8859-1; load(Reader): the reader's encoding."""
    found = {}
    text = content.decode(encoding)
    lines, logical = re.split(r"\r\n|\r|\n", text), None
    for line in lines:
        line = line.lstrip(" \t\f")
        if logical is None and (not line or line[0] in "#!"):
            continue
        logical = line if logical is None else logical + line
        if (len(logical) - len(logical.rstrip("\\"))) % 2:
            logical = logical[:-1]
            continue
        at = 0
        while at < len(logical) and logical[at] not in "=: \t\f":
            at += 2 if logical[at] == "\\" else 1
        key, rest = logical[:at], logical[at:].lstrip(" \t\f")
        value = rest[1:].lstrip(" \t\f") if rest[:1] in ("=", ":") else rest
        name = _java(key)
        assert name not in found, "a key that comes twice"
        found[name] = _java(value).encode("utf-16", "surrogatepass").decode("utf-16").encode()
        logical = None
    return found


def _java(text):
    def one(match):
        escape = match[1]
        return chr(int(escape[1:], 16)) if escape[0] == "u" else {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}.get(escape, escape)
    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", one, text, flags=re.S)


def nginx(content):
    """The tokens of each directive, with the variables of `geo $NAME { default "VALUE"; }` put in."""
    directives, words, variables, at = [], [], {}, 0
    text = content.decode("utf-8")
    while at < len(text):
        c = text[at]
        if c in " \t\r\n":
            at += 1
        elif c == "#":
            at = (text + "\n").index("\n", at)
        elif c in ";{}":
            if words:
                directives.append(words)
            words, at = [], at + 1
        elif c in "\"'":
            word, at = "", at + 1
            while text[at] != c:
                if text[at] == "\\" and text[at + 1] in "\"'\\":
                    at += 1
                elif text[at] == "\\" and text[at + 1] in "trn":
                    at += 1
                    word, at = word + {"t": "\t", "r": "\r", "n": "\n"}[text[at]], at + 1
                    continue
                word, at = word + text[at], at + 1
            at += 1
            assert text[at] in " \t\r\n;{", "a quote must be followed by a blank or an end"
            words.append(("quoted", word))
        else:
            end = re.compile(r"[\s;{]").search(text, at).start()
            words.append(("plain", text[at:end]))
            at = end
    for words in directives:
        if words[0] == ("plain", "default"):
            variables[directives[directives.index(words) - 1][1][1][1:]] = words[1][1]
    def put_in(word):
        def value(match):
            return variables[match[1] or match[2]]  # nginx refuses one it does not know
        return re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, word)
    return [[put_in(word) if words[0][1] != "geo" else word for _, word in words] for words in directives]


def pgbouncer(content):
    """auth_file: "name" "password" per line, a quote doubled; the file ends at a NUL."""
    found, text, at = {}, content.split(b"\0")[0].decode("utf-8"), 0
    for match in re.finditer(r'"((?:[^"]|"")*)"[ \t]+"((?:[^"]|"")*)"[^\n]*\n', text):
        assert match.start() == at and max(map(len, match.groups())) < 2048, "broken auth file"
        found[match[1].replace('""', '"')] = match[2].replace('""', '"')
        at = match.end()
    assert at == len(text), "broken auth file"
    return found
