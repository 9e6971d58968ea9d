#include "reload_row.hpp"

// What a reload says is applied rules from then on: variables, files, and the secrets that they name.
namespace keybearer {
namespace {

const std::string kFile = "[[template]]\ndestination = \"%D/f\"\n";
const std::string kX = kFile + "contents = 'x'\n";
const std::string kOther = "[env.OTHER]\n";
constexpr const char* kNoKey =
    "contents = '{{ with secret \"kv/data/app\" }}{{ .Data.data.none }}{{ end }}'\n";

std::string number(unsigned id) {
  return std::to_string(geteuid() == 0 ? 12345 : id);
}

const ReloadRows kVariableRows = {
    {.key = "env.NAME.contents",
     .before = "",
     .after = kOther + "contents = 'x'\n",
     .then = spawned("KEY=canary-1 OTHER=x"),
     .base = kEnv},
    {.key = "env.NAME.source",
     .before = "",
     .after = kOther + "source = \"%D/source\"\n",
     .then = spawned("KEY=canary-1 OTHER=text"),
     .prepare = source("text"),
     .base = kEnv},
    {.key = "env.NAME.secret, env.NAME.key",
     .before = "",
     .after = kOther + "secret = \"kv/app\"\nkey = \"other\"\n",
     .then = spawned("KEY=canary-1 OTHER=canary-o"),
     .base = kEnv},
    {.key = "env.NAME.default",
     .before = "",
     .after = kOther + kNoKey + "default = \"d\"\n",
     .then = spawned("KEY=canary-1 OTHER=d"),
     .base = kEnv},
    {.key = "env.NAME.error_on_missing_key",
     .before = "",
     .after = kOther + kNoKey + "error_on_missing_key = false\n",
     .then = spawned("KEY=canary-1 OTHER=<no value>"),
     .base = kEnv},
    {.key = "env.NAME.enabled",
     .before = kOther + "contents = 'x'\n",
     .after = kOther + "contents = 'x'\nenabled = false\n",
     .then = spawned("KEY=canary-1"),
     .base = kEnv},
    {.key = "env.NAME.left_delimiter, env.NAME.right_delimiter",
     .before = "",
     .after =
         kOther + "contents = '<< \"x\" >>'\nleft_delimiter = \"<<\"\nright_delimiter = \">>\"\n",
     .then = spawned("KEY=canary-1 OTHER=x"),
     .base = kEnv},
    {.key = "env.NAME.type",
     .before = kOther + "contents = 'x'\n",
     .after = kOther + "contents = 'x'\ntype = \"int\"\n",
     .then = said("env.OTHER: the value"),
     .base = kEnv},
    {.key = "env.NAME.pattern",
     .before = kOther + "contents = 'x'\n",
     .after = kOther + "contents = 'x'\npattern = \"^y\"\n",
     .then = said("env.OTHER: the value"),
     .base = kEnv},
    {.key = "env.NAME.required",
     .before = "",
     .after = kOther + "secret = \"kv/none\"\nkey = \"k\"\nrequired = false\n",
     .then =
         [](Agent& agent) {
           agent.live(20s);
           told(agent);
           agent.live(20s);
           CHECK(agent.last_spawn() == "spawn KEY=canary-2");
         },
     .base = kEnv},
    {.key = "env_from.secret, env_from.prefix",
     .before = "",
     .after = "[[env_from]]\nsecret = \"kv/app\"\nprefix = \"A_\"\n",
     .then = spawned("A_KEY=canary-1 A_OTHER=canary-o KEY=canary-1"),
     .base = kEnv},
    {.key = "env_from.uppercase",
     .before = "",
     .after = "[[env_from]]\nsecret = \"kv/app\"\nuppercase = false\n",
     .then = spawned("KEY=canary-1 key=canary-1 other=canary-o"),
     .base = kEnv},
    {.key = "env_from.keys",
     .before = "",
     .after = "[[env_from]]\nsecret = \"kv/app\"\nkeys = [\"other\"]\n",
     .then = spawned("KEY=canary-1 OTHER=canary-o"),
     .base = kEnv},
    {.key = "env_from.names",
     .before = "",
     .after = "[[env_from]]\nsecret = \"kv/app\"\nnames = { key = \"X\", other = \"Y\" }\n",
     .then = spawned("KEY=canary-1 X=canary-1 Y=canary-o"),
     .base = kEnv},
};
TEST_CASE("what rules variables") {
  kVariableRows.check();
}

const Seen kTouched = [](Agent& agent) { until(agent, [&] { return agent.has_file("touched"); }); };
const Seen kTimedOut = [](Agent& agent) {
  agent.io.advance(2s);
  until(agent, [&] { return agent.lines("hook.failed") + agent.lines("the command failed") > 0; });
};

const ReloadRows kFileRows = {
    {.key = "template.contents",
     .before = kX,
     .after = kFile + "contents = 'y'\n",
     .then = wrote("f", "y"),
     .base = kEnv},
    {.key = "template.source",
     .before = kX,
     .after = kFile + "source = \"%D/source\"\n",
     .then = wrote("f", "text"),
     .prepare = source("text"),
     .base = kEnv},
    {.key = "template.destination",
     .before = kX,
     .after = "[[template]]\ndestination = \"%D/g\"\ncontents = 'x'\n",
     .then = wrote("g", "x"),
     .base = kEnv},
    {.key = "template.format, template.values",
     .before = kX,
     .after = kFile + "format = \"env\"\nvalues = { A = \"x\" }\n",
     .then = wrote("f", "A=\"x\"\n"),
     .base = kEnv},
    {.key = "template.enabled",
     .before = kX + "enabled = false\n",
     .after = kX,
     .then = wrote("f", "x"),
     .base = kEnv},
    {.key = "template.user, template.group",
     .before = kX,
     .after = kX + "user = \"" + number(geteuid()) + "\"\ngroup = \"" + number(getegid()) + "\"\n",
     .then =
         [](Agent& agent) {
           agent.live(5s);
           struct stat info{};
           REQUIRE(stat(agent.path("f").c_str(), &info) == 0);
           CHECK(std::to_string(info.st_uid) == number(geteuid()));
           CHECK(std::to_string(info.st_gid) == number(getegid()));
         },
     .base = kEnv},
    {.key = "template.create_dest_dirs",
     .before = "",
     .after = "[[template]]\ndestination = \"%D/no/f\"\ncontents = 'x'\ncreate_dest_dirs = false\n",
     .then =
         [](Agent& agent) {
           agent.live(5s);
           CHECK_FALSE(agent.has_file("no"));
         },
     .base = kEnv},
    {.key = "template.backup",
     .before = kX,
     .after = kFile + "contents = 'y'\nbackup = true\n",
     .then = wrote("f.bak", "x"),
     .base = kEnv},
    {.key = "template.in_place",
     .before = kX,
     .after = kFile + "contents = 'y'\nin_place = true\n",
     .then = wrote("link", "y"),
     .first =
         [](Agent& agent) {
           agent.live(5s);
           std::filesystem::create_hard_link(agent.path("f"), agent.path("link"));
         },
     .base = kEnv},
    {.key = "template.left_delimiter, template.right_delimiter",
     .before = kX,
     .after =
         kFile + "contents = '<< \"y\" >>'\nleft_delimiter = \"<<\"\nright_delimiter = \">>\"\n",
     .then = wrote("f", "y"),
     .base = kEnv},
    {.key = "template.error_on_missing_key",
     .before = kX,
     .after = kFile + kNoKey + "error_on_missing_key = false\n",
     .then = wrote("f", "<no value>"),
     .base = kEnv},
    {.key = "template.sandbox_path",
     .before = kX,
     .after = kFile + "contents = '{{ file \"%D/source\" }}'\nsandbox_path = \"%D/box\"\n",
     .then = said("sandbox"),
     .prepare =
         [](Agent& agent) {
           source("text")(agent);
           std::filesystem::create_directory(agent.path("box"));
         },
     .base = kEnv},
    {.key = "template.function_denylist",
     .before = kX,
     .after = kFile + "contents = '{{ env \"X\" }}'\nfunction_denylist = [\"env\"]\n",
     .then = said("disabled"),
     .base = kEnv},
    {.key = "template.allow_plugin",
     .before = kX,
     .after = kFile + "contents = '{{ plugin \"/bin/echo\" \"y\" }}'\nallow_plugin = true\n",
     .then = wrote("f", "y"),
     .base = kEnv},
    {.key = "template_config.allow_plugin",
     .before = kX,
     .after = section("template_config", "allow_plugin = true") + kFile +
              "contents = '{{ plugin \"/bin/echo\" \"y\" }}'\n",
     .then = wrote("f", "y"),
     .base = kEnv},
    {.key = "template.on_change",
     .before = kX,
     .after = kFile + "contents = 'y'\non_change = \"signal:USR1\"\n",
     .then =
         [](Agent& agent) {
           agent.live(10s);
           CHECK(agent.spawner->asked.back() == "signal 10");
         },
     .base = kEnv},
    {.key = "template.command",
     .before = kX,
     .after = kFile + "contents = 'y'\ncommand = [\"touch\", \"%D/touched\"]\n",
     .then = kTouched,
     .base = kEnv},
    {.key = "template.exec.command",
     .before = kX,
     .after = kFile + "contents = 'y'\nexec = { command = [\"touch\", \"%D/touched\"] }\n",
     .then = kTouched,
     .base = kEnv},
    {.key = "template.command, of a change whose command fails",
     .before = kX + "command = [\"false\"]\n",
     .after = kX + "command = [\"touch\", \"%D/touched\"]\n",
     .then = kTouched,
     .first =
         [](Agent& agent) {
           until(agent, [&] { return agent.lines("the command failed") > 0; });
           agent.live(5s);
         },
     .base = kEnv},
    {.key = "template.command_timeout",
     .before = kX,
     .after = kFile + "contents = 'y'\ncommand = [\"sleep\", \"1000\"]\ncommand_timeout = \"1s\"\n",
     .then = kTimedOut,
     .base = kEnv},
    {.key = "template.exec.timeout",
     .before = kX,
     .after =
         kFile + "contents = 'y'\nexec = { command = [\"sleep\", \"1000\"], timeout = \"1s\" }\n",
     .then = kTimedOut,
     .base = kEnv},
};
TEST_CASE("what rules files") {
  kFileRows.check();
}

std::string table(const std::string& path, const std::string& lines) {
  return "[[secret]]\npath = \"" + path + "\"\n" + lines;
}

const ReloadRows kSecretRows = {
    {.key = "secret.path, secret.name",
     .before = "",
     .after = kOther + "secret = \"n\"\nkey = \"other\"\n" + table("kv/app", "name = \"n\"\n"),
     .then = spawned("KEY=canary-1 OTHER=canary-o"),
     .base = kEnv},
    {.key = "secret.static_secret_render_interval",
     .before = "",
     .after = table("kv/app", "static_secret_render_interval = \"10s\"\n"),
     .then = [](Agent& agent) { CHECK(tries_in(agent, "GET kv/metadata/app", 2min) >= 10); },
     .base = kEnv},
    {.key = "template_config.static_secret_render_interval",
     .before = "",
     .after = section("template_config", "static_secret_render_interval = \"10s\""),
     .then = [](Agent& agent) { CHECK(tries_in(agent, "GET kv/metadata/app", 2min) >= 10); },
     .base = kEnv},
    {.key = "secret.max_stale, secret.on_stale",
     .before = "",
     .after = table("kv/app", "max_stale = \"1m\"\non_stale = \"stop\"\n"),
     .then =
         [](Agent& agent) {
           away(agent);
           agent.live(5min);
           CHECK(std::ranges::find(agent.spawner->asked, "stop 15") != agent.spawner->asked.end());
         },
     .base = kEnv},
    {.key = "secret.start_grace",
     .before = section("template_config", "start_grace = \"1m\""),
     .after = section("template_config", "start_grace = \"1m\"") +
              table("kv/app", "start_grace = \"10m\"\n"),
     .then =
         [](Agent& agent) {
           agent.live(2min);
           CHECK(!agent.code);
         },
     .first = [](Agent& agent) { agent.live(1s); },
     .prepare = no_value,
     .base = kEnv},
    {.key = "secret.exit_on_retry_failure",
     .before = "",
     .after = table("kv/app", "exit_on_retry_failure = false\n"),
     .then =
         [](Agent& agent) {
           agent.live(5min);
           CHECK(!agent.code);
         },
     .first = [](Agent& agent) { agent.live(1s); },
     .prepare = no_value,
     .base = kEnv},
    {.key = "template_config.exit_on_retry_failure",
     .before = "",
     .after = section("template_config", "exit_on_retry_failure = false"),
     .then =
         [](Agent& agent) {
           agent.live(5min);
           CHECK(!agent.code);
         },
     .first = [](Agent& agent) { agent.live(1s); },
     .prepare = no_value,
     .base = kEnv},
};
TEST_CASE("what rules secrets") {
  kSecretRows.check();
}

}  // namespace
}  // namespace keybearer
