#pragma once
// A call as the engines see it, and what they answer; the shapes of Vault's JSON, its times and
// durations. Vault API: every 200 has the same envelope, errors are {"errors":[...]}.

#include <chrono>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.hpp"
#include "json/value.hpp"

namespace keybearer::devvault {

using Seconds = std::chrono::seconds;

enum class Operation { read, list, update, remove, patch };

struct Token;

struct Call {
  Operation operation;
  std::string path;  // "secret/data/app", no v1/ and no slash at the start
  Value body;        // a map; empty when there was none
  WallTime now;
  Token* token = nullptr;  // who asks; none for logins and health
};

struct Answer {
  int status = 200;
  Value data = {};
  Value auth = {};
  std::vector<std::string> errors = {};  // status >= 400, unless `data` or a warning is there
  std::vector<std::string> warnings = {};
  std::string lease_id = {};
  bool renewable = false;
  std::int64_t lease_duration = 0;
  bool bare = false;                  // `data` is the whole body (sys/health)
  std::string wrapped_accessor = {};  // of a new token or secret_id, for wrap_info
};

[[nodiscard]] Answer ok(Value data);
[[nodiscard]] Answer done();  // 204
[[nodiscard]] Answer refuse(int status, std::string text);
[[nodiscard]] inline Answer denied() {
  return refuse(403, "permission denied");
}
[[nodiscard]] Answer nothing_there();     // 404, no text
[[nodiscard]] Answer unsupported();       // 405, no text
[[nodiscard]] Answer keys_of(List keys);  // {"keys":[...]}, or 404 when there are none

[[nodiscard]] std::string body_of(const Answer& answer, std::string_view request_id,
                                  const Value& wrap_info = {});

// {"a": 1, ...}
[[nodiscard]] Value object(std::initializer_list<std::pair<std::string_view, Value>> members);
[[nodiscard]] inline Value number(std::int64_t n) {
  return Value::int64(n);
}
[[nodiscard]] inline Value number(Seconds time) {
  return Value::int64(time.count());
}
[[nodiscard]] Value strings(const std::vector<std::string>& items);

// Random: letters and digits; a UUID.
[[nodiscard]] std::string random_text(std::size_t length);
[[nodiscard]] std::string random_uuid();

[[nodiscard]] std::string rfc3339(WallTime time);
[[nodiscard]] std::int64_t epoch(WallTime time);
// "1h30m", "20s", "20" or a number of seconds; none when the member is not there or unreadable.
[[nodiscard]] std::optional<Seconds> duration_at(const Value& map, std::string_view name);
[[nodiscard]] std::string short_text(Seconds time);  // "10m", "1h", "58s"
// ["a","b"] or "a,b"
[[nodiscard]] std::vector<std::string> list_at(const Value& map, std::string_view name);

// What is left of a time: whole seconds, never negative.
[[nodiscard]] Seconds left(WallTime until, WallTime now);

// "a/b/c" -> "a", and "b/c" stays behind.
[[nodiscard]] std::string take_segment(std::string_view& path);

}  // namespace keybearer::devvault
