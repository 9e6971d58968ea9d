#pragma once
// A reload of a running agent, key by key: a row has what is written before and after it, and what
// is seen of it.

#include <sys/stat.h>

#include <functional>
#include <ranges>
#include <set>

#include "asker.hpp"

namespace keybearer {

using Agent = AgentFixture;

using Seen = std::function<void(Agent& agent)>;

struct ReloadRow {
  std::string key;            // or several, and what it is about beside: "a.b, a.c, later"
  std::string before, after;  // beyond `base`
  Seen then;                  // after the reload
  Seen first = [](Agent& agent) { agent.live(10s); };  // before it
  Seen prepare = [](Agent&) {};                        // before the start
  const char* base = kDatabase;
  Mode mode = Mode::run;
};

// The keys that some table has a row for; a test compares them with those that there are.
inline std::set<std::string, std::less<>>& keys_with_row() {
  static std::set<std::string, std::less<>> keys;
  return keys;
}
inline bool note_keys(std::string_view row) {
  for (const auto part : std::views::split(row, std::string_view(", ")))
    keys_with_row().emplace(std::string_view(part));
  return true;
}

class ReloadRows {
 public:
  ReloadRows(std::initializer_list<ReloadRow> rows) : rows_(rows) {
    for (const ReloadRow& row : rows_) note_keys(row.key);
  }
  void check() const;

 private:
  std::vector<ReloadRow> rows_;
};

inline void check(const ReloadRow& row) {
  CAPTURE(row.key);
  Agent agent;
  row.prepare(agent);
  agent.start(row.mode, row.base + row.before);
  row.first(agent);
  REQUIRE_MESSAGE(!agent.code, agent.log_text());
  agent.configure(row.base + row.after);
  agent.signal(SIGHUP);
  CHECK(agent.lines("config.reloaded") + agent.lines("read again") == 1);
  CHECK(agent.lines("a restart of keybearer is needed") == 0);
  CHECK(agent.lines("changed=nothing") == 0);
  row.then(agent);
}
inline void ReloadRows::check() const {
  for (const ReloadRow& row : rows_) keybearer::check(row);
}

// Another value, looked at now; the child hears of it, or not.
inline void told(Agent& agent) {
  agent.server->put("kv/app", R"({"key":"canary-2","other":"canary-o"})");
  agent.signal(SIGHUP);
  agent.io.advance(10s);
}
inline void restarted(Agent& agent) {
  told(agent);
  agent.child_obeys();
  agent.io.advance(1s);
}
// What a real command does takes time of its own.
template <class Done>
void until(Agent& agent, Done done) {
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (!done() && std::chrono::steady_clock::now() < limit) {
    agent.io.context.restart();
    (void)agent.io.context.run_one_for(10ms);
  }
  CHECK_MESSAGE(done(), agent.log_text());
}
inline Seen spawned(const std::string& environment) {
  return [environment](Agent& agent) {
    agent.live(20s);
    CHECK(agent.last_spawn() == "spawn " + environment);
  };
}
inline Seen wrote(const std::string& name, const std::string& text) {
  return [=](Agent& agent) {
    agent.live(20s);
    CHECK(agent.file(name) == text);
  };
}
inline Seen said(const std::string& text) {
  return [text](Agent& agent) {
    agent.live(20s);
    CHECK_MESSAGE(agent.lines(text) >= 1, agent.log_text());
  };
}
inline Seen source(const std::string& text) {
  return [text](Agent& agent) { std::ofstream(agent.path("source")) << text; };
}

inline void away(Agent& agent) {
  agent.server->away = ErrorKind::network;
}
inline void refuses_logins(Agent& agent) {
  agent.server->login_allowed = false;
}
inline void tokens_end(Agent& agent) {
  agent.server->token_renewable = false;
}
inline void no_value(Agent& agent) {
  agent.server->kv.clear();
}
inline void leases_end(Agent& agent) {
  agent.server->roles["database/creds/app"].renewable = false;
}

inline constexpr auto kRenewToken = "POST auth/token/renew-self";
inline constexpr auto kRenewLease = "PUT sys/leases/renew";
inline constexpr auto kLogin = "POST auth/approle/login";

inline std::string section(const std::string& name, const std::string& line) {
  return "[" + name + "]\n" + line + "\n";
}
inline std::string optional_secret(const std::string& line) {
  return "[[secret]]\npath = \"kv/app\"\n" + line + "\n";
}
inline bool body_has(const Agent& agent, std::string_view route, std::string_view part) {
  return std::ranges::any_of(agent.server->asked, [&](const auto& each) {
    return each.route.starts_with(route) && each.body.contains(part);
  });
}
inline long tries_in(Agent& agent, std::string_view route, Duration time) {
  const long before = agent.server->count(route);
  agent.live(time, 100ms);
  return agent.server->count(route) - before;
}
inline unsigned mode_of(const std::string& path) {
  struct stat info{};
  REQUIRE(stat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

}  // namespace keybearer
