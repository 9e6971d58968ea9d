#pragma once
// Which of its possible sources AWS credentials come from. Pure: the environment and the files come
// as what was found in them.
//
// The order is that of AWS's SDKs: keys of the configuration, environment, the profile of the shared
// files (its web identity, its single sign-on, its keys), web identity of the environment (IRSA),
// container (ECS, EKS Pod Identity), instance metadata (EC2). The first that is there counts, and
// what is wrong with it is an error: no other one is used in its place.
//
// Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers"; environment
// variables and settings as listed there.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "auth/aws/documents.hpp"
#include "auth/aws/keys.hpp"
#include "base/error.hpp"

namespace keybearer::auth::aws {

using Variable = std::function<std::string(const std::string& name)>;  // "": not set

struct Facts {
  // Of [auto_auth.method]; its keys count when one of them is set.
  std::shared_ptr<const Secret> access_key = {}, secret_key = {}, session_token = {};
  std::string profile = {};  // "": AWS_PROFILE, else "default"
  std::string region = {};   // "": the global endpoint; "auto": see region_of()
  Variable variable = {};
  SharedFile credentials = {}, config = {};             // empty where they are not there
  std::string credentials_path = {}, config_path = {};  // where they would be, for people
};

// The files to read for Facts: AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials and so on; "" when
// there is no home directory.
[[nodiscard]] std::string credentials_path(const Variable& variable);
[[nodiscard]] std::string config_path(const Variable& variable);

struct Source {
  enum class Kind : std::uint8_t {
    configuration,
    environment,
    profile,
    sso,
    web_identity,
    container,
    instance,
  };
  Kind kind = Kind::instance;
  std::string text = {};  // for people: "the environment (AWS_ACCESS_KEY_ID)"

  std::optional<Keys> keys = {};  // configuration, environment, profile

  // web_identity
  std::string role_arn = {}, session_name = {};
  // web_identity, container: the file that holds a token; sso: that of the session
  std::string token_file = {};

  // container, sso, web_identity: who is asked
  std::string url = {};
  // container: the variable itself, where there is no file
  std::shared_ptr<const Secret> token = {};

  // sso
  std::string account_id = {}, role_name = {};

  // instance
  bool v1_allowed = true;

  // Somebody hands the keys out; else they are where they were found.
  [[nodiscard]] bool asked() const { return !keys; }
};

// Errors: config, with what to do.
[[nodiscard]] result<Source> choose_source(const Facts& facts);

// The region that a login is signed for; nullopt: the instance's metadata tells it ("auto", and
// nothing else says so). Errors: config.
[[nodiscard]] result<std::optional<std::string>> region_of(const Facts& facts);
[[nodiscard]] bool uses_fips(const Facts& facts);

// "http://169.254.169.254", without a slash at its end. Errors: config.
[[nodiscard]] result<std::string> instance_service(const Variable& variable);

// May a token be sent there: https, or http to this host and the services of its node?
[[nodiscard]] bool is_trusted_address(std::string_view url);

}  // namespace keybearer::auth::aws
