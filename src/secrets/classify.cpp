#include "secrets/classify.hpp"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "json/json.hpp"
#include "tmpl/funcs/pem_bundle.hpp"

namespace keybearer::secrets {
namespace {

using namespace std::chrono_literals;

// A certificate that has just been issued and has ended: the clocks differ. Another one would look
// the same, so none is asked for before this.
constexpr Duration kClocksDiffer = 1min;

Duration between(WallTime from, WallTime to) {
  return std::chrono::duration_cast<Duration>(to - from);
}

bool number(std::string_view text, std::size_t at, std::size_t digits, int& out) {
  if (at + digits > text.size()) return false;
  const char* first = text.data() + at;
  const auto [end, error] = std::from_chars(first, first + digits, out);
  return error == std::errc{} && end == first + digits;
}

// Of a server that may say anything: at most a century.
std::chrono::seconds seconds_at(const Value& data, std::string_view name) {
  constexpr std::int64_t kCentury = 100LL * 366 * 24 * 3600;
  return std::chrono::seconds(std::clamp<std::int64_t>(int_at(data, name), -kCentury, kCentury));
}

}  // namespace

std::optional<WallTime> parse_time(std::string_view text) {
  tm parts{};
  if (!number(text, 0, 4, parts.tm_year) || !number(text, 5, 2, parts.tm_mon) ||
      !number(text, 8, 2, parts.tm_mday) || !number(text, 11, 2, parts.tm_hour) ||
      !number(text, 14, 2, parts.tm_min) || !number(text, 17, 2, parts.tm_sec)) {
    return std::nullopt;
  }
  if (!text.ends_with('Z')) return std::nullopt;
  // What is centuries away does not fit into nanoseconds, and no server means it.
  if (parts.tm_year < 1970 || parts.tm_year > 2200) return std::nullopt;
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  auto time = std::chrono::system_clock::from_time_t(timegm(&parts));
  if (text.size() > 20 && text[19] == '.') {
    std::string digits(text.substr(20, text.size() - 21));
    digits.resize(9, '0');
    int nanoseconds = 0;
    if (!number(digits, 0, 9, nanoseconds)) return std::nullopt;
    time += std::chrono::duration_cast<WallTime::duration>(std::chrono::nanoseconds(nanoseconds));
  }
  return time;
}

int kv_version(const vault::Reply& reply) {
  const Value& metadata = value_at(reply.data(), "metadata");
  if (!metadata.is_map() || reply.data().find("data") == nullptr) return 0;
  return static_cast<int>(int_at(metadata, "version"));
}

namespace {

// Equal but for the members of `except`, which both may have, or one, or none.
bool same_but(const Value& a, const Value& b, std::initializer_list<std::string_view> except) {
  if (!a.is_map() || !b.is_map()) return a == b;
  const auto skipped = [&except](const Value::Entry& entry) {
    return std::ranges::find(except, entry.key.as_text()) != except.end();
  };
  auto x = a.entries().begin(), y = b.entries().begin();
  const auto x_end = a.entries().end(), y_end = b.entries().end();
  for (;; ++x, ++y) {  // both are sorted by key
    while (x != x_end && skipped(*x)) ++x;
    while (y != y_end && skipped(*y)) ++y;
    if (x == x_end || y == y_end) return x == x_end && y == y_end;
    if (x->key.as_text() != y->key.as_text() || !(x->value == y->value)) return false;
  }
}

}  // namespace

bool same_content(Kind kind, const Value& before, const Value& now) {
  if (kind != Kind::static_role) return same_but(before, now, {"request_id"});
  return same_but(before, now, {"request_id", "data"}) &&
         same_but(value_at(before, "data"), value_at(now, "data"), {"ttl"});
}

bool needs_mount(const tmpl::Dependency& dependency) {
  using Kinds = tmpl::Dependency::Kind;
  if (dependency.kind != Kinds::read && dependency.kind != Kinds::list) return false;
  const std::string path = dependency.path + "/";
  constexpr std::string_view kNoKv[] = {"auth/", "sys/", "identity/", "cubbyhole/"};
  if (std::ranges::any_of(kNoKv, [&path](auto prefix) { return path.starts_with(prefix); }))
    return false;
  // A list of kv/metadata is of the whole mount; a read of kv/data is of a secret called data.
  const std::string& named = dependency.kind == Kinds::list ? path : dependency.path;
  return named.find("/data/") == std::string::npos && named.find("/metadata/") == std::string::npos;
}

Assumed path_is_assumed(const tmpl::Dependency& dependency) {
  const std::string path = dependency.path + "/";
  const auto at = std::min(path.find("/data/"), path.find("/metadata/"));
  if (at == std::string::npos || needs_mount(dependency)) return Assumed::no;
  for (const std::string_view prefix : {"auth/", "sys/", "identity/", "cubbyhole/"}) {
    if (path.starts_with(prefix)) return Assumed::no;
  }
  return at == path.find('/') ? Assumed::likely : Assumed::unlikely;
}

lease::Lifetime lifetime_of(const tmpl::Dependency& dependency, const vault::Reply& reply,
                            WallTime asked) {
  const bool write = dependency.kind == tmpl::Dependency::Kind::write ||
                     dependency.kind == tmpl::Dependency::Kind::pki;
  const Value& data = reply.data();
  if (reply.auth)
    return {.kind = Kind::token, .ttl = reply.auth->ttl, .renewable = reply.auth->renewable};
  if (!reply.lease.id.empty()) {
    return {.kind = reply.lease.renewable ? Kind::dynamic : Kind::non_renewable,
            .ttl = reply.lease.ttl,
            .renewable = reply.lease.renewable};
  }
  if (!text_at(data, "certificate").empty() && int_at(data, "expiration") > 0) {
    const auto end = WallTime(seconds_at(data, "expiration"));
    const Duration left = between(asked, end);
    if (left <= Duration::zero())
      return {.kind = Kind::certificate, .ttl = kClocksDiffer, .ended = true};
    return {.kind = Kind::certificate, .ttl = std::max(left, Duration(1s))};
  }
  if (data.find("last_vault_rotation") != nullptr && data.find("ttl") != nullptr) {
    const Duration period = seconds_at(data, "rotation_period");
    const Duration ttl = seconds_at(data, "ttl");
    auto rotated = parse_time(text_at(data, "last_vault_rotation"));
    Duration left = ttl;  // the server cuts it to whole seconds: it may take one more
    if (rotated && period > Duration::zero()) {
      const Duration exact = between(asked, *rotated) + period;
      if (exact > ttl - 1500ms && exact < ttl + 2500ms)
        left = exact;  // else the clocks differ: trust the server's count
      else if (std::chrono::abs(exact - ttl) > 1h)
        rotated.reset();  // no time of this world: it tells nothing of lateness
    }
    return {.kind = Kind::static_role, .to_rotation = left, .period = period, .rotated = rotated};
  }
  if (write) return {.kind = Kind::written_once};
  if (kv_version(reply) > 0) return {.kind = Kind::kv2};
  return {.kind = Kind::unleased};
}

bool has_two_data(std::string_view data_path) {
  const auto at = data_path.find("/data/");
  return at != std::string_view::npos && data_path.find("/data/", at + 5) != std::string_view::npos;
}

std::optional<std::string> metadata_path(std::string_view data_path, std::string_view mount) {
  if (!mount.empty() && data_path.starts_with(std::string(mount) + "data/")) {
    return std::string(mount) + "metadata/" + std::string(data_path.substr(mount.size() + 5));
  }
  const auto at = data_path.find("/data/");
  if (at == std::string_view::npos) return std::nullopt;
  return std::string(data_path.substr(0, at)) + "/metadata/" +
         std::string(data_path.substr(at + 6));
}

std::string with_data(std::string_view path, std::string_view mount) {
  const std::string_view rest =
      path.size() > mount.size() ? path.substr(mount.size()) : std::string_view{};
  for (const std::string_view known : {"data/", "metadata/", "subkeys/"}) {
    if (rest.starts_with(known)) return std::string(path);
  }
  return std::string(mount) + "data/" + std::string(rest);
}

// A list of kv/metadata is of the whole mount.
std::string kv2_path(std::string_view path, std::string_view mount, bool list) {
  if (!list) return with_data(path, mount);
  const std::string rest(path.substr(std::min(path.size(), mount.size())));
  if ((rest + "/").starts_with("metadata/")) return std::string(path);
  return std::string(mount) + "metadata/" + rest;
}

Value value_of(const tmpl::Dependency& dependency, const vault::Reply& reply) {
  const Value& data = reply.data();
  switch (dependency.kind) {
    case tmpl::Dependency::Kind::list: {
      const Value& keys = value_at(data, "keys");
      return Value::strings(keys.is_list() ? keys.items() : List{});
    }
    case tmpl::Dependency::Kind::pki: {
      const auto block = [&data](std::string_view name) {
        return Value(tmpl::pem_text(text_at(data, name)));
      };
      Value bundle = Value::map();
      bundle.set("Cert", Value(tmpl::certificate_text(text_at(data, "certificate"))));
      bundle.set("Key", block("private_key"));
      bundle.set("CA", block("issuing_ca"));
      List chain;
      if (const Value& given = value_at(data, "ca_chain"); given.is_list()) {
        for (const Value& each : given.items()) {
          if (each.is_text()) chain.emplace_back(tmpl::pem_text(each.as_text()));
        }
      }
      bundle.set("CAChain", Value::strings(std::move(chain)));
      return bundle;
    }
    default:
      return reply.body;
  }
}

Value default_value(std::string_view defaults, std::optional<bool> kv2) {
  if (defaults.empty()) return {};
  Value keys = json::parse(defaults).value_or(Value::map());
  Value data = kv2.value_or(false) ? Value::map() : keys.deep_copy();
  if (kv2.value_or(true)) {
    data.set("data", std::move(keys));
    data.set("metadata", Value::map());
  }
  Value envelope = Value::map();
  envelope.set("data", std::move(data));
  return envelope;
}

}  // namespace keybearer::secrets
