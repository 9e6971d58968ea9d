#include "vault/reply.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <new>

#include "base/fingerprint.hpp"
#include "base/redactor.hpp"
#include "json/json.hpp"
#include "vault/reply_error.hpp"

namespace keybearer::vault {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kCentury = 100LL * 366 * 24 * 3600;

// Reads members of a map and remembers the first one of a wrong type. Absent and null members are
// empty values.
class Members {
 public:
  explicit Members(const Value& map) : map_(map) {
    if (!map.is_map() && !map.is_nil()) wrong_ = "the object itself";
  }

  std::string text(std::string_view name) {
    const Value& member = value_at(map_, name);
    if (member.is_nil()) return {};
    if (member.type() == Type::string) return std::string(member.as_text());
    return wrong(name), std::string{};
  }
  bool boolean(std::string_view name) {
    const Value& member = value_at(map_, name);
    if (member.is_nil()) return false;
    if (member.type() == Type::boolean) return member.as_bool();
    return wrong(name), false;
  }
  std::int64_t integer(std::string_view name) {
    const Value& member = value_at(map_, name);
    if (member.is_nil()) return 0;
    if (member.type() == Type::number) {
      const auto digits = member.as_text();
      std::int64_t out = 0;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
      if (end == digits.data() + digits.size()) {
        if (error == std::errc{}) return out;
        if (error == std::errc::result_out_of_range) {
          using Limit = std::numeric_limits<std::int64_t>;
          return digits.starts_with('-') ? Limit::min() : Limit::max();
        }
      }
    }
    return wrong(name), 0;
  }
  // Seconds. Zero means "no end" in many places, so a negative time is one that has nearly run out.
  Duration seconds(std::string_view name) {
    const auto count = integer(name);
    return count < 0 ? 1s : std::chrono::seconds(std::min(count, kCentury));
  }
  std::vector<std::string> texts(std::string_view name) {
    std::vector<std::string> out;
    const Value& member = value_at(map_, name);
    if (member.is_nil()) return out;
    if (!member.is_list()) return wrong(name), out;
    for (const Value& item : member.items()) {
      if (item.type() != Type::string) return wrong(name), out;
      out.emplace_back(item.as_text());
    }
    return out;
  }

  // A map of texts; what is none in it is left out: metadata is the operator's own.
  std::map<std::string, std::string> text_map(std::string_view name) {
    std::map<std::string, std::string> out;
    const Value& member = value_at(map_, name);
    if (!member.is_map()) return out;
    for (const auto& [key, value] : member.entries())
      if (value.type() == Type::string) out.emplace(key.as_text(), value.as_text());
    return out;
  }

  [[nodiscard]] result<> check() const {
    if (wrong_.empty()) return {};
    return fail(ErrorKind::bad_reply, "an answer in which " + wrong_ + " has a wrong type");
  }

 private:
  void wrong(std::string_view name) {
    if (wrong_.empty()) wrong_ = name;
  }

  const Value& map_;
  std::string wrong_;
};

Token make_token(std::string_view text) {
  redactor().add_credential(text);
  return text.empty() ? nullptr : std::make_shared<const Secret>(text);
}

// What the server gives us as a token goes into a header of ours.
bool is_header_value(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return c > ' ' && c != 0x7f; });
}

int to_int(std::int64_t n) {
  return static_cast<int>(std::clamp<std::int64_t>(n, -1, 1 << 30));
}

result<Auth> parse_auth(const Value& value) {
  Members members(value);
  Auth auth;
  auth.token = make_token(members.text("client_token"));
  auth.accessor = members.text("accessor");
  auth.policies = members.texts("policies");
  auth.entity_id = members.text("entity_id");
  auth.metadata = members.text_map("metadata");
  auth.type = members.text("token_type");
  auth.ttl = members.seconds("lease_duration");
  auth.renewable = members.boolean("renewable");
  auth.orphan = members.boolean("orphan");
  auth.num_uses = to_int(members.integer("num_uses"));
  if (auto good = members.check(); !good) return std::unexpected(std::move(good).error());
  if (auth.token && !is_header_value(auth.token->reveal())) {
    return fail(ErrorKind::bad_reply, "an answer with a token that no request can carry");
  }
  return auth;
}

result<WrapInfo> parse_wrap(const Value& value) {
  Members members(value);
  WrapInfo wrap;
  wrap.token = make_token(members.text("token"));
  wrap.creation_path = members.text("creation_path");
  wrap.ttl = members.seconds("ttl");
  wrap.accessor = members.text("accessor");
  wrap.wrapped_accessor = members.text("wrapped_accessor");
  wrap.creation_time = members.text("creation_time");
  if (auto good = members.check(); !good) return std::unexpected(std::move(good).error());
  return wrap;
}

result<Reply> parse_envelope(Value body) {
  Reply reply;
  if (!body.is_map()) return fail(ErrorKind::bad_reply, "the answer is not a JSON object");
  Members members(body);
  reply.lease.id = members.text("lease_id");
  reply.lease.ttl = members.seconds("lease_duration");
  reply.lease.renewable = members.boolean("renewable");
  reply.warnings = members.texts("warnings");
  if (auto good = members.check(); !good) return std::unexpected(std::move(good).error());
  if (const Value& auth = value_at(body, "auth"); !auth.is_nil()) {
    auto parsed = parse_auth(auth);
    if (!parsed) return std::unexpected(std::move(parsed).error());
    reply.auth = *std::move(parsed);
  }
  if (const Value& wrap = value_at(body, "wrap_info"); !wrap.is_nil()) {
    auto parsed = parse_wrap(wrap);
    if (!parsed) return std::unexpected(std::move(parsed).error());
    reply.wrap = *std::move(parsed);
  }
  reply.body = std::move(body);
  return reply;
}

// Of an answer's bytes, but for the value of the request_id that begins it. Never 0.
std::uint64_t fingerprint_of(std::string_view body) {
  constexpr std::string_view kBegin = R"({"request_id":")";
  std::uint64_t begin = 1;
  if (body.starts_with(kBegin)) {
    const auto end = body.find('"', kBegin.size());
    if (end != body.npos) body.remove_prefix(end), begin = 2;
  }
  return std::max<std::uint64_t>(fingerprint(body) ^ begin, 1);
}

result<Reply> parse(http::Response response, const Asked& asked) {
  const int status = response.status;
  const std::uint64_t before = asked.seen != nullptr ? std::exchange(*asked.seen, 0) : 0;
  std::uint64_t now = 0;
  if (asked.seen != nullptr && status == 200) {
    now = fingerprint_of(response.body.reveal());
    if (now == before) {
      *asked.seen = now;
      Reply same;
      same.asked = response.asked;
      same.unchanged = true;
      return same;
    }
  }
  if (status < 200 || status > 299) {
    return std::unexpected(in_request(asked, error_of(response, asked)));
  }
  if (response.body.empty() && response.status == 204) {
    Reply nothing;
    nothing.asked = response.asked;
    return nothing;
  }
  auto body = json::parse(response.body.reveal(), kReplyLimits);
  response.body.clear();
  // Its own JSON, only broken, is told of by its byte.
  if (!body && response.content_type.find("json") == std::string::npos) {
    body = std::unexpected(Error{.kind = ErrorKind::bad_reply,
                                 .text = foreign_response_text(response),
                                 .reason = Reason::foreign_response});
  }
  auto reply = body ? parse_envelope(*std::move(body)) : std::unexpected(std::move(body).error());
  if (!reply) {
    Error error = may_be_lost(std::move(reply).error().within(std::to_string(status)), asked);
    error.status = status;
    return std::unexpected(in_request(asked, std::move(error)));
  }
  if (asked.seen != nullptr) *asked.seen = now;
  reply->asked = reply->lease.asked = response.asked;
  if (reply->auth) reply->auth->asked = response.asked;
  return reply;
}

}  // namespace

bool is_vault_response(const http::Response& response) {
  if (response.body.empty()) return true;
  const auto body = json::parse(response.body.reveal(), kReplyLimits);
  return body && is_vault_body(*body);
}

Error renewal_error(Error error) {
  if (error.kind != ErrorKind::refused && error.reason != Reason::no_token_in_reply) return error;
  error.kind = ErrorKind::refused;
  error.reason = Reason::renewal_refused;
  return error;
}

result<Reply> parse_reply(http::Response response, const Asked& asked) {
  const int status = response.status;
  try {
    return parse(std::move(response), asked);
  } catch (const std::bad_alloc&) {  // this answer is too much, and what runs goes on
    return std::unexpected(in_request(asked, {.kind = ErrorKind::bad_reply,
                                              .text = "no memory for an answer as large as this",
                                              .status = status}));
  }
}

result<Auth> parse_lookup(const Reply& reply, Token token) {
  Members members(reply.data());
  if (value_at(reply.data(), "ttl").is_nil())  // half of it; as an endless token it would just end
    return fail(ErrorKind::bad_reply, "an answer without the token's ttl");
  Auth auth;
  auth.token = std::move(token);
  auth.asked = reply.asked;
  auth.accessor = members.text("accessor");
  auth.policies = members.texts("policies");
  std::ranges::move(members.texts("identity_policies"), std::back_inserter(auth.policies));
  auth.entity_id = members.text("entity_id");
  auth.metadata = members.text_map("meta");
  auth.type = members.text("type");
  auth.ttl = members.seconds("ttl");
  auth.renewable = members.boolean("renewable");
  auth.orphan = members.boolean("orphan");
  auth.num_uses = to_int(members.integer("num_uses"));
  if (const auto cap = members.seconds("explicit_max_ttl"); cap > 0s) auth.explicit_max_ttl = cap;
  if (auto good = members.check(); !good) return std::unexpected(std::move(good).error());
  return auth;
}

result<Mount> parse_mount(const Reply& reply) {
  Members members(reply.data());
  Mount mount;
  mount.path = members.text("path");
  mount.type = members.text("type");
  Members options(value_at(reply.data(), "options"));
  if (options.text("version") == "2") mount.kv_version = 2;
  for (const auto& each : {members.check(), options.check()}) {
    if (!each) return std::unexpected(each.error());
  }
  if (mount.path.empty()) return fail(ErrorKind::bad_reply, "an answer without the mount's path");
  return mount;
}

result<Client::Health> parse_health(http::Response response) {
  const auto body = json::parse(response.body.reveal(), kReplyLimits);
  if (!body || !body->is_map() || !body->find("initialized")) {
    return std::unexpected(Error{.kind = ErrorKind::bad_reply,
                                 .text = std::to_string(response.status) +
                                         " the answer is not Vault's: is the address right?",
                                 .status = response.status});
  }
  Members members(*body);
  Client::Health health{.initialized = members.boolean("initialized"),
                        .sealed = members.boolean("sealed"),
                        .standby = members.boolean("standby"),
                        .version = members.text("version")};
  if (auto good = members.check(); !good) return std::unexpected(std::move(good).error());
  return health;
}

}  // namespace keybearer::vault
