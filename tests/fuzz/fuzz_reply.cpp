// Any bytes as a server's answer, in pieces of any size: no crash, no endless loop, and what comes
// out is an answer or an error.

#include <algorithm>
#include <string>

#include "http/response_parser.hpp"
#include "lease/secret_schedule.hpp"
#include "secrets/classify.hpp"
#include "vault/reply.hpp"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace keybearer;
  if (size < 2) return 0;
  const std::size_t piece = 1 + data[0];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  http::ResponseParser parser(64 * 1024, (piece & 7) == 7);
  std::string waiting;
  for (std::size_t at = 0; at < bytes.size() && !parser.done();) {
    const auto part = bytes.substr(at, piece);
    at += part.size();
    waiting += part;
    const auto used = parser.put(waiting);
    if (!used) return 0;
    waiting.erase(0, *used);
  }
  if (!parser.done() && !parser.ended()) return 0;
  auto reply = vault::parse_reply(parser.take(), {.method = "GET", .path = "kv/data/x"});
  if (!reply) return 0;
  const auto life =
      secrets::lifetime_of(tmpl::read_dependency("kv/data/x").value(), *reply, WallTime{});
  (void)secrets::kv_version(*reply);
  (void)vault::parse_lookup(*reply, {});
  (void)vault::parse_mount(*reply);
  lease::SecretSchedule schedule({{}, {}, {}}, 0.5);
  const Instant now{std::chrono::hours(1)};
  if (schedule.answered(life, now).at < now) __builtin_trap();  // never in the past
  return 0;
}
