"""The status page in a real browser, and the metrics by Prometheus' own checker."""
import http.client
import json
import os
import re
import subprocess

import pytest

from bases import KV_DATA
from harness import control
from test_status import TEXT, keybearer, started

BROWSER = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions"]


@pytest.fixture(name="page")
def _page(s):
    agent = started(s)
    over = control.OverTcp(control.sockets(s.runtime)[0])
    yield lambda *args: browse(s, over.url + "/", *args)
    over.close()
    assert agent


def browse(s, url, *args):
    """What the browser has in the end; no value may be in it."""
    done = subprocess.run([*BROWSER, f"--user-data-dir={os.path.join(s.directory, 'browser')}", "--virtual-time-budget=4000", *args, url],
                          capture_output=True, text=True, timeout=120, check=False, env=s.environment())
    assert done.returncode == 0, done.stderr[-2000:]
    assert not list(s.canaries.hits(done.stdout.encode()))
    return done.stdout


def png_size(path):
    with open(path, "rb") as file:
        head = file.read(24)
    assert head.startswith(b"\x89PNG")
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def test_the_page_is_live_with_scripts_and_whole_without(s, page):
    live = page("--dump-dom")
    assert 'id="live">live<' in live, live[-600:]
    # Without scripts: the same markup, as the browser shows it when there is none.
    file = s.path("out/still.html")
    with open(file, "w", encoding="utf-8") as out:
        out.write(re.sub(r"<script>.*?</script>", "", control.ask(control.sockets(s.runtime)[0], target="/")[1], flags=re.S))
    still = browse(s, "file://" + file, "--dump-dom")
    assert 'id="live">as it was then<' in still

    def text(html):
        body = re.sub(r"<(script|style|title|noscript)\b.*?</\1>", " ", html, flags=re.S)
        return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))
    for html in (live, still):
        for part in ("ready", "kv/data/app", "v1", "out/config.ini", "0600", "approle", "running", "agent"):
            assert part in text(html), (part, text(html))
    # The same sections and rows, whoever has built them.
    for tag in ("section", "tr", "dt", "th"):
        assert live.count(f"<{tag}") == still.count(f"<{tag}"), tag


def test_the_page_follows_a_rotation(s, page):
    s.vault.put(KV_DATA, {"value": s.canary("kv-second")})
    assert keybearer(s, "rotate")[0] == 0
    s.runlog.wait_starts(2, 10)
    assert "version 1 -&gt; 2" in page("--dump-dom")


@pytest.mark.parametrize("width,height,dark", [(1100, 900, False), (1100, 900, True), (500, 900, False)])
def test_screenshots(s, page, width, height, dark):
    """Light, dark, narrow: a picture of that size is made (KEYBEARER_PICTURES keeps it, to be looked at)."""
    directory = os.environ.get("KEYBEARER_PICTURES", s.directory)
    path = os.path.join(directory, f"page-{width}{'-dark' if dark else ''}.png")
    page(f"--screenshot={path}", f"--window-size={width},{height}", *(["--blink-settings=preferredColorScheme=0"] if dark else []))
    assert png_size(path) == (width, height)


def test_nothing_but_its_own_style_and_script_runs(s, page):
    """The browser itself finds nothing against the page's policy."""
    done = subprocess.run([*BROWSER, f"--user-data-dir={os.path.join(s.directory, 'browser')}", "--virtual-time-budget=3000",
                           "--enable-logging=stderr", "--v=0", "--dump-dom", _url(s)],
                          capture_output=True, text=True, timeout=120, check=False, env=s.environment())
    assert "Content Security Policy" not in done.stderr and "Uncaught" not in done.stderr, done.stderr[-2000:]
    assert page


def _url(s):
    s.over = getattr(s, "over", None) or control.OverTcp(control.sockets(s.runtime)[0])
    return s.over.url + "/"


def test_promtool_finds_nothing(s):
    started(s)
    status, text, _ = control.ask(control.sockets(s.runtime)[0], target="/metrics")
    assert status == 200
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and not done.stdout + done.stderr, (done.stdout, done.stderr)
    assert not list(s.canaries.hits(text.encode()))
    assert re.search(r"^keybearer_secret_fetch_total\{secret=\"kv/data/app\",result=\"success\"\} 1$", text, re.M), text
    assert float(re.search(r"^process_resident_memory_bytes (\S+)$", text, re.M)[1]) > 1e6
    assert int(re.search(r"^process_open_fds (\S+)$", text, re.M)[1]) > 3


def test_a_listener_shows_the_same_without_a_header(s):
    """Health, metrics and page by TCP: no guard, GET only, nothing else with role metrics_only."""
    started(s, '[[listener]]\naddress = "127.0.0.1:0"\nrole = "metrics_only"\n' + TEXT)
    listeners = json.loads(keybearer(s, "status", "--json")[1])["listeners"]
    assert len(listeners) == 1, listeners
    port = int(listeners[0].rsplit(":", 1)[1])

    def get(target, method="GET", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request(method, target, headers=headers)
            answer = connection.getresponse()
            body = answer.read().decode()
            assert not list(s.canaries.hits(body.encode()))
            return answer.status, body
        finally:
            connection.close()
    for target in ("/livez", "/readyz", "/readyz?verbose", "/startupz", "/metrics", "/", "/agent/v1/metrics"):
        assert get(target)[0] == 200, target
        assert get(target, "POST")[0] == 405, target
    assert get("/v1/kv/data/app")[0] == 404
    assert get("/status")[0] == 404
    assert get("/", Host="evil.example")[0] == 403
    code, page = get("/?format=json")
    assert code == 200 and "accessor" not in page and json.loads(page)["ready"] is True
