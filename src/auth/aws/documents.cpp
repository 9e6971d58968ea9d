#include "auth/aws/documents.hpp"

#include <time.h>

#include <algorithm>
#include <charconv>

#include "base/redactor.hpp"
#include "base/text.hpp"
#include "json/json.hpp"

namespace keybearer::auth::aws {
namespace {

constexpr std::size_t kMaxValue = 16 << 10;
constexpr std::size_t kMaxShown = 200;
constexpr json::Limits kLimits{.max_depth = 16, .max_values = 1000};
constexpr std::string_view kBlanks = " \t";
constexpr int kLastYear = 2199;  // the wall clock's nanoseconds end in 2262
constexpr std::int64_t kLastMilliseconds = 7'258'118'400'000;  // the end of that year

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return out;
}

// The first so many digits as a number, which `text` loses.
std::optional<int> take_digits(std::string_view& text, std::size_t count) {
  if (text.size() < count) return {};
  int value = 0;
  const char* const last = text.data() + count;
  const auto [end, error] = std::from_chars(text.begin(), last, value);
  if (error != std::errc{} || end != last || text.front() == '-') return {};
  text.remove_prefix(count);
  return value;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

// "Z", "+02:00", "+0200", "": seconds east of Greenwich.
std::optional<int> offset_of(std::string_view text) {
  if (text.empty() || text == "Z" || text == "z" || text == "UTC") return 0;
  const int sign = text.front() == '-' ? -1 : 1;
  if (!take(text, '+') && !take(text, '-')) return {};
  const auto hours = take_digits(text, 2);
  (void)take(text, ':');
  const auto minutes = take_digits(text, 2);
  if (!hours || !minutes || !text.empty() || *hours > 24 || *minutes > 59) return {};
  return sign * (*hours * 3600 + *minutes * 60);
}

std::unexpected<Error> bad(std::string_view what) {
  return fail(ErrorKind::bad_reply, std::string(what));
}

struct Fields {
  std::string_view id, secret, token;
  std::optional<WallTime> expires;
};

result<Keys> keys_of(const Fields& fields) {
  if (fields.id.empty() || fields.secret.empty() || fields.token.empty())
    return bad("an answer without access key, secret key or session token");
  if (!is_plain(fields.id) || !is_plain(fields.secret) || !is_plain(fields.token))
    return bad("an answer whose credentials have blanks or control characters in them");
  if (!fields.expires) return bad("an answer without the time when the credentials expire");
  return Keys{.access_key_id = std::string(fields.id),
              .secret_access_key = std::make_shared<const Secret>(fields.secret),
              .session_token = std::make_shared<const Secret>(fields.token),
              .expires = fields.expires};
}

result<Value> parse_object(std::string_view text) {
  auto value = json::parse(text, kLimits);
  if (!value || !value->is_map()) return bad("an answer that is not a JSON object");
  return value;
}

// What stands between <name> and </name>, entities as they are.
std::string_view element(std::string_view xml, std::string_view name) {
  const std::string open = "<" + std::string(name) + ">", close = "</" + std::string(name) + ">";
  const auto begin = xml.find(open);
  if (begin == xml.npos) return {};
  const auto end = xml.find(close, begin + open.size());
  return end == xml.npos ? std::string_view{}
                         : xml.substr(begin + open.size(), end - begin - open.size());
}

std::string unescaped(std::string_view text) {
  constexpr std::pair<std::string_view, char> kEntities[] = {
      {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
  std::string out;
  while (!text.empty()) {
    const auto found = std::ranges::find_if(
        kEntities, [text](const auto& entity) { return text.starts_with(entity.first); });
    const bool entity = found != std::end(kEntities);
    out += entity ? found->second : text.front();
    text.remove_prefix(entity ? found->first.size() : 1);
  }
  return out;
}

std::string shown(std::string_view text) {
  std::string line;
  for (const char c : text) line += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  const bool cut = line.size() > kMaxShown;
  if (!cut) return redactor().redact(line);
  line.resize(kMaxShown);
  return redactor().redact_cut(line) + " ...";
}

}  // namespace

bool is_plain(std::string_view text) {
  return text.size() <= kMaxValue &&
         std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

std::optional<WallTime> parse_time(std::string_view text) {
  tm parts{};
  const auto year = take_digits(text, 4);
  if (!year || *year < 1970 || *year > kLastYear || !take(text, '-')) return {};
  const auto month = take_digits(text, 2);
  if (!month || !take(text, '-')) return {};
  const auto day = take_digits(text, 2);
  if (!day || (!take(text, 'T') && !take(text, 't') && !take(text, ' '))) return {};
  const auto hour = take_digits(text, 2);
  if (!hour || !take(text, ':')) return {};
  const auto minute = take_digits(text, 2);
  if (!minute || !take(text, ':')) return {};
  const auto second = take_digits(text, 2);
  if (!second) return {};
  if (*month < 1 || *month > 12 || *day < 1 || *day > 31 || *hour > 23 || *minute > 59 ||
      *second > 60)
    return {};
  if (take(text, '.'))
    text.remove_prefix(std::min(text.find_first_not_of("0123456789"), text.size()));
  const auto offset = offset_of(text);
  if (!offset) return {};
  parts.tm_year = *year - 1900;
  parts.tm_mon = *month - 1;
  parts.tm_mday = *day;
  parts.tm_hour = *hour;
  parts.tm_min = *minute;
  parts.tm_sec = *second;
  return std::chrono::system_clock::from_time_t(timegm(&parts) - *offset);
}

std::string time_text(WallTime time) {
  const time_t seconds = std::chrono::system_clock::to_time_t(time);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  return {text, strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

SharedFile::SharedFile(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  auto* section = static_cast<decltype(sections_)::mapped_type*>(nullptr);
  bool nested = false;  // the last setting had no value: indented lines belong to it
  for (const std::string_view raw : split_lines(text)) {
    const std::string_view line = trimmed(raw);
    if (line.empty() || line.starts_with('#') || line.starts_with(';')) continue;
    if (line.starts_with('[')) {
      std::string name(trimmed(line.substr(1, line.find(']') - 1)));
      std::erase(name, '"');  // [profile "a b"]
      std::ranges::replace(name, '\t', ' ');
      section = line.contains(']') ? &sections_[name] : nullptr;
      nested = false;
      continue;
    }
    const auto equals = line.find('=');
    if (section == nullptr || equals == line.npos) continue;
    if (nested && kBlanks.contains(raw.front())) continue;
    std::string_view value = line.substr(equals + 1);
    for (const std::string_view comment : {" #", " ;", "\t#", "\t;"})
      value = value.substr(0, value.find(comment));
    value = trimmed(value);
    nested = value.empty();
    section->insert_or_assign(lower(trimmed(line.substr(0, equals))), std::string(value));
  }
}

bool SharedFile::has(std::string_view section) const {
  return sections_.contains(section);
}

std::string_view SharedFile::find(std::string_view section, std::string_view setting) const {
  const auto found = sections_.find(section);
  if (found == sections_.end()) return {};
  const auto value = found->second.find(setting);
  return value == found->second.end() ? std::string_view{} : value->second;
}

result<Keys> parse_metadata_reply(std::string_view text) {
  const auto reply = parse_object(text);
  if (!reply) return std::unexpected(reply.error());
  const auto code = text_at(*reply, "Code");
  if (!code.empty() && code != "Success")
    return bad("no credentials: the service says \"" + shown(code) + "\"");
  return keys_of({.id = text_at(*reply, "AccessKeyId"),
                  .secret = text_at(*reply, "SecretAccessKey"),
                  .token = text_at(*reply, "Token"),
                  .expires = parse_time(text_at(*reply, "Expiration"))});
}

result<Keys> parse_sso_reply(std::string_view text) {
  const auto reply = parse_object(text);
  if (!reply) return std::unexpected(reply.error());
  const Value& role = value_at(*reply, "roleCredentials");
  std::optional<WallTime> expires;
  if (const auto ms = int_at(role, "expiration"); ms > 0 && ms < kLastMilliseconds)
    expires = WallTime(std::chrono::milliseconds(ms));
  return keys_of({.id = text_at(role, "accessKeyId"),
                  .secret = text_at(role, "secretAccessKey"),
                  .token = text_at(role, "sessionToken"),
                  .expires = expires});
}

result<Keys> parse_sts_reply(std::string_view xml) {
  if (xml.contains("<!")) return bad("an answer with a declaration, a comment or CDATA in it");
  const auto credentials = element(xml, "Credentials");
  const std::string id = unescaped(element(credentials, "AccessKeyId"));
  const std::string secret = unescaped(element(credentials, "SecretAccessKey"));
  const std::string token = unescaped(element(credentials, "SessionToken"));
  return keys_of({.id = id,
                  .secret = secret,
                  .token = token,
                  .expires = parse_time(element(credentials, "Expiration"))});
}

result<SsoToken> parse_sso_token(std::string_view text) {
  const auto token = parse_object(text);
  if (!token) return std::unexpected(token.error());
  const auto value = text_at(*token, "accessToken");
  if (value.empty() || !is_plain(value)) return bad("no accessToken in it");
  return SsoToken{.token = std::make_shared<const Secret>(value),
                  .expires = parse_time(text_at(*token, "expiresAt"))};
}

std::string service_error(std::string_view body) {
  std::string code, message;
  if (trimmed(body).starts_with('<')) {
    code = unescaped(element(body, "Code"));
    message = unescaped(element(body, "Message"));
  } else if (const auto reply = json::parse(body, kLimits); reply && reply->is_map()) {
    for (const char* name : {"code", "Code", "__type", "error"})
      if (code.empty()) code = text_at(*reply, name);
    for (const char* name : {"message", "Message"})
      if (message.empty()) message = text_at(*reply, name);
  }
  return shown(code.empty() || message.empty() ? code + message : code + ": " + message);
}

}  // namespace keybearer::auth::aws
