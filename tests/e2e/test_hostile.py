"""A broken or hostile server can cause an error, never a crash, a hang, a leak or unbounded memory."""
import json

import pytest

from bases import KV_DATA, kv_base, kv_run
from harness import observe, wait_for

DEEP = b'{"data":' * 20000 + b"1" + b"}" * 20000
BODIES = {
    "garbage": b"\x00\xff\xfe not json at all",
    "empty": b"",
    "null": b"null",
    "array": b"[1,2,3]",
    "number": b"42",
    "string": b'"text"',
    "cut-off": b'{"data":{"data":{"value":"abc',
    "deep": DEEP,
    "data-is-a-string": b'{"data":"text"}',
    "data-is-null": b'{"data":null}',
    "inner-data-is-a-number": b'{"data":{"data":7,"metadata":{"version":1}}}',
    "value-is-an-object": b'{"data":{"data":{"value":{"a":[1]}},"metadata":{"version":2}}}',
    "bad-utf-8": b'{"data":{"data":{"other":"\xc3\x28\xff"}}}',
    "nul-in-value": b'{"data":{"data":{"value":"a\\u0000b"},"metadata":{"version":9}}}',
    "huge-numbers": b'{"lease_id":"x/y","lease_duration":99999999999999999999999,"renewable":true,"data":{"other":1e999}}',
    "negative-lease": b'{"lease_id":"x/y","lease_duration":-5,"renewable":true,"data":{"data":{"other":"x"}}}',
    "lease-of-no-time": b'{"lease_id":"x/y","lease_duration":0,"renewable":true,"data":{"data":{"other":"x"}}}',
    "many-keys": json.dumps({"data": {"data": {str(n): n for n in range(100000)}}}).encode(),
}
RAW = {
    "nothing": b"",
    "not-http": b"SSH-2.0-OpenSSH_9.2\r\n",
    "half-a-status-line": b"HTTP/1.1 2",
    "headers-without-end": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
    "huge-header": b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "negative-length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
    "length-of-a-terabyte": b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n{}",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}a",
    "broken-chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "endless-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + b"x" * 1000,
    "informational": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
    "status-999": b"HTTP/1.1 999 What\r\nContent-Length: 2\r\n\r\n{}",
    "redirect-elsewhere": b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.2:9/steal\r\nContent-Length: 0\r\n\r\n",
    "redirect-to-itself": b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /v1/kv/data/app\r\nContent-Length: 0\r\n\r\n",
    "redirect-to-nowhere": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
}


def _survives(s, agent, value):
    """The value in force stays; when the server is sane again, keybearer follows."""
    seen = s.tap.count(KV_DATA)
    wait_for(lambda: s.tap.count(KV_DATA) > seen, 8, "the next try")
    assert agent.alive and s.read("out/config.ini") == f"value = {value}" and len(s.runlog.starts()) == 1
    assert agent.status("VmHWM") < 80 * 1024
    s.tap.clear()
    new = s.canary("kv-after")
    s.vault.put(KV_DATA, {"value": new})
    assert s.runlog.wait_starts(2, 12)[-1]["files"]["out/config.ini"] == f"value = {new}"


def _running(s):
    s.budget = False  # an answer that redirects to itself is followed at once, a few times
    value = kv_base(s, metadata=False)
    agent = kv_run(s, interval="1s", vault='timeout = "2s"\n[vault.retry]\nmax_backoff = "1s"')
    s.runlog.wait_starts(1, 5)
    return agent, value


# What has a value that can be rendered is a new value, however strange: only what has none must change nothing. And a
# lease of three thousand years need not be asked for again.
STRANGE_VALUES = ["value-is-an-object", "nul-in-value"]
LONG_LEASES = ["huge-numbers"]


@pytest.mark.parametrize("body", [b for b in BODIES if b not in STRANGE_VALUES + LONG_LEASES])
def test_strange_bodies_change_nothing(s, body):
    agent, value = _running(s)
    s.tap.reply(KV_DATA, 200, BODIES[body], headers={"Content-Type": "application/json"})
    _survives(s, agent, value)


@pytest.mark.parametrize("answer", list(RAW))
def test_answers_that_are_no_http_change_nothing(s, answer):
    agent, value = _running(s)
    s.tap.raw(KV_DATA, RAW[answer])
    _survives(s, agent, value)


@pytest.mark.parametrize("body", list(BODIES))
def test_strange_login_answers(s, body):
    s.budget = False
    kv_base(s)
    s.tap.reply("auth/approle/login", 200, BODIES[body])
    agent = kv_run(s, vault='timeout = "2s"', more='[outage]\nstart_timeout = "3s"')
    code = agent.wait_exit(20)
    assert code in (69, 70, 77) and code != 70, agent.stderr
    assert not s.runlog.starts()


@pytest.mark.parametrize("answer", list(RAW))
def test_login_answers_that_are_no_http(s, answer):
    s.budget = False
    kv_base(s)
    s.tap.raw("auth/approle/login", RAW[answer])
    agent = kv_run(s, vault='timeout = "1s"', more='[outage]\nstart_timeout = "3s"')
    assert agent.wait_exit(20) in (69, 77), agent.stderr
    assert not s.runlog.starts()


@pytest.mark.parametrize("body", LONG_LEASES)
def test_a_lease_without_end(s, body):
    agent, value = _running(s)
    s.tap.reply(KV_DATA, 200, BODIES[body])
    seen = s.tap.count(KV_DATA)
    wait_for(lambda: s.tap.count(KV_DATA) > seen, 8, "the next read")
    observe(3, lambda: None, 1.0)
    assert agent.alive and s.read("out/config.ini") == f"value = {value}" and len(s.runlog.starts()) == 1


def test_cut_off_body(s):
    agent, value = _running(s)
    s.tap.cut_body(KV_DATA)
    _survives(s, agent, value)


@pytest.mark.parametrize("body", STRANGE_VALUES)
def test_strange_values_do_not_crash(s, body):
    agent, _ = _running(s)
    s.tap.reply(KV_DATA, 200, BODIES[body])
    seen = s.tap.count(KV_DATA)
    wait_for(lambda: s.tap.count(KV_DATA) >= seen + 2, 8, "two more reads")
    assert agent.alive


def test_token_of_a_redirect_stays_home(s):
    """A redirect to another host is not followed: the token would go with it."""
    agent, value = _running(s)
    thief = s.new_tap()
    s.tap.raw(KV_DATA, f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {thief.url}/v1/kv/data/app\r\nContent-Length: 0\r\n\r\n"
              .encode())
    _survives(s, agent, value)
    assert thief.count() == 0


HALF = """
[[template]]
destination = "out/old"
contents = '{{ with secret "kv1/app" }}{{ range $key, $value := .Data }}{{ $key }}={{ $value }};{{ end }}{{ end }}'
[[template]]
destination = "out/names"
contents = '{{ range secrets "kv1/" }}{{ . }};{{ end }}'
[[template]]
destination = "out/all"
contents = '{{ with secret "kv/data/app" }}{{ range $key, $value := .Data.data }}{{ $key }}={{ $value }};{{ end }}{{ end }}'
"""
HALVES = {"no-content": (204, b""), "no-data": (200, b"{}"), "data-null": (200, b'{"data":null}'), "errors": (200, b'{"errors":["internal error"]}'),
          "data-data-null": (200, b'{"data":{"data":null,"keys":null,"metadata":{"version":9}}}'),
          "data-data-a-list": (200, b'{"data":{"data":[],"keys":"a","metadata":{"version":9}}}')}


@pytest.mark.parametrize("half", list(HALVES))
def test_half_an_answer_changes_nothing(s, half):
    """What a template makes of nothing is no file, no key that is missing: only the answer itself can tell."""
    value = kv_base(s, metadata=False)
    s.vault.kv1("kv1")
    old = s.canary("kv1")
    s.vault.put("kv1/app", {"value": old})
    s.vault.policy("kv-reader", "kv/data/*", "kv1/*", **{"kv1/": ["list"], "kv1": ["list"]})
    agent = kv_run(s, interval="1s", more=HALF, vault='[vault.retry]\nmax_backoff = "1s"')
    s.runlog.wait_starts(1, 5)
    rendered = [f"value={old};", "app;", f"value={value};"]
    read = lambda: [s.read(f"out/{name}") for name in ("old", "names", "all")]  # noqa: E731
    assert read() == rendered
    status, body = HALVES[half]
    for path in (KV_DATA, "kv1/app", "kv1", "kv1/"):
        s.tap.reply(path, status, body, headers={"Content-Type": "application/json"})
    seen = s.tap.count("kv1/app")
    wait_for(lambda: s.tap.count("kv1/app") >= seen + 2, 10, "two more reads")
    assert agent.alive and read() == rendered and len(s.runlog.starts()) == 1
    s.tap.clear()
    s.vault.put("kv1/app", {"value": (new := s.canary("kv1-new"))})
    wait_for(lambda: read()[0] == f"value={new};", 10, "the new value")
