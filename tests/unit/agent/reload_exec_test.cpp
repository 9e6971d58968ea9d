#include <sys/resource.h>

#include <map>

#include "reload_row.hpp"

// What a reload says is applied rules from then on: how the program is started, its end, and what
// goes on beside it.
namespace keybearer {
namespace {

// `options` of the next start.
Seen starts_with(std::function<bool(const Agent& agent)> good) {
  return [good = std::move(good)](Agent& agent) {
    restarted(agent);
    CHECK(agent.spawns() == 2);
    CHECK(good(agent));
  };
}
void ends(Agent& agent, int code) {
  agent.spawner->exit({.signaled = false, .code = code});
  agent.io.advance(100ms);
}
TreeMember member(pid_t pid) {
  return {.pid = pid, .parent = 1, .group = pid, .name = "app", .start_time = 1, .adopter = 1};
}
const std::string kAlways = "restart_on_exit = \"always\"\n";
const std::string kVerify = "[exec.verify]\n";

// Each its own: as the row for them has it.
bool has_limits(const StartOptions& options) {
  std::map<int, rlim_t> left = {
      {RLIMIT_AS, 9000000001},   {RLIMIT_CORE, 2},        {RLIMIT_CPU, 3},
      {RLIMIT_DATA, 9000000004}, {RLIMIT_FSIZE, 5},       {RLIMIT_MEMLOCK, 6},
      {RLIMIT_MSGQUEUE, 7},      {RLIMIT_NICE, 8},        {RLIMIT_NOFILE, 9},
      {RLIMIT_NPROC, 10},        {RLIMIT_RSS, 11},        {RLIMIT_RTPRIO, 12},
      {RLIMIT_RTTIME, 13},       {RLIMIT_SIGPENDING, 14}, {RLIMIT_STACK, 9000015}};
  for (const auto& [resource, value] : options.limits) {
    const auto at = left.find(resource);
    if (at == left.end() || value.rlim_cur != at->second || value.rlim_max != at->second)
      return false;
    left.erase(at);
  }
  return left.empty();
}

const ReloadRows kStartRows = {
    {.key = "exec.command",
     .before = "",
     .after = "",
     .then =
         [](Agent& agent) {
           std::string text = kEnv;
           text.replace(text.find("\"app\""), 5, "\"other\", \"argument\"");
           agent.configure(text);
           agent.signal(SIGHUP);
           agent.live(2s);
           restarted(agent);
           CHECK(agent.spawner->argv == std::vector<std::string>{"other", "argument"});
         },
     .first =
         [](Agent& agent) {
           agent.live(5s);
           agent.configure(std::string("log_level = \"debug\"\n") + kEnv);
           agent.signal(SIGHUP);
           agent.live(2s);
           std::ofstream(agent.path("log"), std::ios::trunc).flush();
         },
     .base = kEnv},
    {.key = "exec.working_directory",
     .before = "",
     .after = "working_directory = \"%D\"\n",
     .then = starts_with([](const Agent& agent) {
       return agent.spawner->options.working_directory + "/" == agent.path("");
     }),
     .base = kEnv},
    {.key = "exec.umask",
     .before = "",
     .after = "umask = \"0027\"\n",
     .then = starts_with([](const Agent& a) { return a.spawner->options.umask == 027u; }),
     .base = kEnv},
    {.key = "exec.nice",
     .before = "",
     .after = "nice = 7\n",
     .then = starts_with([](const Agent& a) { return a.spawner->options.nice == 7; }),
     .base = kEnv},
    {.key = "exec.user, exec.group",
     .before = "",
     .after = "user = \"65533\"\ngroup = \"65532\"\n",
     .then = starts_with([](const Agent& a) {
       return a.spawner->options.user == 65533u && a.spawner->options.group == 65532u;
     }),
     .base = kEnv},
    {.key = "exec.stdout, exec.stderr",
     .before = "",
     .after = "stdout = \"%D/out\"\nstderr = \"%D/err\"\n",
     .then = starts_with([](const Agent& a) { return a.has_file("out") && a.has_file("err"); }),
     .base = kEnv},
    {.key = "exec.rlimits.as, exec.rlimits.core, exec.rlimits.cpu, exec.rlimits.data, "
            "exec.rlimits.fsize, exec.rlimits.memlock, exec.rlimits.msgqueue, exec.rlimits.nice, "
            "exec.rlimits.nofile, exec.rlimits.nproc, exec.rlimits.rss, exec.rlimits.rtprio, "
            "exec.rlimits.rttime, exec.rlimits.sigpending, exec.rlimits.stack",
     .before = "",
     .after = "[exec.rlimits]\nas = 9000000001\ncore = 2\ncpu = 3\ndata = 9000000004\nfsize = 5\n"
              "memlock = 6\nmsgqueue = 7\nnice = 8\nnofile = 9\nnproc = 10\nrss = 11\nrtprio = 12\n"
              "rttime = 13\nsigpending = 14\nstack = 9000015\n",
     .then = starts_with([](const Agent& a) { return has_limits(a.spawner->options); }),
     .base = kEnv},
    {.key = "exec.allow_reserved_env",
     .before = "",
     .after = "allow_reserved_env = true\n[env.BASH_ENV]\ncontents = 'x'\n",
     .then = spawned("BASH_ENV=x KEY=canary-1"),
     .base = kEnv},
    {.key = "exec.pass_credentials",
     .before = "",
     .after = "pass_credentials = true\n",
     .then = starts_with([](const Agent& a) {
       return a.last_spawn() == "spawn KEY=canary-2 VAULT_TOKEN=canary-t";
     }),
     .prepare = [](Agent& agent) { agent.set_variable("VAULT_TOKEN", "canary-t"); },
     .base = kEnv},
};
TEST_CASE("what rules the next start") {
  kStartRows.check();
}

const ReloadRows kEndRows = {
    {.key = "exec.debounce_max",
     .before = "debounce = \"20s\"\ndebounce_max = \"10m\"\n",
     .after = "debounce = \"20s\"\ndebounce_max = \"20s\"\n",
     .then =
         [](Agent& agent) {
           told(agent);
           agent.io.advance(5s);
           agent.server->put("kv/app", R"({"key":"canary-3"})");
           agent.signal(SIGHUP);
           agent.io.advance(10s);
           CHECK(agent.spawner->asked.back() == "stop 15");
         },
     .base = kEnv},
    {.key = "exec.splay",
     .before = "",
     .after = "splay = \"10h\"\n",
     .then =
         [](Agent& agent) {
           told(agent);
           CHECK(agent.spawner->asked.back().starts_with("spawn"));
           agent.io.advance(10h, 10s);
           CHECK(std::ranges::find(agent.spawner->asked, "stop 15") != agent.spawner->asked.end());
         },
     .base = kEnv},
    {.key = "exec.max_restarts",
     .before = kAlways,
     .after = kAlways + "max_restarts = 0\n",
     .then =
         [](Agent& agent) {
           ends(agent, 3);
           CHECK(agent.code == 3);
         },
     .base = kEnv},
    {.key = "exec.restart_window",
     .before = kAlways + "max_restarts = 1\nrestart_window = \"1s\"\n",
     .after = kAlways + "max_restarts = 1\nrestart_window = \"1h\"\n",
     .then =
         [](Agent& agent) {
           ends(agent, 3);
           agent.io.advance(30s);
           ends(agent, 3);
           CHECK(agent.code == 3);
         },
     .base = kEnv},
    {.key = "exec.restart_backoff",
     .before = kAlways,
     .after = kAlways + "restart_backoff = \"40s\"\n",
     .then =
         [](Agent& agent) {
           ends(agent, 3);
           agent.io.advance(15s);
           CHECK(agent.spawns() == 1);
           agent.io.advance(45s);
           CHECK(agent.spawns() == 2);
         },
     .base = kEnv},
    {.key = "exec.restart_backoff_max",
     .before = kAlways + "restart_backoff = \"1s\"\n",
     .after = kAlways + "restart_backoff = \"1s\"\nrestart_backoff_max = \"1s\"\n",
     .then =
         [](Agent& agent) {
           for (int times = 0; times < 4; ++times) {
             ends(agent, 3);
             agent.io.advance(3s);
           }
           CHECK(agent.spawns() == 5);
         },
     .base = kEnv},
    {.key = "exec.success_codes",
     .before = "restart_on_exit = \"on-failure\"\n",
     .after = "restart_on_exit = \"on-failure\"\nsuccess_codes = [0, 3]\n",
     .then =
         [](Agent& agent) {
           ends(agent, 3);
           CHECK(agent.code);
         },
     .base = kEnv},
    {.key = "exec.fatal_codes",
     .before = kAlways,
     .after = kAlways + "fatal_codes = [3]\n",
     .then =
         [](Agent& agent) {
           ends(agent, 3);
           CHECK(agent.code == 3);
         },
     .base = kEnv},
    {.key = "exec.forking",
     .before = "",
     .after = "forking = true\n",
     .then =
         [](Agent& agent) {
           agent.spawner->leaves_tree = true;
           agent.spawner->members = {member(4242)};
           ends(agent, 0);
           agent.io.advance(5s);
           CHECK(!agent.code);
           agent.spawner->end_tree();
           agent.io.advance(5s);
           CHECK(agent.code);
         },
     .base = kEnv},
    {.key = "exec.pid_file",
     .before = "forking = true\n",
     .after = "forking = true\npid_file = \"%D/pid\"\n",
     .then =
         [](Agent& agent) {
           std::ofstream(agent.path("pid")) << "4242\n";
           agent.spawner->leaves_tree = true;
           agent.spawner->members = {member(4242), member(4243)};
           ends(agent, 0);
           agent.io.advance(5s);
           agent.signal(SIGUSR1);
           CHECK(agent.spawner->asked.back() == "signal 10 to 4242");
           agent.spawner->end_tree();
           agent.io.advance(5s);
         },
     .base = kEnv},
};
TEST_CASE("what rules restarts and ends") {
  kEndRows.check();
}

const Seen kRefused = [](Agent& agent) {
  told(agent);
  until(agent, [&] {
    agent.io.advance(100ms);  // until the command's time is over, whenever it began
    return agent.lines("1 of 1 attempts") > 0;
  });
  CHECK(agent.spawns() == 1);
};
const std::string kFails = kVerify + "command = [\"false\"]\n";

const ReloadRows kTrialRows = {
    {.key = "exec.verify.command, exec.verify.attempts",
     .before = "",
     .after = kFails + "attempts = 1\n",
     .then = kRefused,
     .base = kEnv},
    {.key = "exec.verify.timeout",
     .before = "",
     .after = kVerify + "command = [\"sleep\", \"1000\"]\nattempts = 1\ntimeout = \"1s\"\n",
     .then = kRefused,
     .base = kEnv},
    {.key = "exec.verify.backoff",
     .before = "",
     .after = kFails + "backoff = \"10h\"\n",
     .then =
         [](Agent& agent) {
           told(agent);
           until(agent, [&] { return agent.lines("1 of 3 attempts") > 0; });
           agent.io.advance(1h, 10s);
           CHECK(agent.lines("2 of 3 attempts") == 0);
         },
     .base = kEnv},
    {.key = "exec.verify.command, no more",
     .before = kVerify + "command = \"test $KEY = canary-1\"\nattempts = 1\n",
     .after = "",
     .then =
         [](Agent& agent) {
           agent.io.advance(10s);
           CHECK(agent.spawner->asked.back() == "stop 15");
         },
     .first =
         [](Agent& agent) {
           agent.live(1s);
           until(agent, [&] { return agent.spawns() == 1; });
           agent.server->put("kv/app", R"({"key":"canary-2"})");
           agent.io.advance(6min, 1s);
           until(agent, [&] { return agent.lines("1 of 1 attempts") > 0; });
         },
     .base = kEnv},
};
TEST_CASE("what rules the trial of new values") {
  kTrialRows.check();
}

const std::string kStale = section("template_config", "max_stale = \"1m\"");
void grows_stale(Agent& agent) {
  away(agent);
  agent.live(5min);
}
long log_files(const Agent& agent) {
  long n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(agent.path("")))
    n += entry.path().filename().string().starts_with("log") ? 1 : 0;
  return n;
}
// A look each second is asked for.
long asked_in(Agent& agent, int seconds) {
  const auto before = agent.server->asked.size();
  for (int i = 0; i < seconds; ++i) {
    agent.signal(SIGHUP);
    agent.io.advance(1s);
  }
  return static_cast<long>(agent.server->asked.size() - before);
}
std::string budget(const std::string& lines) {
  return "[vault.budget]\n" + lines;
}
constexpr const char* kRotated = "log_rotate_bytes = 1024\n";
std::string with_top(const std::string& lines) {
  return lines + kEnv;
}

const ReloadRows kBesideRows = {
    {.key = "notify.command",
     .before = kStale,
     .after = kStale + "[notify]\ncommand = [\"touch\", \"%D/touched\"]\ntimeout = \"1h\"\n",
     .then =
         [](Agent& agent) {
           grows_stale(agent);
           until(agent, [&] { return agent.has_file("touched"); });
         },
     .base = kEnv},
    {.key = "notify.timeout",
     .before = kStale,
     .after = kStale + "[notify]\ncommand = [\"sleep\", \"1000\"]\ntimeout = \"1s\"\n",
     .then =
         [](Agent& agent) {
           grows_stale(agent);
           until(agent, [&] { return agent.lines("notify.command failed") > 0; });
         },
     .base = kEnv},
    {.key = "vault.budget.requests_per_minute",
     .before = "",
     .after = budget("requests_per_minute = 10\nburst = 5\n"),
     .then = [](Agent& agent) { CHECK(asked_in(agent, 60) <= 16); },
     .base = kEnv},
    {.key = "vault.budget.burst",
     .before = budget("requests_per_minute = 10\nburst = 1000\n"),
     .after = budget("requests_per_minute = 10\nburst = 5\n"),
     .then =
         [](Agent& agent) {
           asked_in(agent, 60);
           CHECK(asked_in(agent, 60) <= 16);
         },
     .base = kEnv},
    {.key = "vault.retry.min_backoff",
     .before = "",
     .after = section("vault.retry", "min_backoff = \"40s\""),
     .then =
         [](Agent& agent) {
           agent.server->broken["GET kv/metadata/app"] = 500;
           agent.server->broken["GET kv/data/app"] = 500;
           agent.io.advance(2s);
           agent.signal(SIGHUP);
           CHECK(tries_in(agent, "GET kv/", 15s) <= 3);
         },
     .base = kEnv},
};
TEST_CASE("what rules alarms and requests") {
  kBesideRows.check();
}

// What stands above the first table.
struct TopRow {
  std::string key, lines;
  Seen then;
};
const Seen kTalks = [](Agent& agent) {
  for (int i = 0; i < 100; ++i) {
    agent.signal(SIGHUP);
    agent.io.advance(2s);
  }
};
TEST_CASE("what rules the log") {
  const TopRow rows[] = {
      {"log_rotate_bytes", kRotated,
       [](Agent& agent) {
         kTalks(agent);
         CHECK(log_files(agent) > 3);
       }},
      {"log_rotate_duration",
       "log_rotate_duration = \"10s\"\n"
       "template_config.static_secret_render_interval = \"2s\"\n",
       [](Agent& agent) {
         for (int i = 0; i < 100; ++i) {  // without a signal: that opens the file again
           agent.server->put("kv/app", R"({"key":"canary-)" + std::to_string(i) + "\"}");
           agent.live(2s, 1s);
         }
         const long files = log_files(agent);
         CHECK(files >= 15);  // of 200 s, with a line each two
         CHECK(files <= 21);
       }},
      {"log_rotate_max_files", std::string(kRotated) + "log_rotate_max_files = 1\n",
       [](Agent& agent) {
         kTalks(agent);
         CHECK(log_files(agent) == 2);
       }},
  };
  for (const TopRow& row : rows) {
    CAPTURE(row.key);
    Agent agent;
    agent.start(Mode::run, kEnv);
    agent.live(5s);
    agent.configure(with_top(row.lines));
    agent.signal(SIGHUP);
    CHECK(agent.lines("log_rotate") >= 1);
    row.then(agent);
  }
}
const bool noted =
    note_keys("log_rotate_bytes, log_rotate_duration, log_rotate_max_files, log_level");

}  // namespace
}  // namespace keybearer
