#include "auth/aws/provider.hpp"

#include <utility>

#include "auth/aws/login_request.hpp"
#include "base/fingerprint.hpp"
#include "base/log.hpp"
#include "base/redactor.hpp"

namespace keybearer::auth::aws {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using Kind = Source::Kind;

constexpr auto kRefreshBefore = 15min;
constexpr auto kAlarmBefore = 4min;  // instances get theirs at least 5 min before
constexpr auto kMargin = 10s;        // a login takes some time, too

std::string at_end(const Keys& keys) {
  return keys.expires ? " at " + time_text(*keys.expires) : "";
}

void hide(const Keys& keys) {
  redactor().add_credential(keys.secret_access_key->reveal());
  if (keys.session_token) redactor().add_credential(keys.session_token->reveal());
}

}  // namespace

Freshness freshness(const Keys& keys, WallTime now) {
  if (!keys.expires) return Freshness::fresh;
  if (*keys.expires <= now + kMargin) return Freshness::ended;
  return *keys.expires <= now + kRefreshBefore ? Freshness::ageing : Freshness::fresh;
}

CredentialProvider::CredentialProvider(const config::Method& method, const CloudParts& cloud)
    : method_(method),
      cloud_(cloud),
      http_(cloud_),
      credentials_(credentials_path([this](const auto& name) { return variable(name.c_str()); }),
                   true, CredentialFile::Holds::document),
      config_(config_path([this](const auto& name) { return variable(name.c_str()); }), false,
              CredentialFile::Holds::document) {}

std::string CredentialProvider::variable(const char* name) const {
  return cloud_.variable ? cloud_.variable(name) : "";
}

Facts CredentialProvider::facts() {
  Facts facts{.access_key = method_.secret("access_key"),
              .secret_key = method_.secret("secret_key"),
              .session_token = method_.secret("session_token"),
              .profile = method_.text("profile"),
              .region = method_.text("region"),
              .variable = [this](const std::string& name) { return variable(name.c_str()); },
              .credentials_path = credentials_.path(),
              .config_path = config_.path()};
  // A file that is not there, or empty, has no profile in it; what it once held stays in force.
  const auto read = [](CredentialFile& file) {
    if (!file.path().empty()) (void)file.look();
    return SharedFile(file.content().reveal());
  };
  facts.credentials = read(credentials_);
  facts.config = read(config_);
  return facts;
}

// The file of a web identity, of a pod's token, or of a session of single sign-on.
result<> CredentialProvider::look_at_token() {
  if (source_.token_file.empty()) {
    token_.reset();
    return {};
  }
  if (!token_ || token_->path() != source_.token_file) {
    token_.emplace(source_.token_file, source_.kind == Kind::sso,
                   source_.kind == Kind::sso ? CredentialFile::Holds::document
                                             : CredentialFile::Holds::credential);
  }
  auto seen = token_->look();
  if (seen || !token_->content().empty()) return {};
  Error error = std::move(seen).error().within("AWS credentials: " + source_.text);
  if (source_.kind == Kind::sso) error.text += std::string("; ") + kSsoAdvice;
  return std::unexpected(std::move(error));
}

result<ContentId> CredentialProvider::look() {
  auto chosen = choose_source(facts());
  if (!chosen) return std::unexpected(std::move(chosen).error());
  source_ = *std::move(chosen);
  if (auto seen = look_at_token(); !seen) return std::unexpected(std::move(seen).error());
  Secret parts(source_.text + "\n" + source_.url + "\n" + source_.role_arn + "\n" +
               source_.token_file + "\n");
  if (source_.keys) {
    parts.append(source_.keys->access_key_id);
    parts.append(source_.keys->secret_access_key->reveal());
    if (source_.keys->session_token) parts.append(source_.keys->session_token->reveal());
  }
  if (source_.token) parts.append(source_.token->reveal());
  if (token_) parts.append(token_->content().reveal());
  if (source_.asked()) parts.append(renewed_id_);
  content_ = fingerprint(parts.reveal());
  return *content_;
}

asio::awaitable<result<Keys>> CredentialProvider::fetch() {
  const std::string ca_bundle = variable("AWS_CA_BUNDLE");
  switch (source_.kind) {
    case Kind::web_identity:
      co_return co_await assume_role(http_, source_, token_->content().clone(), ca_bundle);
    case Kind::container: {
      auto token =
          token_ ? std::make_shared<const Secret>(token_->content().reveal()) : source_.token;
      co_return co_await container_keys(http_, source_, std::move(token));
    }
    case Kind::sso: {
      const auto session = parse_sso_token(token_->content().reveal());
      if (!session)
        co_return fail(ErrorKind::config, source_.token_file + ": " + session.error().text);
      redactor().add_credential(session->token->reveal());
      co_return co_await sso_keys(http_, source_, *session, cloud_.now(), ca_bundle);
    }
    case Kind::instance:
      co_return co_await instance_.keys(source_);
    default:
      co_return *source_.keys;
  }
}

asio::awaitable<result<std::shared_ptr<const Keys>>> CredentialProvider::keys() {
  const bool same = cached_ && cached_from_ == content_;
  const Freshness now = same ? freshness(*cached_, cloud_.now()) : Freshness::ended;
  if (now == Freshness::fresh) co_return cached_;
  const auto from = content_;
  auto fetched = co_await fetch();
  if (!fetched) {
    // Time has passed: what was good enough may not be any more.
    if (now == Freshness::ageing && is_outage(fetched.error().kind) &&
        freshness(*cached_, cloud_.now()) != Freshness::ended) {
      log::warn("credential.refresh_failed", "the AWS credentials in hand serve to their end" +
                                                 at_end(*cached_) + ": " + fetched.error().text);
      co_return cached_;
    }
    co_return std::unexpected(std::move(fetched).error());
  }
  hide(*fetched);
  if (freshness(*fetched, cloud_.now()) == Freshness::ended) {
    const bool asked = !source_.keys;  // a service that is behind may be right later
    co_return std::unexpected(Error{
        .kind = asked ? ErrorKind::bad_reply : ErrorKind::denied,
        .text = "the AWS credentials of " + source_.text + " ended" + at_end(*fetched) +
                ": is whatever renews them running? Ours says it is " + time_text(cloud_.now()),
        .reason = asked ? Reason::credentials_away : Reason::none});
  }
  cached_ = std::make_shared<const Keys>(*std::move(fetched));
  cached_from_ = from;
  refused_id_.clear();
  log::debug("credential.fetched", "AWS credentials of " + source_.text + at_end(*cached_));
  co_return cached_;
}

void CredentialProvider::forget() {
  if (cached_) refused_id_ = cached_->access_key_id;
  cached_.reset();
}

// Whoever hands them out is asked, and a set that was not refused yet is kept for the login.
asio::awaitable<void> CredentialProvider::look_for_others() {
  auto fetched = co_await fetch();
  if (!fetched || fetched->access_key_id == refused_id_) co_return;
  if (freshness(*fetched, cloud_.now()) == Freshness::ended) co_return;
  hide(*fetched);
  cached_ = std::make_shared<const Keys>(*std::move(fetched));
  renewed_id_ = cached_->access_key_id;
  refused_id_.clear();
  if (look()) cached_from_ = content_;
}

asio::awaitable<std::string> CredentialProvider::tend() {
  auto seen = look();
  if (!seen) co_return cached_ ? alarm_about(*cached_, seen.error().text) : "";
  // STS and single sign-on give other keys each time: there it is a token's file that says more.
  const bool tells = source_.kind == Kind::container || source_.kind == Kind::instance;
  if (tells && !refused_id_.empty()) {
    co_await look_for_others();
    co_return "";
  }
  if (!source_.asked()) co_return alarm_about(*source_.keys, "nothing has replaced them");
  if (!cached_ || freshness(*cached_, cloud_.now()) == Freshness::fresh) co_return "";
  const auto had = cached_;
  const auto now = co_await keys();
  if (!now) co_return alarm_about(*had, now.error().text);
  co_return alarm_about(**now, source_.text + " gives no later ones");
}

std::string CredentialProvider::alarm_about(const Keys& keys, const std::string& why) {
  if (!keys.expires || *keys.expires > cloud_.now() + kAlarmBefore) return "";
  if (std::exchange(alarmed_id_, keys.access_key_id) == keys.access_key_id) return "";
  const bool ended = *keys.expires <= cloud_.now();
  return "the AWS credentials of " + source_.text + (ended ? " ended" : " end") + at_end(keys) +
         ", and the next login needs others: " + why;
}

asio::awaitable<result<StsEndpoint>> CredentialProvider::endpoint() {
  const Facts known = facts();
  auto region = region_of(known);
  if (!region) co_return std::unexpected(std::move(region).error());
  if (!*region && !instance_region_) {
    const auto service = instance_service(known.variable);
    if (!service) co_return std::unexpected(service.error());
    auto asked = co_await instance_.region(*service, true);
    if (!asked) co_return std::unexpected(std::move(asked).error());
    instance_region_ = *std::move(asked);
  }
  co_return sts_endpoint(*region ? **region : *instance_region_, uses_fips(known));
}

}  // namespace keybearer::auth::aws
