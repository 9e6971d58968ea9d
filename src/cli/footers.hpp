#pragma once
// What stands below the help of each command.

namespace keybearer::cli {

inline constexpr const char* kRunFooter = R"(
Examples:
  keybearer run -c agent.toml -- ./app --port 8080
  VAULT_ADDR=... VAULT_TOKEN=... keybearer run --env DB_PASSWORD=database/creds/app#password -- ./app
)";
inline constexpr const char* kRenderFooter = R"(
Examples:
  keybearer render --once -c agent.toml
  keybearer render --once --template app.env.tmpl:app.env
  keybearer render --diff -c agent.toml
  keybearer render app.env.tmpl > app.env
  keybearer render --values secrets.json - < app.env.tmpl

--values tries templates with made-up secrets, without any server. The file maps paths to what .Data is:
  {"kv/data/app": {"data": {"user": "ann"}}, "database/creds/app": {"username": "u", "password": "p"},
   "kv/metadata": ["app", "team/"], "kv/data/none": null}
With it, -c shows the files (as --dry-run does) unless --once writes them; no command runs.
Values are masked in --dry-run and --diff, but for made-up ones; TEMPLATE writes them.
)";
inline constexpr const char* kCheckFooter = R"(
Examples:
  keybearer check                     # agent.toml here
  keybearer check -c agent.toml --online
  keybearer check -c agent.toml --show --changed
)";
inline constexpr const char* kGetFooter = R"(
Examples:
  keybearer get kv/data/app           # its keys, values masked
  keybearer get kv/data/app#password  # one value
)";
inline constexpr const char* kInitFooter = R"(
Example:
  keybearer init kv/data/app database/creds/app -- ./app
)";
inline constexpr const char* kEnvFooter = R"(
Examples:
  keybearer env -c agent.toml         # masked on a terminal
  keybearer env -c agent.toml --names
)";
inline constexpr const char* kStatusFooter = R"(
Examples:
  keybearer status                    # the only instance that runs
  keybearer status -c agent.toml --json
  keybearer status --watch            # q quits
  keybearer status --ready            # a container's probe: 0 or 1
)";
inline constexpr const char* kRotateFooter = R"(
Examples:
  keybearer rotate                    # everything
  keybearer rotate database/creds/app
  keybearer rotate --template app.env
)";
inline constexpr const char* kFooter = R"(
Exit codes: the program's own, 128 + n when signal n ended it, 126 or 127 when it can't be started; else
  0 done  64 usage  65 template  69 server not reachable  70 bug  73 can't write  75 not ready or not there
  77 not permitted  78 configuration
)";

}  // namespace keybearer::cli
