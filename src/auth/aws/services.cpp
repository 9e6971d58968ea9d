#include "auth/aws/services.hpp"

#include <algorithm>

#include "auth/aws/documents.hpp"
#include "auth/aws/login_request.hpp"
#include "base/log.hpp"
#include "base/text.hpp"

namespace keybearer::auth::aws {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;

constexpr const char* kTokenSeconds = "21600";
constexpr Duration kTokenLife = 6h - 1min;
constexpr std::size_t kMaxName = 256;  // of a role

bool is_passing(int status) {
  return status == 429 || status >= 500;
}

// An answer other than 200 as an error: "WHO: 403 AccessDenied: ...; ADVICE".
Error refusal(std::string_view who, const http::Response& answer, std::string_view advice) {
  const bool passing = is_passing(answer.status);
  std::string text = std::string(who) + ": " + std::to_string(answer.status);
  if (const std::string said = service_error(answer.body.reveal()); !said.empty())
    text += " " + said;
  if (!advice.empty()) text.append("; ").append(advice);
  return {.kind = passing ? ErrorKind::server : ErrorKind::denied,
          .text = std::move(text),
          .retry_after = answer.retry_after,
          .reason = passing ? Reason::credentials_away : Reason::none};
}

// What a reader made of an answer of 200.
result<Keys> read_with(std::string_view who, result<Keys> keys) {
  if (keys) return keys;
  Error error = std::move(keys).error().within(who);
  error.reason = Reason::credentials_away;
  return std::unexpected(std::move(error));
}

std::string without_query(const std::string& url) {
  return url.substr(0, url.find('?'));
}

std::string_view sts_advice(std::string_view said) {
  if (said.starts_with("ExpiredToken"))
    return "the web identity's token has expired: is whatever writes the file running?";
  if (said.starts_with("AccessDenied"))
    return "the role's trust policy must allow this web identity (its issuer, aud and sub)";
  if (said.starts_with("InvalidIdentityToken"))
    return "is the token's issuer registered as an identity provider in IAM, with its audience?";
  return "";
}

}  // namespace

awaitable<result<Keys>> assume_role(CloudHttp& http, const Source& source, Secret token,
                                    std::string ca_bundle) {
  Secret body("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=");
  body.append(form_escaped(source.role_arn));
  body.append("&RoleSessionName=" + form_escaped(source.session_name) + "&WebIdentityToken=");
  body.append(form_escaped(token.reveal()));
  const std::string who = "AWS STS AssumeRoleWithWebIdentity of " + source.role_arn;
  auto answer = co_await http.send({.method = "POST",
                                    .url = source.url,
                                    .body = std::move(body),
                                    .reach = Reach::internet,
                                    .ca_cert = std::move(ca_bundle)});
  if (!answer) co_return std::unexpected(std::move(answer).error().within(who));
  if (answer->status != 200) {
    const std::string said = service_error(answer->body.reveal());
    co_return std::unexpected(refusal(who, *answer, sts_advice(said)));
  }
  co_return read_with(who, parse_sts_reply(answer->body.reveal()));
}

awaitable<result<Keys>> container_keys(CloudHttp& http, const Source& source,
                                       std::shared_ptr<const Secret> token) {
  const std::string who = "AWS container credentials of " + without_query(source.url);
  CloudRequest request{.url = source.url};
  if (token) {
    if (!is_plain(token->reveal()))
      co_return fail(ErrorKind::config, who +
                                            ": the authorization token has blanks or line breaks "
                                            "in it");
    request.secret_headers.emplace_back("Authorization", std::move(token));
  }
  auto answer = co_await http.send(std::move(request));
  if (!answer)
    co_return std::unexpected(std::move(answer).error().within("AWS container credentials"));
  if (answer->status != 200) {
    co_return std::unexpected(
        refusal(who, *answer,
                source.token_file.empty()
                    ? "does the task have a role?"
                    : "does a pod identity association exist for this service account, and is its "
                      "token in " +
                          source.token_file + " a fresh one?"));
  }
  co_return read_with(who, parse_metadata_reply(answer->body.reveal()));
}

awaitable<result<Keys>> sso_keys(CloudHttp& http, const Source& source, const SsoToken& token,
                                 WallTime now, std::string ca_bundle) {
  const std::string who =
      "AWS single sign-on, account " + source.account_id + ", role " + source.role_name;
  if (token.expires && *token.expires <= now)
    co_return fail(ErrorKind::denied,
                   who + ": its session ended at " + time_text(*token.expires) + "; " + kSsoAdvice);
  auto answer = co_await http.send({.url = source.url,
                                    .secret_headers = {{"x-amz-sso_bearer_token", token.token}},
                                    .reach = Reach::internet,
                                    .ca_cert = std::move(ca_bundle)});
  if (!answer) co_return std::unexpected(std::move(answer).error().within(who));
  if (answer->status != 200) co_return std::unexpected(refusal(who, *answer, kSsoAdvice));
  co_return read_with(who, parse_sso_reply(answer->body.reveal()));
}

// --- the instance ---

awaitable<result<>> InstanceMetadata::fetch_token(const std::string& service, bool v1_allowed) {
  const Instant asked = Clock::now();
  auto answer =
      co_await http_.send({.method = "PUT",
                           .url = service + "/latest/api/token",
                           .headers = {{"x-aws-ec2-metadata-token-ttl-seconds", kTokenSeconds}}});
  if (answer && answer->status == 200 && is_plain(answer->body.reveal()) && !answer->body.empty()) {
    token_ = std::make_shared<const Secret>(std::move(answer->body));
    token_ends_ = asked + kTokenLife;
    token_lost_ = false;
    co_return result<>{};
  }
  // Behind a hop limit of 1 the request arrives, and its answer does not.
  const bool lost = !answer && answer.error().kind == ErrorKind::timeout;
  const bool v1_only =
      answer && (answer->status == 403 || answer->status == 404 || answer->status == 405);
  if (v1_allowed && (lost || v1_only)) {
    token_ = nullptr;
    token_ends_ = asked + 1min;
    token_lost_ = lost;
    co_return result<>{};
  }
  if (answer) co_return std::unexpected(refusal("AWS instance metadata's token", *answer, ""));
  Error error = std::move(answer).error().within("AWS instance metadata");
  if (lost) {
    error.text +=
        "; in a container its answer is dropped where the instance's hop limit is 1: raise it to 2 "
        "(http-put-response-hop-limit)";
  } else {
    error.text +=
        "; this is no EC2 instance, or its metadata is switched off: set "
        "AWS_ACCESS_KEY_ID, AWS_PROFILE or another source of credentials";
  }
  co_return std::unexpected(std::move(error));
}

awaitable<result<http::Response>> InstanceMetadata::get(const std::string& service,
                                                        const char* path, std::string_view name,
                                                        bool v1_allowed) {
  for (int turn = 0;; ++turn) {
    if (!token_ends_ || Clock::now() >= *token_ends_) {
      if (auto fetched = co_await fetch_token(service, v1_allowed); !fetched)
        co_return std::unexpected(fetched.error());
    }
    CloudRequest request{.url = service + path + std::string(name)};
    if (token_) request.secret_headers.emplace_back("x-aws-ec2-metadata-token", token_);
    auto answer = co_await http_.send(std::move(request));
    if (!answer)
      co_return std::unexpected(std::move(answer).error().within("AWS instance metadata"));
    if (answer->status != 401) co_return answer;
    token_ends_.reset();  // the instance was stopped and started, or the token's time is over
    if (turn == 0 && token_) continue;
    co_return std::unexpected(refusal(
        "AWS instance metadata", *answer,
        token_lost_
            ? "it asks for version 2, whose token does not arrive: raise the instance's hop "
              "limit to 2 (http-put-response-hop-limit)"
            : "it does not take its own token"));
  }
}

awaitable<result<Keys>> InstanceMetadata::keys(const Source& source) {
  constexpr const char* kRoles = "/latest/meta-data/iam/security-credentials/";
  const std::string who = "AWS instance metadata of " + source.url;
  auto roles = co_await get(source.url, kRoles, "", source.v1_allowed);
  if (!roles) co_return std::unexpected(std::move(roles).error());
  if (roles->status != 200)
    co_return std::unexpected(
        refusal(who, *roles, "does the instance have a role (an instance profile)?"));
  const auto lines = split_lines(roles->body.reveal());
  const std::string role(lines.empty() ? "" : trimmed(lines.front()));
  if (role.empty() || role.size() > kMaxName || !is_plain(role))
    co_return std::unexpected(Error{.kind = ErrorKind::bad_reply,
                                    .text = who + ": the name of no role",
                                    .reason = Reason::credentials_away});
  auto answer = co_await get(source.url, kRoles, form_escaped(role), source.v1_allowed);
  if (!answer) co_return std::unexpected(std::move(answer).error());
  if (answer->status != 200)
    co_return std::unexpected(refusal(who, *answer, "the role " + role + " has gone?"));
  co_return read_with(who, parse_metadata_reply(answer->body.reveal()));
}

awaitable<result<std::string>> InstanceMetadata::region(const std::string& service,
                                                        bool v1_allowed) {
  auto answer = co_await get(service, "/latest/meta-data/placement/region", "", v1_allowed);
  if (!answer) co_return std::unexpected(std::move(answer).error());
  if (answer->status != 200)
    co_return std::unexpected(
        refusal("AWS instance metadata", *answer, "set auto_auth.method.region"));
  std::string region(trimmed(answer->body.reveal()));
  if (!is_region(region))
    co_return std::unexpected(Error{.kind = ErrorKind::bad_reply,
                                    .text = "AWS instance metadata: its region is none",
                                    .reason = Reason::credentials_away});
  co_return region;
}

}  // namespace keybearer::auth::aws
