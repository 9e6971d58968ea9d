"""The ready templates, each with awkward values, and what the reader of its format makes of them. No server: --values."""
import json
import os
import re
import subprocess
import urllib.parse

import pytest

import readers
from harness import EX_NOT_READY, EX_TEMPLATE
from harness.agent import PROGRAM

TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "templates")
LINE = "it's \"q\" #h ;s $HOME ${x} $(id) `id` %p %(a)s %% back\\slash\\n \\ a=b:c {x} [y] <&> 한국어 😀 é end"
LINES = LINE + "\nsecond = line\n\n# third\n[section]\n\ttab\r\nend"
ENDS = " blanks at both ends "
KV = {"api_key": LINE, "multi-line": LINES, "ends": ENDS, "empty": "", "dotted.name": "x", "number": 8443, "yes": True}


def render(name, values, config=None, tmp_path=None):
    """Exit code, stdout, stderr."""
    flags = []
    if config:
        (tmp_path / "agent.toml").write_text(config)
        flags = ["-c", str(tmp_path / "agent.toml")]
    done = subprocess.run([PROGRAM, "render", *flags, "--values", "-", os.path.join(TEMPLATES, name)], timeout=20,
                          input=json.dumps(values, ensure_ascii=False).encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout, done.stderr.decode()


def made(name, values, **more):
    code, out, err = render(name, values, **more)
    assert (code, err) == (0, ""), err
    return out


def as_text(value):
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def test_every_template_is_told_of_and_tested():
    with open(os.path.join(TEMPLATES, "README.md"), encoding="utf-8") as file:
        readme = file.read()
    with open(__file__, encoding="utf-8") as file:
        tests = file.read()
    names = set(os.listdir(TEMPLATES)) - {"README.md"}
    assert len(names) == 12 and all(f"[{name}]({name})" in readme and f'"{name}"' in tests for name in names)


TEXTS = [LINE, LINES, ENDS, "", "a", "p\nadmin = true", "p\radmin = true", "x\r\n[evil]\r\nk = v", "x\r\r[evil]\rk = v",
         "x\r\nEvil: yes", "1\nLD_PRELOAD=/tmp/x.so", "$(touch /tmp/pwn)", "`id`", "${HOME}", "$HOME", "~", "~root", "end\n", "\nbegin",
         "\n", "\t", " x", "end ", "tab\tin", "a\0b", "\x01\x0b\x0c\x1b\x1c\x1d\x1e\x1f", "a\x0bb = c", "a\x1cb", "del\x7f",
         "nel\x85k = v", "\x85end\x85", "c1\x80\x9f", "ls\u2028k = v", "ps\u2029", "bom\ufeff", "\ufffe", "\uffff", "\ufdd0",
         "\U0001ffff", "\u00a0nbsp", "wide\u3000", "한국어 비밀번호", "😀", "'", '"', '"" "x', "\\", "\\n", "end\\", '\\"', "%", "%(a)s",
         "%s", "#", "; x", "a #b", "=", ":", "==", "!", "<<", "{{ x }}", "}}", '{{ fail "x" }}', "yes", "null", "~null", "1e5", "0x10",
         "1_000", "12:30:45", "2020-01-01", "- a", "? a", "&a", "*a", "|", "---", "...", "<no value>", "<nil>", "[a]", "'''", '"""',
         "md5" + 32 * "0", "SCRAM-SHA-256$4096:x", 100000 * "x", 1000 * "$", 50000 * "한"]
OTHERS = [7, -1, 1.5, 1e20, True, False, None, ["a", "b\nc"], [None], {"a": "b\nc\x7f"}, {"a": {"b": None}}, [], {}]
CONTROL = r"[\x00-\x1f\x7f-\x9f\u2028\u2029]"
NO_CHARACTER = r"[\ufdd0-\ufdef\ufffe\uffff\U0001ffff]"


def scalar(value):
    return isinstance(value, (str, int, float))


def text(value):
    return scalar(value) and not isinstance(value, bool)


def has_null(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return value is None or any(map(has_null, inner))


def app(value):
    return {"kv/data/app": {"data": {"api_key": value}}}


def database(value):
    return {"database/creds/app": {"username": "u", "password": value}, **app("x")}


def env_value(name, out):
    value = readers.systemd(out)[name]
    assert readers.systemd(out) == readers.shell(out, [name]) == {name: value}
    return value


def url_password(out):
    parts = urllib.parse.urlsplit(env_value("DATABASE_URL", out).decode())
    assert (parts.username, parts.hostname, parts.port, parts.path, parts.query) == ("u", "localhost", 5432, "/app", "")
    return urllib.parse.unquote(parts.password).encode()


def ini_password(out):
    found = readers.ini(out)
    password = found["database"].pop("password")
    assert found == {"app": {"api_key": b"x"}, "database": {"username": b"u"}}
    return password


def java_password(out):
    both = [readers.java_properties(out, encoding) for encoding in ("latin-1", "utf-8")]
    assert both[0] == both[1] and len(both[0]) == 3
    return both[0]["spring.datasource.password"]


def header(out):
    _, default, *headers = readers.nginx(out)
    assert (default, len(headers), headers[0][:2]) == (["default", "$"], 1, ["proxy_set_header", "X-Api-Key"])
    # A longer word stops nginx; an empty header it leaves out; blanks the other side cuts off.
    value = headers[0][2]
    assert max(map(len, out.split(b"\n"))) < 4096 and value and value.strip(" \t") == value
    return value.encode()


def user_password(out):
    found = readers.pgbouncer(out)
    assert list(found) == ["u"]
    return found["u"].encode()


# What is asked for, what its reader makes of it, which values are refused, and where the error says that it is.
FIELDS = {
    "app.env": (app, lambda out: env_value("API_KEY", out),
                lambda v: not scalar(v) or re.search("\0|" + NO_CHARACTER, str(v)), "$value"),
    "database-url.env": (database, url_password, lambda v: not text(v) or v == "" or "\0" in str(v), ".Data.password"),
    "optional.env": (lambda v: {"kv/data/feature": {"data": {"limit": v}}}, lambda out: env_value("FEATURE_LIMIT", out),
                     lambda v: not text(v) or not re.fullmatch("-?[0-9]+", str(v)), ".Data.data.limit"),
    "config.ini": (database, ini_password,
                   lambda v: not scalar(v) or re.search(CONTROL, str(v)) or str(v) != str(v).strip(), ".Data.password"),
    "application.properties": (database, java_password, lambda v: not text(v) or "${" in str(v) or re.search(
        r"[^\t\n\f\r\x20-\x7e\x80-\uffff]", str(v)), ".Data.password"),
    "nginx-upstream.conf": (app, header, lambda v: not text(v) or re.search(CONTROL + "|^$|^ | $", str(v)) or len(
        str(v).encode()) + 8 * str(v).count("$") > 4000, ".Data.data.api_key"),
    "userlist.txt": (lambda v: {"database/static-creds/app": {"username": "u", "password": v}}, user_password,
                     lambda v: not text(v) or re.search(CONTROL + "|^md5|^SCRAM", str(v)) or len(str(v).encode()) > 2000,
                     ".Data.password"),
    "app.json": (app, readers.json_, lambda v: False, ""),
    "app.yaml": (app, readers.yaml_, lambda v: v == 1e20 or re.search("[\x80-\x84\x86-\x9f\ufffe\uffff]", str(v)), "$value"),
    "app.toml": (app, readers.toml, has_null, ""),
    "directory.json": (lambda v: {"kv/data/team/web": {"data": {"a": v}}}, readers.json_, lambda v: False, ""),
}
TREES = {"app.json": lambda v: {"settings": {"api_key": v}, "api_key": v}, "app.yaml": lambda v: {"app": {"api_key": v}},
         "app.toml": lambda v: {"app": {"api_key": v}}, "directory.json": lambda v: {"web": {"a": v}}}


def as_bytes(tree):
    if isinstance(tree, dict):
        return {key: as_bytes(value) for key, value in tree.items()}
    return tree.encode() if isinstance(tree, str) else tree


def refusal(name, values, reason=""):
    """The error; no value is in it. A null counts as a key that is not there (R5), which may come: 75."""
    code, out, err = render(name, values)
    first = err.split("\n")[0]
    null = first.endswith(" is null") or first.endswith("is null; toJSON writes null, print does not")
    assert (code, out) == (EX_NOT_READY if null else EX_TEMPLATE, b""), (values, out, err)
    assert (": null" in json.dumps(values) or "[null" in json.dumps(values)) if null else f"error calling sprig_fail: {reason}" in first, (values, err)
    assert "[masked]" not in err, err
    return err


@pytest.mark.parametrize("name", FIELDS)
def test_a_value_is_read_back_exactly_or_refused(name):
    given, read, refused, place = FIELDS[name]
    for value in TEXTS + OTHERS:
        if refused(value):
            err = refusal(name, given(value))
            assert place in err
            assert not isinstance(value, str) or len(value) < 8 or value.split("\n")[-1] not in err, err
        else:
            expected = as_bytes(TREES[name](value)) if name in TREES else as_text(value)
            assert repr(read(made(name, given(value)))) == repr(expected), value  # 1 is not True


@pytest.mark.parametrize("name, inside", [("app.json", "settings"), ("app.yaml", "app"), ("app.toml", "app"), ("directory.json", "web")])
def test_a_key_is_read_back_exactly_or_refused(name, inside):
    for key in [key for key in TEXTS if len(key) <= 1000]:  # longer ones are no keys to YAML
        values = {"kv/data/app": {"data": {"api_key": "k", key: "v"}}, "kv/data/team/web": {"data": {"api_key": "k", key: "v"}}}
        if FIELDS[name][2](key):
            refusal(name, values)
        else:
            assert FIELDS[name][1](made(name, values))[inside] == {"api_key": b"k", key: b"v"}


def test_app_env():
    out = made("app.env", {"kv/data/app": {"data": KV}})
    expected = {key.upper().replace("-", "_").replace(".", "_"): as_text(value) for key, value in KV.items()}
    assert readers.systemd(out) == expected
    assert readers.shell(out, list(expected)) == expected
    assert made("app.env", {"kv/data/app": {"data": {}}}) == b""


def test_app_env_refuses_keys_that_are_no_names():
    awkward = [key for key in TEXTS if not re.fullmatch("[A-Za-z_.-][A-Za-z0-9_.-]*", key)]
    for key in [*awkward, 'a"b\nINJECT=1', "a\n", "A B", "1x", "a$(id)b", "a=b", "a/b", "é"]:
        refusal("app.env", {"kv/data/app": {"data": {"ok": "x", key: "v"}}}, "a key that can't be a variable's name")


@pytest.mark.parametrize("key", ["-", "_", "random", "OPTIND", "uid", "bash.env", "SHELLOPTS", "ppid", "bashpid"])
def test_app_env_refuses_names_of_the_shell(key):
    # bash evaluates what is assigned to some, command substitutions too.
    refusal("app.env", {"kv/data/app": {"data": {key: "x[$(touch /tmp/pwn)]"}}}, "a key with the name of a variable that a shell sets")
    assert made("app.env", {"kv/data/app": {"data": {"a-" + key: "v"}}})


@pytest.mark.parametrize("keys", [["a-b", "a.b"], ["a_b", "A_B"], ["a-b", "x", "A_b"]])
def test_app_env_refuses_two_keys_of_one_name(keys):
    refusal("app.env", {"kv/data/app": {"data": dict.fromkeys(keys, "v")}}, "two keys of one name")


@pytest.mark.parametrize("password", [LINE, LINES, ENDS])
def test_database_url_env(password):
    out = made("database-url.env", {"database/creds/app": {"username": "u/@:" + password, "password": password}})
    url = readers.systemd(out)["DATABASE_URL"].decode()
    assert readers.shell(out, ["DATABASE_URL"])["DATABASE_URL"].decode() == url and readers.docker(out)["DATABASE_URL"].decode() == url
    parts = urllib.parse.urlsplit(url)
    assert (parts.hostname, parts.port, parts.path) == ("localhost", 5432, "/app")
    # As libpq reads it: "+" stands for itself.
    assert [urllib.parse.unquote(part) for part in (parts.username, parts.password)] == ["u/@:" + password, password]


def test_optional_env(tmp_path):
    config = '[[secret]]\npath = "kv/data/feature"\noptional = true\n'
    assert made("optional.env", {"kv/data/feature": {"data": {"limit": 7}}}) == b"FEATURE_LIMIT=7\n"
    assert made("optional.env", {"kv/data/feature": None}) == b"FEATURE_LIMIT=100\n"
    assert made("optional.env", {}, config=config, tmp_path=tmp_path) == b"FEATURE_LIMIT=100\n"
    assert render("optional.env", {})[0] == EX_NOT_READY
    refusal("optional.env", {"kv/data/feature": {"data": {}}} | {"kv/data/feature": {"data": {"limit": None}}}, "not a whole number")


def test_config_ini():
    values = {"kv/data/app": {"data": {"api_key": LINE}}, "database/creds/app": {"username": "u%s", "password": LINE}}
    assert readers.ini(made("config.ini", values)) == {"app": {"api_key": LINE.encode()},
                                                       "database": {"username": b"u%s", "password": LINE.encode()}}
    values["database/creds/app"]["password"] = "x\nadmin = yes"
    code, out, err = render("config.ini", values)
    assert (code, out) == (EX_TEMPLATE, b"") and "a line break" in err and "admin" not in err


def test_app_json():
    found = json.loads(made("app.json", {"kv/data/app": {"data": KV}}))
    assert found == {"settings": KV, "api_key": LINE}


def test_app_yaml():
    import yaml
    assert yaml.safe_load(made("app.yaml", {"kv/data/app": {"data": {**KV, "list": [LINES, 1], "map": {"a": LINES}}}})) == {
        "app": {**KV, "list": [LINES, 1], "map": {"a": LINES}}}
    assert yaml.safe_load(made("app.yaml", {"kv/data/app": {"data": {}}})) == {"app": {}}
    refusal("app.yaml", {"kv/data/app": {"data": {"a": [{"\\\"": "\\\"", "b": [2e30]}]}}}, "a number such as 1e5")
    assert yaml.safe_load(made("app.yaml", {"kv/data/app": {"data": {"a": ['1e5"', "[1e5]", True]}}})) == {"app": {"a": ['1e5"', "[1e5]", True]}}


def test_app_toml():
    import tomllib
    values = {**KV, "list": [LINES, "x", [1, 2.5]], "map": {"a": LINES, "b": {"c": True, "": {}}}, "maps": [{"a": 1}, {"b": []}]}
    for data in (values, {}):
        assert tomllib.loads(made("app.toml", {"kv/data/app": {"data": data}}).decode()) == {"app": data}
    refusal("app.toml", {"kv/data/app": {"data": {"a": [{"b": None}]}}}, "null, which TOML does not have")


def test_directory_json():
    name = "it's 한국어 \"x\""
    values = {"kv/data/team/web": {"data": KV}, f"kv/data/team/{name}": {"data": {}}, "kv/data/team/sub/x": {"data": {}},
              "kv/data/other": {"data": {}}}
    assert json.loads(made("directory.json", values)) == {"web": KV, name: {}}
    assert json.loads(made("directory.json", {"kv/metadata/team": [], "kv/data/x": {}})) == {}


@pytest.mark.parametrize("name", ["a?b", "a?version=1", "a#b", "100%25", "%2e", " ends ", "a+b", "a&b=c", "a:b", "~", '"', "\\", "{{ x }}"])
def test_directory_json_asks_for_the_very_name(name):
    values = {f"kv/data/team/{name}": {"data": {"is": name}}, "kv/data/team/a": {"data": {"is": "a"}}, "kv/metadata/team": [name, "a"]}
    assert json.loads(made("directory.json", values)) == {name: {"is": name}, "a": {"is": "a"}}


@pytest.mark.parametrize("password", ["it's \"q\" #h $HOME \\u0041\\ =a:b! 한국어 é", ENDS, "\ttab\r\nk=v\f\u2028", "\f", ""])
def test_application_properties(password):
    out = made("application.properties", {"database/creds/app": {"username": "한국어 u", "password": password}})
    for encoding in ("latin-1", "utf-8"):
        assert readers.java_properties(out, encoding) == {
            "spring.datasource.url": b"jdbc:postgresql://localhost:5432/app", "spring.datasource.username": "한국어 u".encode(),
            "spring.datasource.password": password.encode()}


def test_nginx_upstream_conf():
    out = made("nginx-upstream.conf", {"kv/data/app": {"data": {"api_key": LINE}}})
    assert readers.nginx(out)[-1] == ["proxy_set_header", "X-Api-Key", LINE]
    code, _, err = render("nginx-upstream.conf", {"kv/data/app": {"data": {"api_key": "x\r\nEvil: yes"}}})
    assert code == EX_TEMPLATE and "a line break" in err and "Evil" not in err


def test_userlist_txt():
    out = made("userlist.txt", {"database/static-creds/app": {"username": 'u"x', "password": LINE}})
    assert readers.pgbouncer(out) == {'u"x': LINE}


def test_bundle_pem():
    def pem(kind, text):
        return f"-----BEGIN {kind}-----\n{text}\n-----END {kind}-----"
    key, cert, ca = pem("RSA PRIVATE KEY", "a2V5"), pem("CERTIFICATE", "Y2VydA=="), pem("CERTIFICATE", "Y2E=")
    values = {"pki/issue/web": {"private_key": key, "certificate": cert + "\n", "issuing_ca": ca, "ca_chain": [ca]}}
    assert made("bundle.pem", values).decode() == f"{key}\n{cert}\n{ca}\n"
    for missing in ("private_key", "certificate"):
        code, out, _ = render("bundle.pem", {"pki/issue/web": {**values["pki/issue/web"], missing: None}})
        assert (code, out) == (EX_TEMPLATE, b"")
