#include "vault/reply_error.hpp"

#include <algorithm>
#include <cctype>

#include "base/redactor.hpp"
#include "config/scalars.hpp"

namespace keybearer::vault {
namespace {

constexpr std::size_t kMaxReason = 300;

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
  const auto body = json::parse(asked.body.reveal(), kReplyLimits);
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
  return config::escaped(out);  // nor does it turn the direction of writing
}

std::string_view usual_reason(int status) {
  switch (status) {
    case 400:
      return "bad request";
    case 401:
      return "unauthorized";
    case 403:
      return "permission denied";
    case 404:
      return "nothing there";
    case 405:
      return "this path does not support it";
    case 408:
      return "the request took too long";
    case 412:
      return "this node lags behind the active one";
    case 413:
      return "the request is too large";
    case 429:
      return "too many requests";
    case 472:
    case 473:
      return "standby";
    case 500:
      return "internal error";
    case 501:
      return "not initialized";
    case 502:
      return "bad gateway";
    case 503:
      return "sealed or not available";
    case 504:
      return "gateway timeout";
    default:
      break;
  }
  if (status >= 500) return "server error";
  return status >= 400 ? "refused without a reason" : "no answer to such a request";
}

std::string joined(const Value& reasons) {
  std::string out;
  if (reasons.type() == Type::string) return std::string(reasons.as_text());
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

// Something else than the server has answered: its 403 says nothing of our token and its 404
// nothing of a secret; and its 503 does not mean that the server is sealed.
ErrorKind kind_of_foreign(int status) {
  const ErrorKind kind = kind_of_status(status);
  if (kind == ErrorKind::sealed) return ErrorKind::server;
  return is_outage(kind) ? kind : ErrorKind::bad_reply;
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

std::string foreign_response_text(const http::Response& response) {
  const std::string type = response.content_type.empty()
                               ? "no content type"
                               : flattened(redactor().redact(response.content_type));
  const std::string between =
      response.via.empty() ? "any proxy in between" : "the proxy " + response.via;
  return "unexpected response (" + type +
         "), not from Vault: check vault.address (VAULT_ADDR) and " + between;
}

bool is_vault_body(const Value& body) {
  return body.is_map() && (body.find("errors") != nullptr || body.find("data") != nullptr ||
                           body.find("warnings") != nullptr);
}

Error may_be_lost(Error error, const Asked& asked) {
  if (asked.repeatable) return error;
  error.reason = Reason::lost_answer;
  error.text += "; it may have been carried out all the same";
  return error;
}

Error error_of(const http::Response& response, const Asked& asked) {
  const int status = response.status;
  const auto body = response.body.empty() ? result<Value>(Value{})
                                          : json::parse(response.body.reveal(), kReplyLimits);
  const bool own = response.body.empty() || (body && is_vault_body(*body));
  Error error{.kind = own ? kind_of_status(status) : kind_of_foreign(status),
              .text = std::to_string(status) + " ",
              .retry_after = response.retry_after,
              .status = status};
  if (own) {
    error.reason = reason_code(status, joined(value_at(*body, "errors")), *body, asked);
    error.text += reason_text(status, *body, asked, error.reason);
    if (error.reason == Reason::renewal_refused) error.kind = ErrorKind::refused;
    const bool gateway = status == 408 || status == 502 || status == 504;  // without a text
    return gateway ? may_be_lost(std::move(error), asked) : error;
  }
  error.text += foreign_response_text(response);
  error.reason = Reason::foreign_response;
  const bool lost = status >= 500 || status == 408;
  return lost ? may_be_lost(std::move(error), asked) : error;
}

Error in_request(const Asked& asked, Error error) {
  return std::move(error).within(std::string(asked.method) + " " + std::string(asked.path));
}

std::unexpected<Error> half_answer(std::string_view method, std::string_view path,
                                   std::string_view what, Reason reason) {
  Error error{.kind = ErrorKind::bad_reply,
              .text = "an answer without " + std::string(what),
              .reason = reason};
  if (reason == Reason::lost_answer) error.text += "; it may have been carried out all the same";
  return std::unexpected(in_request({.method = method, .path = path}, std::move(error)));
}

}  // namespace keybearer::vault
