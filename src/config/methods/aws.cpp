// Keys of method "aws", type iam. Credentials need none of them: they are looked for where AWS's own
// programs look (auth/aws/sources.hpp). Source: Vault Agent, auto-auth method aws.

#include <algorithm>

#include "config/method.hpp"

namespace keybearer::config {
namespace {

using Type = MethodKey::Type;

std::string_view wrong_region(std::string_view value) {
  const bool good = !value.empty() && value.size() <= 32 && std::ranges::all_of(value, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
  return good ? "" : "not a region such as \"eu-west-1\", nor \"auto\"";
}

// It becomes a header.
std::string_view wrong_header(std::string_view value) {
  const bool good = value.size() <= 1024 &&
                    std::ranges::all_of(value, [](char c) { return c > 0x20 && c < 0x7f; });
  return good ? "" : "expected printable characters without blanks";
}

constexpr MethodChoice kTypes[] = {
    {.value = "iam"},
    {.value = "ec2",
     .refused = "not supported: it trusts whoever comes first and needs a nonce kept forever; with "
                "\"iam\" the instance's role logs in without any key of yours"},
};

constexpr MethodKey kKeys[] = {
    {.name = "role"},  // without it the server takes the name in the identity
    {.name = "login_type", .fallback = "iam", .choices = kTypes},
    {.name = "region", .wrong = wrong_region},
    {.name = "header_value", .wrong = wrong_header},
    {.name = "profile"},
    {.name = "access_key", .type = Type::secret},
    {.name = "secret_key", .type = Type::secret},
    {.name = "session_token", .type = Type::secret},
    {.name = "credential_poll_interval", .type = Type::period},  // how often they are looked after
};
constexpr MethodChoice kRefused[] = {
    {.value = "nonce",
     .refused =
         "of login_type = \"ec2\", which is not supported; \"iam\" needs none: leave it out"},
};
constexpr const char* kCredentials[] = {
    "AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY",    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",    "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"};

const MethodSpec spec{
    {.type = "aws", .keys = kKeys, .refused = kRefused, .credentials = kCredentials}};

}  // namespace
}  // namespace keybearer::config
