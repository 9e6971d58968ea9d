#pragma once
// A reload of a running agent, key by key: a row has what is written before and after it, and what
// is seen of it.

#include <sys/stat.h>

#include "asker.hpp"

namespace keybearer {

using Agent = AgentFixture;

struct ReloadRow {
  std::string key;
  std::string before, after;                                            // beyond kEnv or kDatabase
  void (*then)(Agent& agent);                                           // after the reload
  void (*first)(Agent& agent) = [](Agent& agent) { agent.live(10s); };  // before it
  void (*prepare)(Agent& agent) = [](Agent&) {};                        // before the start
  const char* base = kDatabase;
  Mode mode = Mode::run;
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
  row.then(agent);
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
