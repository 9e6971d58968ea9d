#include "vault/reply.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>
#include <new>

#include "base/redactor.hpp"
#include "json/json.hpp"

namespace keybearer::vault {
namespace {

using namespace std::chrono_literals;

constexpr json::Limits kLimits{.max_depth = 64};
constexpr std::size_t kMaxReason = 300;
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

// --- texts of errors ---------------------------------------------------------------------------

void collect_strings(const Value& value, std::vector<std::string_view>& out) {
  if (value.type() == Type::string) out.push_back(value.as_text());
  if (value.is_list()) {
    for (const Value& item : value.items()) collect_strings(item, out);
  }
  if (value.is_map()) {
    for (const auto& entry : value.entries()) collect_strings(entry.value, out);
  }
}

// Nothing of what is in force, nor of what was sent; but arguments that the configuration gave may
// be repeated.
std::string redacted(std::string_view text, const Asked& asked) {
  std::vector<std::string_view> sent, hidden, shown;
  const auto body = json::parse(asked.body.reveal(), kLimits);
  if (body) collect_strings(*body, sent);
  for (const std::string_view word : sent)
    (redactor().is_own_word(word) ? shown : hidden).push_back(word);
  if (asked.token) hidden.push_back(asked.token->reveal());
  Redactor of_request;
  of_request.set("request", hidden);
  return of_request.redact(redactor().redact(text, shown), shown);
}

// On one line: control characters and runs of blanks become one blank; at most kMaxReason bytes,
// whole characters.
std::string flattened(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) > ' ' && c != 0x7f) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (out.size() > kMaxReason) {
    auto end = kMaxReason;
    while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xC0) == 0x80) --end;
    out.resize(end);
    out += "...";
  }
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

std::string_view usual_reason(int status) {
  switch (status) {
    case 400:
      return "bad request";
    case 403:
      return "permission denied";
    case 404:
      return "nothing there";
    case 405:
      return "this path does not support it";
    case 429:
      return "too many requests";
    case 472:
    case 473:
      return "standby";
    case 500:
      return "internal error";
    case 501:
      return "not initialized";
    case 503:
      return "sealed or not available";
    default:
      return "";
  }
}

std::string joined(const Value& reasons) {
  std::string out;
  if (!reasons.is_list()) return out;
  for (const Value& reason : reasons.items()) {
    if (reason.type() != Type::string) continue;
    if (!out.empty()) out += "; ";
    out += reason.as_text();
  }
  return out;
}

// KV v2 answers 404 with the whole envelope when the version was deleted or destroyed.
std::string reason_of_missing_version(const Value& envelope) {
  const Value& metadata = value_at(value_at(envelope, "data"), "metadata");
  if (!metadata.is_map()) return joined(value_at(envelope, "warnings"));
  const Value& number = value_at(metadata, "version");
  const auto version =
      number.type() == Type::number ? "version " + std::string(number.as_text()) : "the version";
  if (bool_at(metadata, "destroyed")) return version + " is destroyed";
  return version + " was deleted at " + std::string(text_at(metadata, "deletion_time"));
}

std::string foreign_response_text(const http::Response& response) {
  const std::string type = response.content_type.empty()
                               ? "no content type"
                               : flattened(redactor().redact(response.content_type));
  const std::string between =
      response.via.empty() ? "any proxy in between" : "the proxy " + response.via;
  return "unexpected response (" + type +
         "), not from Vault: check vault.address (VAULT_ADDR) and " + between;
}

// The server's own errors are objects with "errors", or its usual envelope (KV v2 for a deleted
// version, some plugins), or have no body at all.
bool is_vault_body(const Value& body) {
  return body.is_map() && (body.find("errors") != nullptr || body.find("data") != nullptr ||
                           body.find("warnings") != nullptr);
}

bool mentions(std::string_view text, std::string_view part) {
  const auto equal = [](unsigned char a, unsigned char b) {
    return std::tolower(a) == std::tolower(b);
  };
  return !std::ranges::search(text, part, equal).empty();
}

bool is_renewal(std::string_view path) {
  return path.ends_with("/renew-self") || path == "sys/leases/renew" || path.ends_with("/renew");
}

// The few texts that tell more than the status does; servers have kept them for years (T12).
Reason reason_code(int status, std::string_view said, const Value& body, const Asked& asked) {
  const bool login = asked.path.starts_with("auth/");
  if (mentions(said, "no handler for route")) return Reason::no_mount;
  if (mentions(said, "namespace not found")) return Reason::no_namespace;
  if (mentions(said, "versioned K/V secrets engine") ||
      mentions(said, "operations on the root of a K/V v2 mount") ||
      mentions(joined(value_at(body, "warnings")), "versioned K/V secrets engine")) {
    return Reason::wrong_kv_version;
  }
  if (status == 404 && value_at(value_at(body, "data"), "metadata").is_map())
    return Reason::missing_version;
  if (status == 500 && is_renewal(asked.path)) {
    for (const auto text : {"failed to renew entry", "does not exist during renewal",
                            "policies have changed", "no longer bound"}) {
      if (mentions(said, text)) return Reason::renewal_refused;
    }
  }
  if (login && status == 400) {
    if (mentions(said, "invalid role ID") || mentions(said, "invalid role_id"))
      return Reason::invalid_role_id;
    if (mentions(said, "invalid secret id") || mentions(said, "invalid secret_id"))
      return Reason::invalid_secret_id;
  }
  return Reason::none;
}

std::string reason_text(int status, const Value& body, const Asked& asked, Reason code) {
  auto reason = joined(value_at(body, "errors"));
  if (code == Reason::no_mount) {
    const bool login = asked.path.starts_with("auth/");
    reason = (login ? "no auth method at " : "no secrets engine at ") + std::string(asked.path) +
             " (" + reason + ")";
  }
  if (reason.empty() && status == 404) reason = reason_of_missing_version(body);
  if (reason.empty()) return std::string(usual_reason(status));
  return flattened(redacted(reason, asked));
}

// A write whose answer can't be used, or came from a gateway, may have been done.
Error may_be_lost(Error error, const Asked& asked) {
  if (asked.repeatable) return error;
  error.reason = Reason::lost_answer;
  error.text += "; it may have been carried out all the same";
  return error;
}

// Something else than the server has answered: its 403 says nothing of our token and its 404
// nothing of a secret; and its 503 does not mean that the server is sealed.
ErrorKind kind_of_foreign(int status) {
  const ErrorKind kind = kind_of_status(status);
  if (kind == ErrorKind::sealed) return ErrorKind::server;
  return is_outage(kind) ? kind : ErrorKind::bad_reply;
}

Error error_of(const http::Response& response, const Asked& asked) {
  const int status = response.status;
  const auto body =
      response.body.empty() ? result<Value>(Value{}) : json::parse(response.body.reveal(), kLimits);
  const bool own = response.body.empty() || (body && is_vault_body(*body));
  Error error{.kind = own ? kind_of_status(status) : kind_of_foreign(status),
              .text = std::to_string(status) + " ",
              .retry_after = response.retry_after,
              .status = status};
  if (own) {
    error.reason = reason_code(status, joined(value_at(*body, "errors")), *body, asked);
    error.text += reason_text(status, *body, asked, error.reason);
    if (error.reason == Reason::renewal_refused) error.kind = ErrorKind::refused;
    return error;
  }
  error.text += foreign_response_text(response);
  error.reason = Reason::foreign_response;
  return status >= 500 ? may_be_lost(std::move(error), asked) : error;
}

Error in(const Asked& asked, Error error) {
  return std::move(error).within(std::string(asked.method) + " " + std::string(asked.path));
}

}  // namespace

ErrorKind kind_of_status(int status) {
  switch (status) {
    case 403:
      return ErrorKind::denied;
    case 404:
      return ErrorKind::not_found;
    case 408:
      return ErrorKind::timeout;
    case 429:
      return ErrorKind::throttled;
    case 412:  // a standby that is behind
    case 472:
    case 473:
    case 503:
      return ErrorKind::sealed;
    default:
      break;
  }
  if (status >= 500) return ErrorKind::server;
  return status >= 400 ? ErrorKind::refused : ErrorKind::bad_reply;
}

namespace {

result<Reply> parse(http::Response response, const Asked& asked) {
  const int status = response.status;
  if (status < 200 || status > 299) {
    return std::unexpected(in(asked, error_of(response, asked)));
  }
  if (response.body.empty() && response.status == 204) {
    Reply nothing;
    nothing.asked = response.asked;
    return nothing;
  }
  auto body = json::parse(response.body.reveal(), kLimits);
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
    return std::unexpected(in(asked, std::move(error)));
  }
  reply->asked = reply->lease.asked = response.asked;
  if (reply->auth) reply->auth->asked = response.asked;
  return reply;
}

}  // namespace

bool is_vault_response(const http::Response& response) {
  if (response.body.empty()) return true;
  const auto body = json::parse(response.body.reveal(), kLimits);
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
    return std::unexpected(in(asked, {.kind = ErrorKind::bad_reply,
                                      .text = "no memory for an answer as large as this",
                                      .status = status}));
  }
}

result<Auth> parse_lookup(const Reply& reply, Token token) {
  Members members(reply.data());
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
  const auto body = json::parse(response.body.reveal(), kLimits);
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
