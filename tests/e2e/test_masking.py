"""Values and credentials reach no log and no error text, in any form; the user's own words do (behaviour.md 6, "One redactor")."""
import base64
import json
import os
import random
import urllib.parse

import pytest

from bases import login_files
from harness import EX_TEMPLATE, EX_UNAVAILABLE
from test_files import HEAD

PIECES = ['"', "\\", "\n", "\t", "'", "/", "<", ">", "&", "%", "+", "=", " ", "{{", "}}", "$x", "`", "é", "€", "🔑",
          "\u2028", "\x01", "\x1b[31m", "\x7f", "a", "Zq", "0", "17", "pass", "-----BEGIN", "%41", "\\u0041", "[", ",", ":", "#"]


def odd_values(s, count):
    """Quotes, control characters, other alphabets, several lines, numbers, and values that begin one another."""
    choose = random.Random(11)
    values = []
    for i in range(count):
        value = f"v{i:03}" + "".join(choose.choice(PIECES) for _ in range(choose.randint(3, 11))) + f"{choose.getrandbits(32):08x}"
        if i % 9 == 4:
            value = values[-1] + value
        if i % 17 == 5:
            value = str(choose.getrandbits(50) + 10**15)
        values.append(value)
        s.canaries.add(value, f"odd value {i}")
    return values


def odd_base(s, count=200):
    values = odd_values(s, count)
    s.vault.kv2("kv")
    s.vault.put("kv/data/odd", {f"k{i:03}": value for i, value in enumerate(values)})
    s.vault.policy("reader", "kv/data/*")
    login_files(s, "app", "reader", token_ttl="10m")
    return values


ALL_FORMS = r"""{{ with secret "kv/data/odd" }}{{ range $k, $v := .Data.data }}{{ $v }}
{{ $v | toJSON }}
{{ printf "%q %+q" $v $v }}
{{ $v | base64Encode }} {{ $v | base64URLEncode }} {{ printf "u:%s" $v | base64Encode }} {{ printf "ab:%s" $v | base64Encode }}
{{ $v | urlquery }}
{{ end }}{{ end }}"""


def python_forms(s, values):
    """What a program in another language may say of them."""
    lines = []
    for value in values:
        lines += [json.dumps(value), json.dumps(value, ensure_ascii=False), json.dumps(json.dumps(value)),
                  urllib.parse.quote(value, safe=""), urllib.parse.quote(value), urllib.parse.quote_plus(value),
                  base64.urlsafe_b64encode(value.encode()).decode().rstrip("=")]
    s.write("out/forms", "\n".join(lines) + "\n")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_what_a_command_prints_of_a_file_has_no_value(s, log_format):
    values = odd_base(s)
    python_forms(s, values)
    s.write("out/all.tmpl", ALL_FORMS)
    text = f'log_format = "{log_format}"\n' + HEAD + '''
[[template]]
source = "out/all.tmpl"
destination = "out/all"
command = ["/bin/sh", "-c", "cat out/all; echo between; cat out/forms; echo the end"]
'''
    agent = s.render(text, "--once")
    assert agent.wait_exit(20) == 0, agent.stderr[-2000:]
    assert "[masked]" in agent.stderr and s.read("out/all").count("\n") > len(values)


@pytest.mark.parametrize("size", [65536 - 40, 65536 - 12, 65536 + 5])
def test_output_that_is_cut_loses_no_value_at_its_end(s, size):
    s.vault.kv2("kv")
    values = {"words": "correct horse battery staple 7f3a9c", "long": s.canary("cut")}
    s.canaries.add(values["words"], "words")
    s.canaries.add("correct horse", "the beginning of words")
    s.vault.put("kv/data/app", values)
    s.vault.policy("reader", "kv/data/*")
    login_files(s, "app", "reader", token_ttl="10m")
    agent = s.render(HEAD + f'''
[[template]]
destination = "out/all"
contents = '{{{{ with secret "kv/data/app" }}}}{{{{ .Data.data.words }}}} {{{{ .Data.data.long }}}}{{{{ end }}}}'
command = ["/bin/sh", "-c", "head -c {size} /dev/zero | tr '\\\\000' x; echo; cat out/all out/all"]
''', "--once")
    assert agent.wait_exit(10) == 0, agent.stderr[-2000:]


def test_what_verify_prints_has_no_value(s):
    values = odd_base(s)
    python_forms(s, values)
    s.write("out/all.tmpl", ALL_FORMS)
    agent = s.run(HEAD + f'''
[[template]]
source = "out/all.tmpl"
destination = "out/all"
[env]
ONE = '{{{{ with secret "kv/data/odd" }}}}{{{{ .Data.data.k000 }}}} and {{{{ .Data.data.k001 }}}}{{{{ end }}}}'
[exec]
command = {s.app_toml("--exit", "0")}
[exec.verify]
command = ["/bin/sh", "-xc", "cat out/all out/forms; env; echo \\"$ONE\\"; exit 1"]
attempts = 1
''')
    assert agent.wait_exit(20) == EX_UNAVAILABLE, agent.stderr[-2000:]
    assert "[masked]" in agent.stderr


EXPRESSIONS = ['$v | parseInt', '$v | parseFloat', '$v | parseBool', '$v | parseJSON', '$v | parseYAML', '$v | toTOML',
               '$v | parseUint', '$v | base64Decode', '$v | sprig_fail', 'index $v $v', 'slice $v 1 99999',
               'sprig_mustToDate "2006-01-02" $v', 'sprig_semver $v', '$v | regexMatch "("', 'regexMatch $v "x"',
               'sprig_urlParse $v', 'sprig_genSelfSignedCert $v nil nil 1',
               'timestamp $v | parseInt', 'divide "a" $v', 'executeTemplate $v', 'printf "%d" $v | parseInt',
               'index "abc" (parseInt (index $ "n"))']


def test_errors_of_functions_have_no_value(s):
    odd_base(s, 40)
    for expression in EXPRESSIONS:
        text = HEAD
        for i in (0, 3, 4, 5, 12, 22):
            text += f'''
[[template]]
destination = "out/{i}"
contents = \'\'\'{{{{ with secret "kv/data/odd" }}}}{{{{ $v := .Data.data.k{i:03} }}}}{{{{ {expression} }}}}{{{{ end }}}}\'\'\'
'''
        agent = s.start("render", "--once", "-c", s.config(text))
        code = agent.wait_exit(20)
        assert code in (0, EX_TEMPLATE, 75), (expression, code, agent.stderr[-500:])


def test_numbers_of_a_secret_are_values(s):
    s.vault.kv2("kv")
    s.vault.put("kv/data/app", {"pin": "48151", "number": 4815162342})
    s.vault.policy("reader", "kv/data/*")
    login_files(s, "app", "reader", token_ttl="10m")
    for expression in ('index "abc" (parseInt .Data.data.pin)', 'slice "abc" (parseInt .Data.data.pin)',
                       'index "abc" (.Data.data.number | parseInt)', 'range $i, $j := parseInt .Data.data.pin }}{{ end',
                       '.Data.data.pin | parseInt | parseBool', 'printf "x%v" .Data.data.number | parseInt'):
        agent = s.render(HEAD + f'''
[[template]]
destination = "out/f"
contents = \'\'\'{{{{ with secret "kv/data/app" }}}}{{{{ {expression} }}}}{{{{ end }}}}\'\'\'
''', "--once")
        agent.wait_exit(10)
        assert "48151" not in agent.stderr, (expression, agent.stderr)


def test_our_token_is_in_no_error(s):
    odd_base(s, 1)
    token = s.vault.create_token(policies=["reader"], ttl="60s")
    agent = s.start("render", "--address", s.tap.url, "--template", s.write("out/t", '{{ env "VAULT_TOKEN" | parseInt }}') + ":out/o",
                    "--once", env={"VAULT_TOKEN": token})
    assert agent.wait_exit(10) == EX_TEMPLATE, agent.stderr
    assert token not in agent.stderr and "parseInt" in agent.stderr


# --- the user's own words

def test_words_of_the_configuration_are_shown_though_a_value_is_the_same(s):
    """kv/postgres has user = postgres."""
    s.vault.kv2("kv")
    s.vault.put("kv/data/postgres", {"user": "postgres", "password": s.canary("pw")})
    s.canaries._values.pop("postgres", None)  # a word of the user's
    s.vault.policy("reader", "kv/data/*")
    login_files(s, "app", "reader", token_ttl="10m")
    source = 'user = {{ with secret "kv/data/postgres" }}{{ .Data.data.user }} {{ .Data.data.nope }}{{ end }} # postgres'
    s.write("postgres.conf.tmpl", source)
    agent = s.render('log_format = "text"\n' + HEAD + '''
[[template]]
source = "postgres.conf.tmpl"
destination = "out/postgres.conf"
''', "--once")
    assert agent.wait_exit(10) == 75, agent.stderr
    shown = agent.stderr
    assert "kv/data/postgres" in shown and "postgres.conf.tmpl:1:" in shown and "[masked]" not in shown, shown
    lines = shown.replace("\\n", "\n").replace('\\"', '"').split("\n")
    at = next(i for i, line in enumerate(lines) if source in line)
    caret = lines[at + 1].index("^") - lines[at].index("user =")
    assert source.index(".Data.data.nope") <= caret < source.index("nope }}"), lines[at:at + 2]


def test_the_same_word_of_a_program_is_masked(s):
    s.vault.kv2("kv")
    s.vault.put("kv/data/postgres", {"user": "postgres"})
    s.canaries._values.pop("postgres", None)
    s.vault.policy("reader", "kv/data/*")
    login_files(s, "app", "reader", token_ttl="10m")
    s.write("say", "#!/bin/sh\necho role is post''gres\n", 0o755)
    agent = s.render('log_format = "text"\n' + HEAD + '''
[[template]]
destination = "out/postgres.conf"
contents = '{{ with secret "kv/data/postgres" }}{{ .Data.data.user }}{{ end }}'
command = ["./say"]
''', "--once")
    assert agent.wait_exit(10) == 0, agent.stderr
    assert "role is [masked]" in agent.stderr and "out/postgres.conf" in agent.stderr
    assert os.path.exists(s.path("out/postgres.conf"))
