"""Faults of the server and of the way to it: 1 to 6, 10, 15, 16, 20 to 23."""
import email.utils
import time

import pytest

import system
from bases import KV, KV_DATA, KV_METADATA, kv_base, kv_run, toml
from harness import EX_NOT_READY, EX_UNAVAILABLE, observe, wait_for
from servers import Authority, Front, SilentNameServer, Swallow, server_context, worker_address

FAST = '[vault.retry]\nmax_backoff = "1s"\n'
FAIL = '[outage]\non_start = "fail"'
OTHER = '''
[[template]]
destination = "out/other"
contents = '{{ with secret "kv/data/other" }}{{ .Data.data.value }}{{ end }}'
'''


def front(s, fronts, **options):
    fronts.append(Front(s.tap.port, **options))
    return fronts[-1]


def follows(s, count, timeout=6):
    """A new version reaches the program."""
    new = s.canary("kv-next")
    s.vault.put(KV_DATA, {"value": new})
    assert s.runlog.wait_starts(count, timeout)[-1]["files"]["out/config.ini"] == f"value = {new}"


def other(s):
    value = s.canary("other")
    s.vault.put("kv/data/other", {"value": value})
    return value


# --- 1: refused, reset

def test_F01_tries_are_spread_and_bounded(s, fronts):
    kv_base(s)
    way = front(s, fronts)
    way.whole = "reset"
    agent = kv_run(s, addr=way.url, auth='max_backoff = "2s"')
    observe(7, lambda: None, 1.0)
    gaps = [later - earlier for earlier, later in zip(way.accepted, way.accepted[1:])]
    assert 3 <= len(gaps) <= 9 and all(0.45 <= gap <= 2.5 for gap in gaps) and max(gaps) - min(gaps) > 0.05, gaps
    assert agent.alive and not s.runlog.starts() and "reset" in agent.stderr
    way.whole = "pass"
    s.runlog.wait_starts(1, 4)


# --- 2: silence, in each phase

@pytest.mark.parametrize("phase", ["connecting", "TLS handshake", "waiting for the answer"])
def test_F02_silence_has_a_deadline_and_a_name(s, fronts, phase):
    kv_base(s)
    if phase == "connecting":
        fronts.append(Swallow(worker_address()))
        url = f"http://{fronts[0].host}:{fronts[0].port}"
    else:
        way = front(s, fronts)
        way.whole = "silent"
        url = way.url.replace("http:", "https:" if phase == "TLS handshake" else "http:")
    agent = kv_run(s, addr=url, vault='connect_timeout = "1s"\ntimeout = "1500ms"', more=FAIL)
    assert agent.wait_exit(5) == EX_UNAVAILABLE, agent.stderr
    assert 0.9 <= agent.lived <= 3 and phase in agent.stderr, agent.stderr


# --- 3: a body that drips

def test_F03_a_body_that_drips_is_given_up(s, fronts):
    value = kv_base(s)
    second = other(s)
    way = front(s, fronts)
    way.fault(KV_DATA, "drip")
    agent = kv_run(s, addr=way.url, vault='timeout = "2s"', more=OTHER)
    wait_for(lambda: s.read("out/other") == second, 1.5, "the other secret does not wait")
    app = s.runlog.wait_starts(1, 6)[0]
    assert app["files"]["out/config.ini"] == f"value = {value}"
    first, again = [e.time for e in s.tap.data_reads(KV_DATA)][:2]
    assert 1.8 <= again - first <= 4, s.tap
    assert agent.lines_about("no answer within 2 s", KV_DATA), agent.stderr


def test_F03_a_program_lives_through_drips(s, fronts):
    value = kv_base(s)
    way = front(s, fronts)
    agent = kv_run(s, addr=way.url, vault='timeout = "1s"\n' + FAST)
    s.runlog.wait_starts(1, 5)
    way.fault(KV_METADATA, "drip", 3)
    agent.wait_line("no answer within 1 s", timeout=5)
    assert s.read("out/config.ini") == f"value = {value}" and len(s.runlog.starts()) == 1
    follows(s, 2, 9)


# --- 4: reset in the middle

@pytest.mark.parametrize("path", ["auth/approle/login", KV_DATA])
def test_F04_reset_in_the_middle_of_json(s, fronts, path):
    value = kv_base(s)
    way = front(s, fronts)
    way.fault(path, "reset", 2)
    agent = kv_run(s, addr=way.url, more='[env]\nVALUE = { secret = "kv/data/app", key = "value" }')
    seen = observe(1.2, lambda: s.read("out/config.ini"), 0.02)
    app = s.runlog.wait_starts(1, 8)[0]
    assert app["env"]["VALUE"] == value and app["files"]["out/config.ini"] == f"value = {value}"
    assert {text for _, text in seen} <= {None, f"value = {value}"}
    assert s.tap.count(path) == 3 and agent.lines_about("connection"), s.tap


# --- 5 and 6: not now

@pytest.mark.parametrize("path, status, form", [("auth/approle/login", 503, "seconds"), ("auth/approle/login", 429, "date"),
                                                (KV_DATA, 503, "date"), (KV_DATA, 473, "seconds")])
def test_F05_retry_after_of_an_outage(s, path, status, form):
    kv_base(s)
    value = "3" if form == "seconds" else email.utils.formatdate(time.time() + 4, usegmt=True)
    s.tap.fail(path, status, 1, headers={"Retry-After": value})
    kv_run(s)
    s.runlog.wait_starts(1, 8)
    first, second = [e.time for e in s.tap.entries(path)]
    assert 2.8 <= second - first <= 5.5, s.tap


@pytest.mark.parametrize("value", ["99999", "99999999999999999999", "9" * 40])
def test_F05_retry_after_is_obeyed_up_to_max_backoff(s, value):
    kv_base(s)
    s.tap.fail(KV_DATA, 503, 1, headers={"Retry-After": value})
    kv_run(s, vault='[vault.retry]\nmax_backoff = "2s"')
    s.runlog.wait_starts(1, 8)
    first, second = [e.time for e in s.tap.entries(KV_DATA)]
    assert 1.8 <= second - first <= 4, s.tap


@pytest.mark.parametrize("value", ["-5", "soon", "", "Thu, 01 Jan 1970 00:00:00 GMT", "0"])
def test_F05_retry_after_that_is_nonsense(s, value):
    kv_base(s)
    s.tap.fail(KV_DATA, 503, 2, headers={"Retry-After": value})
    kv_run(s)
    s.runlog.wait_starts(1, 5)
    times = [e.time for e in s.tap.entries(KV_DATA)]
    assert all(later - earlier >= 0.1 for earlier, later in zip(times, times[1:])), s.tap


@pytest.mark.parametrize("status", [403, 404])
def test_F05_a_gateway_that_answers_for_the_server(s, status):
    """Its page is no answer of Vault's: neither the token nor a secret is lost by it."""
    value = kv_base(s)
    agent = kv_run(s, vault=FAST)
    app = s.runlog.wait_starts(1, 5)[0]
    s.tap.reply("*", status, b"<html>maintenance</html>", headers={"Content-Type": "text/html"})
    observe(4, lambda: None, 1.0)
    assert agent.alive and s.runlog.lines() == [app] and s.read("out/config.ini") == f"value = {value}", agent.stderr
    s.tap.clear()
    follows(s, 2, 12)


def test_F06_too_many_requests_holds_for_all_paths(s):
    kv_base(s)
    names = [f"n{number}" for number in range(6)]
    for name in names:
        s.vault.put(f"kv/data/{name}", {"value": s.canary(name)})
    more = "".join(OTHER.replace("other", name) for name in names)
    kv_run(s, more=more)
    s.runlog.wait_starts(1, 5)
    s.tap.fail(KV_METADATA, 429, 1, headers={"Retry-After": "3"})
    held = wait_for(lambda: [e for e in s.tap.entries(KV_METADATA) if e.status == 429], 4, "the answer 429")[0].time
    observe(2.7, lambda: None, 1.0)
    late = [e for e in s.tap.entries("kv/*") if held + 0.3 < e.time < held + 2.8]
    assert not late, s.tap
    wait_for(lambda: s.tap.count("kv/metadata/n*", since=held + 2.8) >= len(names), 4, "all are asked again")


# --- 10: a server that lags behind

def test_F10_first_reads_denied_for_a_moment(s):
    value = kv_base(s)
    s.tap.fail(KV_DATA, 403, 2, errors=("permission denied",))
    agent = kv_run(s)
    assert s.runlog.wait_starts(1, 6)[0]["files"]["out/config.ini"] == f"value = {value}"
    assert len(s.tap.logins()) == 1 and s.tap.count("auth/token/lookup-self") <= 1 and agent.alive, s.tap


# --- 15: a mount that goes

def test_F15_mount_gone_while_running(s):
    value = kv_base(s)
    agent = kv_run(s)
    app = s.runlog.wait_starts(1, 5)[0]
    s.vault.request("DELETE", "sys/mounts/kv")
    since = time.monotonic()
    agent.wait_line("kv/data/app", timeout=3)
    observe(7, lambda: None, 1.0)
    assert agent.alive and s.runlog.lines() == [app] and s.read("out/config.ini") == f"value = {value}"
    assert s.tap.count("kv/*", since=since) <= 5, s.tap
    assert 1 <= len(agent.lines_about("kv/data/app", levels=("warn", "error"))) <= 2, agent.stderr


# --- 16: which version of KV is it

@pytest.mark.parametrize("fault", ["500", "503", "403", "cut", "garbage", "other-mount"])
def test_F16_probe_of_the_mount_fails_at_first(s, fault):
    """The path is written without data/: only the mount's version tells where to read."""
    value = kv_base(s)
    probe = "sys/internal/ui/mounts/*"
    if fault.isdigit():
        s.tap.fail(probe, int(fault), 2)
    elif fault == "cut":
        s.tap.cut_body(probe, 2)
    else:
        body = b'{"data":{}}' if fault == "garbage" else b'{"data":{"path":"other/","type":"kv","options":{"version":"1"}}}'
        s.tap.reply(probe, 200, body, 2)
    text = toml(KV, interval="1s", app=s.app_toml("--file", "out/config.ini")).replace('"kv/data/app"', '"kv/app"')
    s.run(text)
    assert s.runlog.wait_starts(1, 8)[0]["files"]["out/config.ini"] == f"value = {value}"
    observe(2.5, lambda: None, 1.0)
    assert s.tap.count(probe) == 3, "asked until it is known, and never again"
    assert s.tap.count("kv/app", since=s.tap.data_reads(KV_DATA)[0].time) == 0, s.tap


# --- 20: too much

@pytest.mark.parametrize("kind", ["one-value", "small-values", "keys"])
def test_F20_huge_answers_are_refused_in_bounded_memory(s, kind):
    value = kv_base(s, metadata=False)
    second = other(s)
    agent = kv_run(s, more=OTHER)
    s.runlog.wait_starts(1, 5)
    body = {"one-value": b'{"data":{"data":{"value":"' + b"x" * 40_000_000 + b'"}}}',
            "small-values": b'{"data":{"data":{"other":[' + b"0," * 4_900_000 + b"0]}}}",
            "keys": b'{"data":{"data":{' + b",".join(b'"%d":0' % n for n in range(900_000)) + b"}}}"}[kind]
    s.tap.reply(KV_DATA, 200, body, chunked=kind == "one-value")
    agent.wait_line(KV_DATA, timeout=6)
    assert agent.alive and s.read("out/config.ini") == f"value = {value}" and s.read("out/other") == second
    assert len(s.runlog.starts()) == 1 and agent.status("VmHWM") < 96 * 1024, agent.status("VmHWM")


# --- 21: names and addresses

HOST = "vault.keybearer.test"


def start_named(s, port, hosts, resolver="", host=HOST, **values):
    text = toml(KV, interval="1s", app=s.app_toml("--file", "out/config.ini"), addr=f"http://{host}:{port}",
                exec='debounce = "100ms"', **values)
    args = system.name_service(s, hosts, resolver or "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    return s.start(*args, "run", "-c", s.config(text), program=system.UNSHARE)


def test_F21_an_address_that_refuses_is_passed_over(s, fronts):
    """The resolver puts 127.0.0.1 before another address of the loopback."""
    kv_base(s)
    way = front(s, fronts, host=worker_address())
    start_named(s, way.port, f"127.0.0.1 {HOST}\n{way.host} {HOST}\n::1 {HOST}\n")
    s.runlog.wait_starts(1, 3)


def test_F21_an_address_that_swallows_is_passed_over(s, fronts):
    """The others are raced: a dead address costs a moment, not half of the time there is."""
    kv_base(s)
    way = front(s, fronts, host=worker_address())
    fronts.append(Swallow("127.0.0.1", way.port))
    begin = time.monotonic()
    start_named(s, way.port, f"127.0.0.1 {HOST}\n{way.host} {HOST}\n")
    s.runlog.wait_starts(1, 8)
    assert time.monotonic() - begin < 2


def test_F21_the_address_changes(s, fronts):
    kv_base(s)
    old = front(s, fronts, host=worker_address())
    agent = start_named(s, old.port, f"{old.host} {HOST}\n", vault=FAST)
    s.runlog.wait_starts(1, 5)
    agent.wait_line('"event": "server')  # nothing is under way any more
    old.close()
    front(s, fronts, host="127.0.0.1", port=old.port)
    system.rewrite(s, "hosts", f"127.0.0.1 {HOST}\n")
    follows(s, 2, 8)


def test_F21_a_name_server_that_is_silent(s, fronts):
    kv_base(s)
    fronts.append(SilentNameServer(worker_address()))
    agent = start_named(s, s.tap.port, "127.0.0.1 localhost\n", f"nameserver {fronts[0].host}\noptions timeout:5 attempts:2\n",
                        vault='connect_timeout = "1s"', more=FAIL)
    assert agent.wait_exit(4) == EX_UNAVAILABLE, agent.stderr
    assert fronts[0].asked() and "looking up the name" in agent.stderr, agent.stderr


def test_F21_stopped_while_a_name_server_is_silent(s, fronts):
    kv_base(s)
    fronts.append(SilentNameServer(worker_address()))
    agent = start_named(s, s.tap.port, "127.0.0.1 localhost\n", f"nameserver {fronts[0].host}\noptions timeout:5 attempts:2\n")
    wait_for(fronts[0].asked, 3, "the look-up")
    begin = time.monotonic()
    assert agent.stop() == EX_NOT_READY
    assert time.monotonic() - begin < 0.5  # 100 ms, and what a busy machine adds


# --- 22 and 23: certificates

def tls_run(s, fronts, names=("IP:127.0.0.1",), clients=None, vault=""):
    """A running program behind TLS: (agent, front, authority)."""
    kv_base(s)
    authority = Authority(s)
    way = front(s, fronts, tls=server_context(*authority.issue(*names), clients=clients))
    agent = kv_run(s, addr=way.url, vault=f'ca_cert = "boot/ca.pem"\n{vault}\n{FAST}')
    s.runlog.wait_starts(1, 5)
    agent.wait_line('"event": "server')  # nothing is under way any more
    return agent, way, authority


def test_F22_authority_replaced(s, fronts):
    agent, way, authority = tls_run(s, fronts)
    new = Authority(s, "new")
    with open(new.path, encoding="ascii") as file:
        s.write("boot/ca.pem", file.read())
    way.tls = server_context(*new.issue("IP:127.0.0.1"))
    way.drop()
    follows(s, 2)
    assert agent.alive and authority.path == s.path("boot/ca.pem")


def test_F22_broken_authority_keeps_the_old(s, fronts):
    agent, way, _ = tls_run(s, fronts)
    s.write("boot/ca.pem", "-----BEGIN CERTIFICATE-----\nbroken\n")
    way.drop()
    follows(s, 2)
    assert agent.lines_about("boot/ca.pem", levels=("warn",)), agent.stderr


def test_F22_client_certificate_replaced(s, fronts):
    clients = Authority(s, "clients")

    def issue():
        for source, name in zip(clients.issue("DNS:client"), ("client.pem", "client.key")):
            with open(source, encoding="ascii") as file:
                s.write(f"boot/{name}", file.read())
    issue()
    _, way, authority = tls_run(s, fronts, clients=clients.path, vault='client_cert = "boot/client.pem"\nclient_key = "boot/client.key"')
    clients = Authority(s, "others")
    issue()
    way.tls = server_context(*authority.issue("IP:127.0.0.1"), clients=clients.path)
    way.drop()
    follows(s, 2)


def test_F22_half_of_a_client_certificate_is_replaced(s, fronts):
    """The new certificate is there and its key not yet: the old pair goes on."""
    clients = Authority(s, "clients")

    def put(source, name):
        with open(source, encoding="ascii") as file:
            s.write(f"boot/{name}", file.read())
    cert, key = clients.issue("DNS:client")
    put(cert, "client.pem")
    put(key, "client.key")
    agent, way, _ = tls_run(s, fronts, clients=clients.path, vault='client_cert = "boot/client.pem"\nclient_key = "boot/client.key"')
    cert, key = clients.issue("DNS:client")
    put(cert, "client.pem")
    way.drop()
    follows(s, 2)
    assert agent.lines_about("boot/client", levels=("warn",)), agent.stderr


@pytest.mark.parametrize("fault, word", [("expired", "expired"), ("name", "vault.elsewhere"), ("authority", "authority")])
def test_F23_certificate_that_can_not_be_trusted(s, fronts, fault, word):
    agent, way, authority = tls_run(s, fronts)
    before = s.runlog.lines()
    good = way.tls
    if fault == "expired":
        way.tls = server_context(*authority.issue("IP:127.0.0.1", expired=True))
    elif fault == "name":
        way.tls = server_context(*authority.issue("DNS:vault.elsewhere"))
    else:
        way.tls = server_context(*Authority(s, "stranger").issue("IP:127.0.0.1"))
    way.drop()
    since = time.monotonic() + 0.2
    agent.wait_line("certificate", word, timeout=4)
    observe(1.5, lambda: None, 0.5)
    assert agent.alive and s.runlog.lines() == before and s.tap.count(since=since) == 0, s.tap
    way.tls = good
    follows(s, 2)
