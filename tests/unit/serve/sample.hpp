#pragma once
// A snapshot with something of everything in it.

#include "serve/snapshot.hpp"

namespace keybearer::serve {

using namespace std::chrono_literals;

inline Snapshot sample() {
  Snapshot s;
  s.now = Instant(1000h);
  s.wall = WallTime(std::chrono::sys_days(std::chrono::year(2026) / 11 / 29) + 12h);
  s.instance = {.name = "app",
                .version = "1.2.3",
                .mode = "run",
                .pid = 77,
                .started = s.now - 1h,
                .config = {"/etc/app/agent.toml"},
                .ready = true};
  s.token = {.phase = Snapshot::Token::Phase::valid,
             .method = "approle",
             .mount = "auth/approle",
             .accessor = "the-accessor",
             .ttl = 1h,
             .expires = s.now + 40min,
             .next_at = s.now + 28min,
             .renewable = true,
             .attempts = {{"approle", {.succeeded = 2, .refused = 1, .unanswered = 3}}},
             .renewals = {.succeeded = 4}};
  s.server = {.address = "https://vault:8200", .version = "1.14.2", .reachable_since = s.now - 1h};
  s.secrets = {{.path = "database/creds/app",
                .kind = "dynamic",
                .lease_hash = "abc123",
                .lease_id = "database/creds/app/the-lease-id",
                .renewable = true,
                .state = Snapshot::Secret::State::fresh,
                .generation = 3,
                .lease_end = s.now + 30min,
                .next_at = s.now + 10min,
                .next_action = "renew",
                .last_success = s.now - 5min,
                .reason = "new credentials before the end of the lease",
                .fetches = {.succeeded = 3}},
               {.path = "kv/data/app",
                .kind = "kv",
                .state = Snapshot::Secret::State::fresh,
                .generation = 1,
                .version = 7,
                .next_at = s.now + 1min,
                .next_action = "compare",
                .last_success = s.now - 4min,
                .reason = "first read",
                .fetches = {.succeeded = 13, .unanswered = 1}}};
  s.files = {{.path = "/srv/app.env", .mode = 0640, .written_at = s.wall - 1h, .written = 2}};
  s.child = Snapshot::Child{.state = "running",
                            .alive = true,
                            .pid = 812,
                            .command = "/usr/bin/app",
                            .since = s.now - 10min,
                            .starts = 3,
                            .last_exit = Snapshot::Child::Exit{.signaled = true, .code = 15},
                            .restarts = {{"secret", 2}},
                            .exits = {{{.signaled = true, .code = 15}, 2}}};
  s.requests = {.succeeded = 20, .refused = 1, .failed = 2, .unanswered = 3, .throttled = 4};
  s.fetch_time.observe(3ms);
  s.fetch_time.observe(20s);
  s.redactions = 5;
  s.events = {{.at = s.wall - 1min,
               .level = log::Level::info,
               .event = "child.restart",
               .message = "restart: DB changed",
               .fields = "path=a"}};
  return s;
}

}  // namespace keybearer::serve
