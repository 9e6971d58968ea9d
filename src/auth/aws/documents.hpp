#pragma once
// What holds AWS credentials, as text: the shared files (INI), what metadata services answer (JSON)
// and what STS answers (XML). Pure; for hostile input an error or nothing, never more.
//
// Sources: AWS SDKs and Tools Reference Guide, "Shared config and credentials files", "Container
// credential provider", "IAM Identity Center credential provider"; EC2 User Guide, "Retrieve security
// credentials from instance metadata"; AWS STS API Reference, AssumeRoleWithWebIdentity.

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "auth/aws/keys.hpp"
#include "base/error.hpp"

namespace keybearer::auth::aws {

// "2026-11-29T12:00:00Z", with a fraction of a second or an offset ("+02:00", "+0200") too.
[[nodiscard]] std::optional<WallTime> parse_time(std::string_view text);
[[nodiscard]] std::string time_text(WallTime time);  // the same, for people

// ~/.aws/credentials or ~/.aws/config. Names of sections as they are written ("profile a"), names of
// settings in lower case; what comes later wins; what is no setting is passed over, and so are the
// nested ones (s3 =, with indented lines below).
class SharedFile {
 public:
  SharedFile() = default;
  explicit SharedFile(std::string_view text);

  [[nodiscard]] bool has(std::string_view section) const;
  // "" where it is not there. The view ends with this object.
  [[nodiscard]] std::string_view find(std::string_view section, std::string_view setting) const;

 private:
  std::map<std::string, std::map<std::string, std::string, std::less<>>, std::less<>> sections_;
};

// Errors of what follows: bad_reply, with nothing of the text.

// {"AccessKeyId","SecretAccessKey","Token","Expiration"} of ECS, EKS and instance metadata; where
// there is a "Code", it must be "Success".
[[nodiscard]] result<Keys> parse_metadata_reply(std::string_view json);
// {"roleCredentials":{"accessKeyId","secretAccessKey","sessionToken","expiration": milliseconds}}
[[nodiscard]] result<Keys> parse_sso_reply(std::string_view json);
// ...<Credentials><AccessKeyId>... of AssumeRoleWithWebIdentity
[[nodiscard]] result<Keys> parse_sts_reply(std::string_view xml);

// ~/.aws/sso/cache/SHA1.json: {"accessToken","expiresAt"}
struct SsoToken {
  std::shared_ptr<const Secret> token;
  std::optional<WallTime> expires = {};
};
[[nodiscard]] result<SsoToken> parse_sso_token(std::string_view json);

// "AccessDenied: Not authorized to perform ...": what a service says went wrong, from its JSON or XML,
// in one line of at most 200 characters and cleaned of values that are known; "" when it says nothing.
[[nodiscard]] std::string service_error(std::string_view body);

// May it stand in a header: printable and without blanks, not longer than 16 KiB?
[[nodiscard]] bool is_plain(std::string_view text);

}  // namespace keybearer::auth::aws
