#include "auth/aws/remedy.hpp"

#include <algorithm>
#include <vector>

namespace keybearer::auth::aws {
namespace {

// The words that are looked for, all of them, and what is said then.
struct Row {
  std::vector<std::string_view> words;
  std::string (*advice)(const LoginFacts& facts);
};

std::string role_text(const LoginFacts& facts) {
  return facts.role.empty() ? "the role that is named as the identity (no auto_auth.method.role)"
                            : "role \"" + facts.role + "\"";
}

// The first row that fits counts.
const std::vector<Row>& rows() {
  static const std::vector<Row> kRows = {
      {{"X-Vault-AWS-IAM-Server-ID", "missing header"},
       [](const LoginFacts&) -> std::string {
         return "the server wants a value there: set auto_auth.method.header_value to the server's "
                "iam_server_id_header_value (vault read auth/aws/config/client)";
       }},
      {{"X-Vault-AWS-IAM-Server-ID"},
       [](const LoginFacts& facts) -> std::string {
         return "auto_auth.method.header_value is \"" + facts.header_value +
                "\": set it to what the server expects";
       }},
      {{"ExpiredToken"},
       [](const LoginFacts& facts) -> std::string {
         return "the AWS session has expired" +
                (facts.expires.empty() ? "" : " (" + facts.expires + ")") +
                "; the credentials come from " + facts.source +
                ": a copy of temporary keys there ends and is not renewed";
       }},
      {{"should be scoped to a valid region"},
       [](const LoginFacts& facts) -> std::string {
         return "it was signed for " + facts.sts.region +
                ": set auto_auth.method.region to the server's sts_region (none for the global "
                "endpoint), or the server's use_sts_region_from_client";
       }},
      {{"Signature expired"},
       [](const LoginFacts& facts) -> std::string {
         return "our clock says " + facts.now +
                ", which is more than 15 min behind AWS: set it right (NTP)";
       }},
      {{"not yet current"},
       [](const LoginFacts& facts) -> std::string {
         return "our clock says " + facts.now +
                ", which is more than 15 min ahead of AWS: set it right (NTP)";
       }},
      {{"SignatureDoesNotMatch"},
       [](const LoginFacts& facts) -> std::string {
         return "the secret key of " + facts.access_key_id + " from " + facts.source +
                " is not the one that AWS knows";
       }},
      {{"InvalidClientTokenId"},
       [](const LoginFacts& facts) -> std::string {
         return "access key " + facts.access_key_id + " from " + facts.source +
                " is wrong or deleted, or it belongs to another partition than " + facts.sts.host +
                " (China, GovCloud: set auto_auth.method.region and the server's sts_endpoint)";
       }},
      {{"does not belong to the role"},
       [](const LoginFacts& facts) -> std::string {
         return "add that ARN to bound_iam_principal_arn of " + role_text(facts) + " at " +
                facts.mount + ", or use another role";
       }},
      {{"entry for role"},
       [](const LoginFacts& facts) -> std::string {
         return role_text(facts) + " does not exist at " + facts.mount + ": vault list " +
                facts.mount + "/roles";
       }},
  };
  return kRows;
}

}  // namespace

Error explained(Error error, const LoginFacts& facts) {
  if (error.status == 0 || is_outage(error.kind)) return error;
  const std::string& said = error.text;
  const auto found = std::ranges::find_if(rows(), [&said](const Row& row) {
    return std::ranges::all_of(row.words,
                               [&](std::string_view word) { return said.contains(word); });
  });
  if (found != rows().end()) {
    error.text += "; " + found->advice(facts);
  } else if (said.contains("making upstream request") &&
             (!said.contains("<Code>") || said.contains("received error code 5") ||
              said.contains("Throttl"))) {
    error.kind = ErrorKind::server;
    error.reason = Reason::credentials_away;
    error.text += "; the server can't reach AWS STS (its sts_endpoint): tried again";
  } else if (error.status == 403 || error.status == 404) {
    error.text += "; no aws method at " + facts.mount +
                  " (or it is in another namespace, or this address is outside of the role's "
                  "token_bound_cidrs): see auto_auth.method.mount_path and namespace";
  } else {
    error.text +=
        "; " + role_text(facts) + " at " + facts.mount + ", credentials from " + facts.source;
  }
  return error;
}

}  // namespace keybearer::auth::aws
