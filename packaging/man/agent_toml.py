#!/usr/bin/env python3
"""Writes agent.toml.5 from agent.toml.example, which explains every key: `packaging/man/agent_toml.py > packaging/man/agent.toml.5`."""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLE = os.path.join(HERE, "..", "..", "agent.toml.example")
HEADER = re.compile(r"#?(\[\[?[\w.]+\]?\])$")
KEY = re.compile(r"#?([\w.]+) = (.*)$")

HEAD = """.\\" Made by agent_toml.py from agent.toml.example.
.Dd November 29, 2026
.Dt AGENT.TOML 5
.Os
.Sh NAME
.Nm agent.toml
.Nd configuration of keybearer
.Sh DESCRIPTION
TOML, read strictly: an unknown key, a wrong type or a bad value is an error with file, line and column.
All errors are reported in one run, in the order of the lines, and
.Xr keybearer 1
exits with 78.
A key that is planned and not built is refused as
.Dq not supported yet .
.Pp
Precedence: command line, environment, file, default.
An empty variable counts as unset.
Later files override scalars and tables and append to arrays of tables.
A dotted key belongs above the first table.
Relative paths are relative to the directory that
.Xr keybearer 1
is started in.
.Pp
A file, or a directory given with
.Fl c ,
that others can write is refused when keybearer runs as root, and warned of otherwise: it names the commands that are run.
.Pp
"""

TAIL = """.Sh ENVIRONMENT
.Bl -tag -width Ds
.It Ev VAULT_ADDR , BAO_ADDR , VAULT_URL
vault.address, the first that is set.
.It Ev VAULT_NAMESPACE , BAO_NAMESPACE , VAULT_CACERT , VAULT_CAPATH , VAULT_CLIENT_CERT , VAULT_CLIENT_KEY
The keys of [vault] of these names.
.It Ev VAULT_TLS_SERVER_NAME , VAULT_SKIP_VERIFY , VAULT_CLIENT_TIMEOUT , VAULT_MAX_RETRIES
tls_server_name, tls_skip_verify, timeout, retry.num_retries of [vault].
.It Ev VAULT_LOG_LEVEL
log_level.
.It Ev VAULT_ROLE_ID , VAULT_SECRET_ID
Of the method approle; with no method configured, VAULT_ROLE_ID chooses it.
.It Ev VAULT_TOKEN , BAO_TOKEN
Of the method token; with no method configured, they choose it.
.El
.Pp
Those of [vault] and VAULT_LOG_LEVEL also exist with BAO_ for VAULT_.
.Pp
Our own credentials never reach the program or a command: VAULT_TOKEN, VAULT_ROLE_ID, VAULT_SECRET_ID, VAULT_JWT, VAULT_PASSWORD, their BAO_ twins, IDENTITY_HEADER, the variable that jwt_env names,
and every variable that ${NAME} put into a credential or a header.
.Sh SEE ALSO
.Xr keybearer 1 ,
.Xr keybearer-template 7
"""


def roff(text):
    text = text.replace("\\", "\\e").replace('"', "\\(dq").replace("'", "\\(aq").replace("-", "\\-")
    return "\\&" + text if text.startswith(".") else text


def sentences(words):
    return [roff(part) for part in re.split(r"(?<=[.:]) (?=[A-Z\"])", " ".join(words)) if part]


def page(lines):
    out, words, open_list, started = [], [], False, False

    def close():
        nonlocal open_list
        if open_list:
            out.append(".El")
        open_list = False

    for line in lines:
        line = line.rstrip("\n")
        header, key = HEADER.match(line), KEY.match(line)
        if header or (key and not line.startswith((" ", "'"))):
            if not started:
                started = True
                out.append(".Sh TOP LEVEL")
            if header:
                close()
                out.append(".Sh " + roff(header[1]))
                out += sentences(words)
                words = []
                continue
            if not open_list:
                out.append(".Bl \\-tag \\-width Ds".replace("\\-", "-"))
                open_list = True
            value, sample = re.sub(r"\s+# \(no default\)$", "", key[2]), key[2].endswith("# (no default)")
            if value == "'''":
                value = "'''...'''"
            out.append(f".It Li {roff(key[1])} = {roff(value)}" + (" Pq no default; a sample" if sample else ""))
            out += sentences(words)
            words = []
        elif line.startswith("# "):
            words.append(line[2:])
        elif line == "#" and not started and words:
            if not words[0].startswith("A line that begins"):  # of the example's own form
                out += [*sentences(words), ".Pp"]
            words = []
        elif line == "" and words and not started:
            out += sentences(words)
            words = []
    close()
    return HEAD + "\n".join(out) + "\n" + TAIL


def main():
    with open(EXAMPLE, encoding="utf-8") as example:
        lines = example.readlines()[1:]  # the first says what the example is
    sys.stdout.write(page(lines))


if __name__ == "__main__":
    main()
