#include "auth/aws/sources.hpp"

#include <algorithm>

#include "auth/aws/login_request.hpp"
#include "auth/cloud.hpp"
#include "crypto/digest.hpp"
#include "http/url.hpp"

namespace keybearer::auth::aws {
namespace {

using Kind = Source::Kind;

std::unexpected<Error> wrong(std::string text) {
  return fail(ErrorKind::config, "AWS credentials: " + std::move(text));
}

std::shared_ptr<const Secret> secret(std::string_view text) {
  return text.empty() ? nullptr : std::make_shared<const Secret>(text);
}

bool is_true(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return text == "true" || text == "1";
}

std::string first_of(const Variable& variable, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (std::string value = variable(name); !value.empty()) return value;
  return "";
}

std::string in_home(const Variable& variable, std::string path) {
  if (!path.starts_with("~/")) return path;
  const std::string home = variable("HOME");
  return home.empty() ? "" : home + path.substr(1);
}

std::string without_slash(std::string text) {
  while (text.ends_with('/')) text.pop_back();
  return text;
}

// --- the profile ---

std::string profile_name(const Facts& facts) {
  if (!facts.profile.empty()) return facts.profile;
  const std::string named = first_of(facts.variable, {"AWS_PROFILE", "AWS_DEFAULT_PROFILE"});
  return named.empty() ? "default" : named;
}

// A setting of the profile, the credentials file's first.
struct Profile {
  const Facts& facts;
  std::string name = profile_name(facts);
  std::string section = "profile " + name;  // of the config file; "default" may stand alone there

  [[nodiscard]] bool exists() const {
    return facts.credentials.has(name) || facts.config.has(section) ||
           (name == "default" && facts.config.has(name));
  }
  [[nodiscard]] std::string find(std::string_view setting) const {
    if (const auto value = facts.credentials.find(name, setting); !value.empty())
      return std::string(value);
    if (const auto value = facts.config.find(section, setting); !value.empty())
      return std::string(value);
    return std::string(name == "default" ? facts.config.find(name, setting) : "");
  }
  [[nodiscard]] std::string text() const {
    const bool there = facts.credentials.has(name);
    return "profile \"" + name + "\" of " + (there ? facts.credentials_path : facts.config_path);
  }
};

// --- web identity ---

std::string sts_url(const Facts& facts) {
  if (std::string given = first_of(facts.variable, {"AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"});
      !given.empty())
    return without_slash(std::move(given)) + "/";
  std::string region = facts.region == "auto" ? "" : facts.region;
  if (region.empty()) region = first_of(facts.variable, {"AWS_REGION", "AWS_DEFAULT_REGION"});
  if (region.empty()) region = Profile{facts}.find("region");
  return "https://" + sts_endpoint(is_region(region) ? region : "", uses_fips(facts)).host + "/";
}

result<Source> web_identity(const Facts& facts, std::string token_file, std::string role_arn,
                            std::string session_name, std::string text) {
  Source source{.kind = Kind::web_identity,
                .text = std::move(text),
                .role_arn = std::move(role_arn),
                .session_name = session_name.empty() ? "keybearer" : std::move(session_name),
                .token_file = in_home(facts.variable, std::move(token_file)),
                .url = sts_url(facts)};
  if (!is_trusted_address(source.url))
    return wrong("AWS_ENDPOINT_URL_STS: " + source.url +
                 " would get the web identity's token in the clear; use https://");
  return source;
}

std::optional<result<Source>> environment_web_identity(const Facts& facts) {
  std::string file = facts.variable("AWS_WEB_IDENTITY_TOKEN_FILE");
  std::string role = facts.variable("AWS_ROLE_ARN");
  if (file.empty()) return {};
  if (role.empty())
    return wrong(
        "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not: annotate the service account "
        "with eks.amazonaws.com/role-arn");
  std::string text = "the web identity in " + file + " (AWS_WEB_IDENTITY_TOKEN_FILE)";
  return web_identity(facts, std::move(file), std::move(role),
                      facts.variable("AWS_ROLE_SESSION_NAME"), std::move(text));
}

// --- the parts of a profile, in order ---

std::optional<result<Source>> profile_role(const Facts& facts, const Profile& profile) {
  std::string role = profile.find("role_arn"), file = profile.find("web_identity_token_file");
  if (role.empty()) return {};
  if (!file.empty())
    return web_identity(facts, std::move(file), std::move(role), profile.find("role_session_name"),
                        "the web identity of " + profile.text());
  for (const char* setting : {"source_profile", "credential_source"}) {
    if (!profile.find(setting).empty())
      return wrong(profile.text() + ": role_arn with " + setting +
                   " is not supported; name a profile with credentials of its own "
                   "(auto_auth.method.profile), or bind the source's ARN to the server's role");
  }
  return {};
}

std::optional<result<Source>> profile_sso(const Facts& facts, const Profile& profile) {
  const std::string session = profile.find("sso_session");
  std::string start_url = profile.find("sso_start_url"), region = profile.find("sso_region");
  if (session.empty() && start_url.empty()) return {};
  const std::string section = "sso-session " + session;
  if (!session.empty()) region = facts.config.find(section, "sso_region");
  Source source{.kind = Kind::sso,
                .text = "the single sign-on of " + profile.text(),
                .account_id = profile.find("sso_account_id"),
                .role_name = profile.find("sso_role_name")};
  if (region.empty() || source.account_id.empty() || source.role_name.empty())
    return wrong(profile.text() +
                 ": single sign-on needs sso_region, sso_account_id and "
                 "sso_role_name");
  if (!is_region(region)) return wrong(profile.text() + ": sso_region is no region");
  source.token_file =
      in_home(facts.variable,
              "~/.aws/sso/cache/" + sha1_hex(session.empty() ? start_url : session) + ".json");
  source.url = first_of(facts.variable, {"AWS_ENDPOINT_URL_SSO"});
  if (source.url.empty()) {
    const std::string domain = region.starts_with("cn-") ? ".amazonaws.com.cn" : ".amazonaws.com";
    source.url = "https://portal.sso." + region + domain;
  }
  if (!is_trusted_address(source.url))
    return wrong("AWS_ENDPOINT_URL_SSO: " + source.url + " is not https://");
  source.url = without_slash(std::move(source.url)) +
               "/federation/credentials?role_name=" + form_escaped(source.role_name) +
               "&account_id=" + form_escaped(source.account_id);
  return source;
}

std::optional<result<Source>> profile_keys(const Profile& profile) {
  const std::string id = profile.find("aws_access_key_id");
  const std::string key = profile.find("aws_secret_access_key");
  if (id.empty() && key.empty()) return {};
  if (id.empty() || key.empty())
    return wrong(profile.text() + ": aws_access_key_id and aws_secret_access_key go together");
  Source source{.kind = Kind::profile, .text = profile.text()};
  std::optional<WallTime> expires;
  for (const char* setting : {"aws_expiration", "expiration", "x_security_token_expires"})
    if (!expires) expires = parse_time(profile.find(setting));  // as tools write it beside
  source.keys = Keys{.access_key_id = id,
                     .secret_access_key = secret(key),
                     .session_token = secret(profile.find("aws_session_token")),
                     .expires = expires};
  return source;
}

std::optional<result<Source>> profile_process(const Profile& profile) {
  if (profile.find("credential_process").empty()) return {};
  return wrong(profile.text() +
               ": credential_process is not run; let it write aws_access_key_id, "
               "aws_secret_access_key and aws_session_token to the credentials file");
}

std::optional<result<Source>> of_profile(const Facts& facts) {
  const Profile profile{facts};
  if (!profile.exists()) {
    const bool named = profile.name != "default";
    if (!named) return {};
    return wrong("there is no profile \"" + profile.name + "\" in " +
                 (facts.credentials_path.empty() ? "~/.aws/credentials" : facts.credentials_path) +
                 " or " + (facts.config_path.empty() ? "~/.aws/config" : facts.config_path));
  }
  if (auto found = profile_role(facts, profile)) return found;
  if (auto found = profile_sso(facts, profile)) return found;
  if (auto found = profile_keys(profile)) return found;
  return profile_process(profile);
}

// --- the others ---

std::optional<result<Source>> of_configuration(const Facts& facts) {
  if (!facts.access_key && !facts.secret_key) return {};
  if (!facts.access_key || !facts.secret_key)
    return wrong("auto_auth.method.access_key and secret_key go together");
  Source source{.kind = Kind::configuration, .text = "auto_auth.method.access_key"};
  source.keys = Keys{.access_key_id = std::string(facts.access_key->reveal()),
                     .secret_access_key = facts.secret_key,
                     .session_token = facts.session_token};
  return source;
}

std::optional<result<Source>> of_environment(const Facts& facts) {
  if (!facts.profile.empty()) return {};  // another source was asked for by name
  const std::string id = first_of(facts.variable, {"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"});
  const std::string key = first_of(facts.variable, {"AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"});
  if (id.empty() && key.empty()) return {};
  if (id.empty() || key.empty())
    return wrong(std::string(id.empty() ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID") +
                 " is set and " + (id.empty() ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY") +
                 " is not");
  Source source{.kind = Kind::environment, .text = "the environment (AWS_ACCESS_KEY_ID)"};
  source.keys = Keys{.access_key_id = id,
                     .secret_access_key = secret(key),
                     .session_token = secret(facts.variable("AWS_SESSION_TOKEN")),
                     .expires = parse_time(facts.variable("AWS_CREDENTIAL_EXPIRATION"))};
  return source;
}

std::optional<result<Source>> of_container(const Facts& facts) {
  const std::string relative = facts.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  const std::string full = facts.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (relative.empty() && full.empty()) return {};
  Source source{.kind = Kind::container};
  if (!relative.empty()) {
    if (!relative.starts_with('/') || !is_plain(relative))
      return wrong("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: not a path that begins with /");
    source.url = "http://169.254.170.2" + relative;
    source.text = "the container's role (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI)";
  } else {
    source.url = full;
    source.text = "the container's role (AWS_CONTAINER_CREDENTIALS_FULL_URI)";
    if (!is_plain(full) || !is_trusted_address(full))
      return wrong(
          "AWS_CONTAINER_CREDENTIALS_FULL_URI: https:// anywhere, or http:// to loopback, "
          "169.254.170.2, 169.254.170.23 or [fd00:ec2::23]");
  }
  source.token_file = facts.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  if (source.token_file.empty())
    source.token = secret(facts.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"));
  return source;
}

result<Source> of_instance(const Facts& facts) {
  if (is_true(facts.variable("AWS_EC2_METADATA_DISABLED")))
    return wrong("none found: not in the environment (AWS_ACCESS_KEY_ID), not in profile \"" +
                 profile_name(facts) + "\" of " +
                 (facts.credentials_path.empty() ? "~/.aws/credentials" : facts.credentials_path) +
                 ", no web identity (AWS_WEB_IDENTITY_TOKEN_FILE), no container's role "
                 "(AWS_CONTAINER_CREDENTIALS_FULL_URI), and instance metadata is switched off "
                 "(AWS_EC2_METADATA_DISABLED)");
  const auto url = instance_service(facts.variable);
  if (!url) return std::unexpected(url.error());
  return Source{.kind = Kind::instance,
                .text = "the instance's role",
                .url = *url,
                .v1_allowed = !is_true(facts.variable("AWS_EC2_METADATA_V1_DISABLED"))};
}

}  // namespace

std::string credentials_path(const Variable& variable) {
  const std::string given = variable("AWS_SHARED_CREDENTIALS_FILE");
  return in_home(variable, given.empty() ? "~/.aws/credentials" : given);
}

std::string config_path(const Variable& variable) {
  const std::string given = variable("AWS_CONFIG_FILE");
  return in_home(variable, given.empty() ? "~/.aws/config" : given);
}

result<Source> choose_source(const Facts& facts) {
  if (auto found = of_configuration(facts)) return *std::move(found);
  if (auto found = of_environment(facts)) return *std::move(found);
  if (auto found = of_profile(facts)) return *std::move(found);
  if (auto found = environment_web_identity(facts)) return *std::move(found);
  if (auto found = of_container(facts)) return *std::move(found);
  return of_instance(facts);
}

result<std::optional<std::string>> region_of(const Facts& facts) {
  if (facts.region != "auto") return facts.region;
  std::string region = first_of(facts.variable, {"AWS_REGION", "AWS_DEFAULT_REGION"});
  if (region.empty()) region = Profile{facts}.find("region");
  if (!region.empty()) {
    if (!is_region(region))
      return fail(ErrorKind::config,
                  "auto_auth.method.region: \"auto\" found something that is no "
                  "region in AWS_REGION, AWS_DEFAULT_REGION or the profile");
    return region;
  }
  if (is_true(facts.variable("AWS_EC2_METADATA_DISABLED")))
    return fail(ErrorKind::config,
                "auto_auth.method.region: \"auto\", but AWS_REGION, AWS_DEFAULT_REGION and the "
                "profile's region are not set, and instance metadata is switched off");
  return std::nullopt;
}

bool uses_fips(const Facts& facts) {
  const std::string given = facts.variable("AWS_USE_FIPS_ENDPOINT");
  return is_true(given.empty() ? Profile{facts}.find("use_fips_endpoint") : given);
}

result<std::string> instance_service(const Variable& variable) {
  const std::string given = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  if (!given.empty()) {
    if (!http::parse_url(without_slash(given)) || !is_plain(given))
      return wrong("AWS_EC2_METADATA_SERVICE_ENDPOINT: not an address");
    return without_slash(given);
  }
  std::string mode = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
  for (char& c : mode) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  if (mode == "ipv6") return "http://[fd00:ec2::254]";
  if (mode.empty() || mode == "ipv4") return "http://169.254.169.254";
  return wrong("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: expected IPv4 or IPv6");
}

bool is_trusted_address(std::string_view url) {
  const auto scheme = url.find("://");
  const auto path = scheme == url.npos ? url.npos : url.find_first_of("/?", scheme + 3);
  const auto parsed = http::parse_url(url.substr(0, path));
  if (!parsed || parsed->scheme == http::Url::Scheme::unix_socket) return false;
  constexpr std::string_view kNode[] = {"169.254.170.2", "169.254.170.23", "fd00:ec2::23"};
  return parsed->scheme == http::Url::Scheme::https || parsed->is_loopback() ||
         std::ranges::find(kNode, parsed->host) != std::end(kNode);
}

}  // namespace keybearer::auth::aws
