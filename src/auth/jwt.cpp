#include "auth/jwt.hpp"

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "config/scalars.hpp"
#include "crypto/base64url.hpp"
#include "json/json.hpp"

namespace keybearer::auth {
namespace {

constexpr std::size_t kMaxToken = 64 << 10;
constexpr std::size_t kMaxText = 200;
constexpr std::size_t kMaxAudiences = 8;
constexpr double kLatest = 253402300799.0;  // the end of the year 9999

std::string text_of(const Value* value) {
  if (value == nullptr || value->type() != Type::string) return {};
  return std::string(value->as_text().substr(0, kMaxText));
}

// NumericDate may have a fraction.
std::optional<std::int64_t> time_of(const Value* value) {
  if (value == nullptr || value->type() != Type::number) return std::nullopt;
  const auto text = value->as_text();
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (!(seconds >= 0 && seconds <= kLatest)) return std::nullopt;
  return static_cast<std::int64_t>(seconds);
}

std::vector<std::string> texts_of(const Value* value) {
  std::vector<std::string> out;
  if (value == nullptr) return out;
  if (value->type() == Type::string) out.push_back(text_of(value));
  if (!value->is_list()) return out;
  for (const Value& item : value->items())
    if (item.type() == Type::string && out.size() < kMaxAudiences) out.push_back(text_of(&item));
  return out;
}

// In a log line: no control character, nothing that turns the direction of writing.
std::string quoted(std::string_view text) {
  return config::escaped(json::quote(text));
}

std::string list_text(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const auto& item : items) out += (out.size() > 1 ? ", " : "") + quoted(item);
  return out + "]";
}

std::string expiry_text(std::int64_t expires, std::int64_t now) {
  return (expires <= now ? "expired at " : "expires at ") + utc_text(expires) + " (" +
         relative_time(expires, now) + ")";
}

}  // namespace

std::optional<JwtClaims> read_jwt(std::string_view token) {
  if (token.size() > kMaxToken) return std::nullopt;
  const auto first = token.find('.');
  const auto second = first == token.npos ? token.npos : token.find('.', first + 1);
  if (second == token.npos || token.find('.', second + 1) != token.npos) return std::nullopt;
  const auto payload = base64url_decoded(token.substr(first + 1, second - first - 1));
  if (!payload) return std::nullopt;
  const auto claims = json::parse(*payload, {.max_depth = 32, .max_values = 10'000});
  if (!claims || !claims->is_map()) return std::nullopt;
  return JwtClaims{.issuer = text_of(claims->find("iss")),
                   .subject = text_of(claims->find("sub")),
                   .audience = texts_of(claims->find("aud")),
                   .issued = time_of(claims->find("iat")),
                   .not_before = time_of(claims->find("nbf")),
                   .expires = time_of(claims->find("exp"))};
}

std::string describe_jwt(std::string_view token, WallTime wall) {
  const auto claims = read_jwt(token);
  if (!claims) return "what is there is no JWT";
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(wall.time_since_epoch()).count();
  std::string out = "its aud = " + list_text(claims->audience) +
                    ", iss = " + quoted(claims->issuer) + ", sub = " + quoted(claims->subject);
  if (claims->expires) out += ", " + expiry_text(*claims->expires, now);
  if (claims->not_before && *claims->not_before > now)
    out += ", valid only from " + utc_text(*claims->not_before) + " (" +
           relative_time(*claims->not_before, now) + ")";
  return out + "; our clock says " + utc_text(now);
}

std::string relative_time(std::int64_t at, std::int64_t now) {
  const auto away = at < now ? now - at : at - now;
  if (away == 0) return "now";
  const std::string span = away < 120       ? std::to_string(away) + " s"
                           : away < 7200    ? std::to_string(away / 60) + " min"
                           : away < 172'800 ? std::to_string(away / 3600) + " h"
                                            : std::to_string(away / 86'400) + " days";
  return at < now ? span + " ago" : "in " + span;
}

std::string utc_text(std::int64_t seconds) {
  using namespace std::chrono;
  if (seconds < 0 || static_cast<double>(seconds) > kLatest) return "";
  const sys_seconds at{std::chrono::seconds(seconds)};
  const auto day = floor<days>(at);
  const year_month_day date(day);
  const hh_mm_ss time(at - day);
  char out[32];
  std::snprintf(out, sizeof out, "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()));
  return out;
}

}  // namespace keybearer::auth
