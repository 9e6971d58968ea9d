"""Values that the server makes again: each reaches file and program; certificates by name, issuer and key; static roles to the
tenth of a second."""
import os
import re
import time
from datetime import datetime

import pytest

from bases import LOGIN, login_files, toml
from harness import wait_for

PKI = LOGIN + '''
@template@
[exec]
command = @app@
debounce = "100ms"
'''
TEMPLATE = """
[[template]]
destination = "out/@file@"
contents = '''@text@'''
"""
BUNDLE = '{{ with pkiCert "@path@" "common_name=@name@" "ttl=@ttl@" }}{{ .Key }}{{ .Cert }}{{ .CA }}{{ end }}'
ISSUE = "pki/issue/web"


def pki(s, mounts=("pki",)):
    for mount in mounts:
        s.vault.post(f"sys/mounts/{mount}", {"type": "pki"})
        s.vault.post("/".join((mount, "root/generate/internal")), {"common_name": f"CA of {mount}", "ttl": "20h"})
        s.vault.post(f"{mount}/roles/web", {"allowed_domains": "test", "allow_subdomains": True, "max_ttl": "2h"})
    s.vault.policy("web", **{f"{mount}/issue/web": ["update"] for mount in mounts})
    login_files(s, "app", "web", token_ttl="10m")


def template(file, text, **values):
    text = TEMPLATE.replace("@file@", file).replace("@text@", text)
    for name, value in {"path": ISSUE, "name": "a.test", "ttl": "1h", **values}.items():
        text = text.replace(f"@{name}@", value)
    return text


def blocks(text, kind="CERTIFICATE"):
    return re.findall(rf"-----BEGIN {kind}-----\n.*?\n-----END {kind}-----\n", text, re.S)


def test_a_certificate_issued_again_reaches_file_and_program(s):
    pki(s)
    s.run(toml(PKI, template=template("web.pem", BUNDLE, ttl="12s"), app=s.app_toml("--file", "out/web.pem")))
    s.runlog.wait_starts(1, 5)
    seen = [s.read("out/web.pem")]
    for _ in range(2):
        wait_for(lambda: s.read("out/web.pem") != seen[-1], 12, "a new certificate in the file")
        seen.append(s.read("out/web.pem"))
    wait_for(lambda: len(s.runlog.starts()) >= 3, 5, "the program with each")
    for text in seen:
        assert len(blocks(text)) == 2 and len(blocks(text, "RSA PRIVATE KEY")) == 1, "blocks on lines of their own"


def test_certificates_are_known_by_all_their_arguments(s):
    pki(s)
    two = BUNDLE.replace("@name@", "one.test") + BUNDLE.replace("@name@", "two.test")
    pair = [template("tls.crt", '{{ with pkiCert "@path@" "common_name=@name@" }}{{ .Cert }}{{ end }}'),
            template("tls.key", '{{ with pkiCert "@path@" "common_name=@name@" }}{{ .Key }}{{ end }}')]
    text = toml(PKI, template=template("two.pem", two) + "".join(pair), app='["true"]')

    def once():
        assert s.render(text, "--once").wait_exit(10) == 0
        return [s.read(f"out/{name}") for name in ("two.pem", "tls.crt", "tls.key")]
    first = once()
    assert len(blocks(first[0])) == 4 and len(set(blocks(first[0]))) == 3, "two certificates, the CA's twice"
    assert s.tap.count(ISSUE) == 3, "one each, and one for the pair"
    asked = s.tap.count("pki/cert/ca")
    assert once() == first and s.tap.count(ISSUE) == 3, "a start is no reason for new ones, the pair included"
    assert s.tap.count("pki/cert/ca") == asked + 1, "one look at the issuer for the three of them"
    os.unlink(s.path("out/tls.key"))
    crt = once()[1]
    assert crt != first[1] and s.tap.count(ISSUE) == 4, "a pair that is not whole is issued as a pair"


def test_two_of_one_name_in_one_file_are_known_by_their_time(s):
    pki(s)
    two = BUNDLE.replace("@ttl@", "90m") + BUNDLE.replace("@ttl@", "15m")

    def once():
        assert s.render(toml(PKI, template=template("two.pem", two), app='["true"]'), "--once").wait_exit(10) == 0
        return s.read("out/two.pem")
    first = once()
    assert s.tap.count(ISSUE) == 2 and len(set(blocks(first))) == 3
    assert once() == first and s.tap.count(ISSUE) == 2, "a start is no reason for new ones"


@pytest.mark.parametrize("what", ["issuer", "names"])
def test_a_kept_certificate_fits_what_is_asked_for_now(s, what):
    pki(s, ("pki", "pki2"))

    def once(text, **values):
        assert s.render(toml(PKI, template=template("web.pem", text, **values), app='["true"]'), "--once").wait_exit(10) == 0
        return s.read("out/web.pem")
    first = once(BUNDLE)
    assert once(BUNDLE) == first
    if what == "issuer":
        second = once(BUNDLE, path="pki2/issue/web")
        assert second != first and s.tap.count("pki2/issue/web") == 1
        assert once(BUNDLE, path="pki2/issue/web") == second
    else:
        more = BUNDLE.replace('"ttl', '"alt_names=x.test" "ttl')
        second = once(more)
        assert second != first and once(more) == second
        assert once(BUNDLE) != second


def test_what_is_not_asked_for_any_more_is_let_go(s):
    s.vault.kv2("kv")
    s.vault.put("kv/data/which", {"path": "one"})
    s.vault.put("kv/data/one", {"value": "1"})
    s.vault.put("kv/data/two", {"value": "2"})
    s.vault.policy("reader", "kv/data/*", "kv/metadata/*")
    login_files(s, "app", "reader", token_ttl="10m")
    text = '{{ with secret "kv/data/which" }}{{ with secret (printf "kv/data/%s" .Data.data.path) }}{{ .Data.data.value }}{{ end }}{{ end }}'
    s.run(toml(PKI, template='[template_config]\nstatic_secret_render_interval = "1s"\n' + template("x", text), app=s.app_toml()))
    s.runlog.wait_starts(1, 5)
    s.vault.put("kv/data/which", {"path": "two"})
    wait_for(lambda: s.read("out/x") == "2", 5, "the other secret's value")
    before = s.tap.count("kv/metadata/two")
    seen = s.tap.count("kv/metadata/one")
    wait_for(lambda: s.tap.count("kv/metadata/two") >= before + 3, 8, "three looks at the new one")
    assert s.tap.count("kv/metadata/one") <= seen + 1


@pytest.mark.parametrize("text", [
    '{{ with secret "kv/data/app" (printf "x=%s" (timestamp "05.000000000")) }}{{ .Data }}{{ end }}'])
def test_arguments_that_always_change_are_an_error(s, text):
    s.vault.kv2("kv")
    s.vault.policy("reader", **{"kv/data/*": ["read", "create", "update"]})
    login_files(s, "app", "reader", token_ttl="10m")
    agent = s.run(toml(PKI, template=template("x", text), app=s.app_toml()))
    assert agent.wait_exit(30) == 65
    assert agent.lines_about("timestamp"), agent.stderr
    assert s.tap.count("kv/data/*") <= 220  # each is tried plain, and then as KV 2


def rotated_at(s):
    stamp = s.vault.get("database/static-creds/st")["data"]["last_vault_rotation"]
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole + "+00:00").timestamp() + float("0." + (fraction or "0"))


@pytest.mark.parametrize("period", ["8s", "10s"])
def test_a_static_role_is_followed_at_once(s, period):
    """A server works its queue off every 5 s: a role of 8 s is rotated late, one of 10 s on time."""
    s.vault.database(s.pg)
    s.vault.static(s.pg, "st", "staticuser", period)
    s.vault.policy("static", "database/static-creds/*")
    login_files(s, "app", "static", token_ttl="10m")
    text = template("password", '{{ with secret "database/static-creds/st" }}{{ .Data.password }}{{ end }}')
    s.render(toml(LOGIN, template="") + text)
    wait_for(lambda: s.read("out/password"), 5, "the file")
    late = []
    for _ in range(3):
        before = s.read("out/password")
        wait_for(lambda: s.read("out/password") != before, 20, "a rotation", interval=0.005)
        late.append(time.time() - rotated_at(s))
    assert sorted(late)[1] <= 0.2, late


def test_a_static_role_is_followed_after_a_restart_of_the_server(s):
    s.use_vault(directory=os.path.join(s.directory, "server"))
    s.vault.database(s.pg)
    s.vault.static(s.pg, "st", "staticuser", "10s")
    s.vault.policy("static", "database/static-creds/*")
    login_files(s, "app", "static", token_ttl="10m")
    text = template("password", '{{ with secret "database/static-creds/st" }}{{ .Data.password }}{{ end }}')
    s.render(toml(LOGIN, template="") + text)
    wait_for(lambda: s.read("out/password"), 5, "the file")
    before, due = s.read("out/password"), rotated_at(s) + 10
    s.vault.kill()
    wait_for(lambda: time.time() >= due + 2, 15, "the time of the rotation")
    s.vault.start()
    s.vault.unseal()
    wait_for(lambda: s.read("out/password") != before, 20, "the rotation that was missed", interval=0.005)
    assert time.time() - rotated_at(s) <= 0.5
