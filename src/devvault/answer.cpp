#include "devvault/answer.hpp"

#include <fmt/format.h>
#include <sys/random.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "config/load.hpp"
#include "json/json.hpp"

namespace keybearer::devvault {

Answer ok(Value data) {
  return {.data = std::move(data)};
}
Answer done() {
  return {.status = 204};
}
Answer refuse(int status, std::string text) {
  return {.status = status, .errors = {std::move(text)}};
}
Answer nothing_there() {
  return {.status = 404};
}
Answer unsupported() {
  return {.status = 405};
}

Answer keys_of(List keys) {
  if (keys.empty()) return nothing_there();
  return ok(object({{"keys", Value::list(std::move(keys))}}));
}

std::string body_of(const Answer& answer, std::string_view request_id, const Value& wrap_info) {
  if (answer.status == 204) return {};
  if (answer.bare) return json::write(answer.data) + "\n";
  const bool envelope = answer.status < 400 || !answer.data.is_nil() || !answer.warnings.empty();
  if (!envelope) return fmt::format("{{\"errors\":{}}}\n", json::write(strings(answer.errors)));
  return fmt::format(
      R"({{"request_id":{},"lease_id":{},"renewable":{},"lease_duration":{},"data":{},"wrap_info":{},"warnings":{},"auth":{}}})"
      "\n",
      json::quote(request_id), json::quote(answer.lease_id), answer.renewable,
      answer.lease_duration, json::write(answer.data), json::write(wrap_info),
      answer.warnings.empty() ? "null" : json::write(strings(answer.warnings)),
      json::write(answer.auth));
}

Value object(std::initializer_list<std::pair<std::string_view, Value>> members) {
  Value map = Value::map();
  for (const auto& [name, value] : members) map.set(name, value);
  return map;
}

Value strings(const std::vector<std::string>& items) {
  List list;
  for (const auto& item : items) list.emplace_back(item);
  return Value::list(std::move(list));
}

std::string random_text(std::size_t length) {
  static constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  std::string text;
  while (text.size() < length) {
    std::array<unsigned char, 64> bytes{};
    if (getrandom(bytes.data(), bytes.size(), 0) < 0) continue;
    for (const unsigned char byte : bytes) {
      // only what gives each letter the same chance
      if (byte < 4 * kAlphabet.size() && text.size() < length)
        text += kAlphabet[byte % kAlphabet.size()];
    }
  }
  return text;
}

std::string random_uuid() {
  std::array<unsigned char, 16> b{};
  while (getrandom(b.data(), b.size(), 0) < 0) {
  }
  b[6] = static_cast<unsigned char>((b[6] & 0x0f) | 0x40);
  b[8] = static_cast<unsigned char>((b[8] & 0x3f) | 0x80);
  std::string text;
  for (std::size_t i = 0; i < b.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", b[i]);
  }
  return text;
}

std::int64_t epoch(WallTime time) {
  return std::chrono::system_clock::to_time_t(time);
}

std::string rfc3339(WallTime time) {
  const auto since = time.time_since_epoch();
  const auto seconds = std::chrono::floor<Seconds>(since);
  const auto nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(since - seconds).count();
  const time_t whole = seconds.count();
  tm parts{};
  gmtime_r(&whole, &parts);
  std::string text =
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", parts.tm_year + 1900, parts.tm_mon + 1,
                  parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
  if (nanos != 0) {
    text += fmt::format(".{:09}", nanos);
    text.erase(text.find_last_not_of('0') + 1);
  }
  return text + "Z";
}

std::optional<Seconds> duration_at(const Value& map, std::string_view name) {
  const auto text = text_at(map, name);
  if (text.empty()) return {};
  const auto time = config::parse_duration(text);
  if (!time) return {};
  return std::chrono::duration_cast<Seconds>(*time);
}

std::string short_text(Seconds time) {
  const auto total = time.count();
  std::string text;
  if (total >= 3600) text += fmt::format("{}h", total / 3600);
  if (total % 3600 / 60 != 0) text += fmt::format("{}m", total % 3600 / 60);
  if (total % 60 != 0 || text.empty()) text += fmt::format("{}s", total % 60);
  return text;
}

std::vector<std::string> list_at(const Value& map, std::string_view name) {
  std::vector<std::string> out;
  const Value& value = value_at(map, name);
  if (value.is_list()) {
    for (const Value& item : value.items()) out.emplace_back(item.is_text() ? item.as_text() : "");
  } else if (value.is_text()) {
    std::string_view rest = value.as_text();
    while (!rest.empty()) {
      const auto comma = std::min(rest.find(','), rest.size());
      std::string item(rest.substr(0, comma));
      item.erase(0, item.find_first_not_of(' ') == std::string::npos ? item.size()
                                                                     : item.find_first_not_of(' '));
      item.erase(item.find_last_not_of(' ') + 1);
      if (!item.empty()) out.push_back(item);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return out;
}

Seconds left(WallTime until, WallTime now) {
  return std::max(Seconds(0), std::chrono::duration_cast<Seconds>(until - now));
}

std::string take_segment(std::string_view& path) {
  const auto slash = std::min(path.find('/'), path.size());
  std::string segment(path.substr(0, slash));
  path.remove_prefix(std::min(slash + 1, path.size()));
  return segment;
}

}  // namespace keybearer::devvault
