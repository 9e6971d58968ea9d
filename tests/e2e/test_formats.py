"""Format writers, with random values: the reader of each format gets back exactly the value, or rendering refuses with a
reason. No value can add a key. No server: --values, and base64 so that a value can be any bytes."""
import base64
import json
import subprocess
from random import Random

import pytest

import readers
from harness import EX_TEMPLATE
from harness.agent import PROGRAM

FILES, SEEDS = 120, range(1)
PIECES = ["\n", "\r", "\r\n", "\t", " ", "  ", "'", '"', "\\", "\\n", "\\\n", "$", "${x}", "$(id)", "`", "%", "%(a)s", "%%", "#", ";", "=",
          ":", "!", "[", "]", "{", "}", "&", "*", "|", ">", "<", "~", "@", ",", "?", "-", "- ", "---\n", "...", "null", "yes", "1", "0x1f",
          "한국어", "😀", "é", "e\u0301", "\u2028", "\u2029", "\u0085", "\u00a0", "\u3000", "\ufeff", "\ufffe", "\uffff", "\ufdd0",
          "\U0001ffff", "\U0010ffff", "\ue000", "\u200b", "\x00", "\x01", "\x08", "\x0b", "\x0c", "\x1b[31m", "\x1c", "\x1f", "\x7f", "\x80",
          "K2=x", "\nK2=x", "\n[s]\nK2 = x", "\nexport K2=x", "'\nK2='x", '"\nK2="x', "a", "b", "word", "EOF"]
BYTES = [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"]


def value(random):
    parts = [random.choice(PIECES).encode() for _ in range(random.choice([0, 1, 1, 2, 3, 5, 8]))]
    if random.random() < 0.05:
        parts.insert(random.randrange(len(parts) + 1), random.choice(BYTES))
    return b"".join(parts)


def text_of(raw):
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def not_utf8(raw):
    return text_of(raw) is None


def noncharacter(raw):
    return any(ord(c) & 0xfffe == 0xfffe or 0xfdd0 <= ord(c) <= 0xfdef for c in text_of(raw) or "")


def env(content, names):
    found = readers.systemd(content)
    assert readers.shell(content, names) == found
    return found


# The reader, and what the format may refuse. `ini` has a section around its keys.
FORMATS = {
    "env": (env, lambda v: not_utf8(v) or noncharacter(v) or b"\0" in v),
    "docker-env": (lambda content, _: readers.docker(content),
                   lambda v: not_utf8(v) or any(c in v for c in (b"\0", b"\n", b"\r")) or len(v) > 65000),
    "shell": (readers.shell, lambda v: b"\0" in v),
    "ini": (lambda content, _: readers.ini(content)["S"],
            lambda v: not_utf8(v) or any(c in v for c in (b"\0", b"\n", b"\r")) or text_of(v) != text_of(v).strip()),
    "json": (lambda content, _: readers.json_(content), not_utf8),
    "yaml": (lambda content, _: readers.yaml_(content), not_utf8),
    "toml": (lambda content, _: readers.toml(content), not_utf8),
    "properties": (lambda content, _: readers.java_properties(content), not_utf8),
}


def render(directory, name, files):
    """One run over all files, each a dict of values; returns what is on the disk and stderr."""
    secrets, config = {}, []
    for i, values in enumerate(files):
        secrets[f"kv/data/{i}"] = {"data": {f"k{k}": base64.b64encode(raw).decode() for k, raw in enumerate(values.values())}}
        config += ["[[template]]", f'destination = "out/{i}"', f'format = "{name}"']
        for k, key in enumerate(values):
            where = f"values.S.{json.dumps(key)}" if name == "ini" else f"values.{json.dumps(key)}"
            config.append(f"{where} = '{{{{ with secret \"kv/data/{i}\" }}}}{{{{ .Data.data.k{k} | base64Decode }}}}{{{{ end }}}}'")
    (directory / "agent.toml").write_text("\n".join(config) + "\n", encoding="utf-8")
    (directory / "v.json").write_text(json.dumps(secrets))
    done = subprocess.run([PROGRAM, "render", "-c", "agent.toml", "--values", "v.json", "--once"], cwd=directory, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode in (0, EX_TEMPLATE, 78), done.stderr.decode()[-2000:]
    made = {int(path.name): path.read_bytes() for path in (directory / "out").iterdir()} if (directory / "out").exists() else {}
    return made, done.stderr.decode()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", FORMATS)
def test_read_back_or_refused(tmp_path, name, seed):
    read, may_refuse = FORMATS[name]
    random = Random(f"{name}{seed}")
    files = [{key: value(random) for key in ("K1", "K2", "K3")[:random.choice([1, 2, 3])]} for _ in range(FILES)]
    made, stderr = render(tmp_path, name, files)
    refused = 0
    for i, values in enumerate(files):
        if i in made:
            assert read(made[i], list(values)) == values, (values, made[i])
        else:
            refused += 1
            assert f"keybearer: out/{i}: " in stderr and any(may_refuse(raw) for raw in values.values()), values
    assert 0 < len(made) and refused < FILES * 0.9
    assert sum(line.startswith("keybearer: out/") for line in stderr.splitlines()) == refused


@pytest.mark.parametrize("name", FORMATS)
def test_a_megabyte(tmp_path, name):
    read, may_refuse = FORMATS[name]
    special = "x'\"$%#\\ 한국어 😀".encode()
    values = [(special + b"y" * 1000) * 1024, (special + b"y" * 1000 + b"\n") * 1024, b"y" * 65532, b"y" * 65533]
    made, stderr = render(tmp_path, name, [{"K1": raw} for raw in values])
    for i, raw in enumerate(values):
        if i in made:
            assert read(made[i], ["K1"]) == {"K1": raw}
        else:
            key = "S.K1" if name == "ini" else "K1"
            assert may_refuse(raw) and f"keybearer: out/{i}: {key}: " in stderr


@pytest.mark.parametrize("name", ["ini", "json", "yaml", "toml", "properties"])
def test_names_are_read_back_too(tmp_path, name):
    names = ["a b", "한국어", "x.y", "yes", "1", "#c", "k:v", "k=v", "!k", "[x", "'q", '"q', "-", "? x", "null", "%k"]
    made, stderr = render(tmp_path, name, [{key: b"v"} for key in names])
    refused = [key for key in names if f": template.values.S.{key}: not a key" in stderr]
    if refused:  # by the configuration: nothing is written at all
        assert name == "ini" and not made and len(refused) < len(names) / 2
        names = [key for key in names if key not in refused]
        made, stderr = render(tmp_path, name, [{key: b"v"} for key in names])
    assert sorted(made) == list(range(len(names))), stderr
    for i, key in enumerate(names):
        assert FORMATS[name][0](made[i], []) == {key: b"v"}, made[i]
