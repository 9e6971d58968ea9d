#include "auth/aws/remedy.hpp"

#include <doctest/doctest.h>

namespace keybearer::auth::aws {
namespace {

// The server's words, as measured.
TEST_CASE("what each refusal means, and what to do") {
  const LoginFacts facts{.mount = "auth/aws-eu",
                         .role = "app",
                         .header_value = "b",
                         .sts = sts_endpoint("eu-west-1"),
                         .source = "the environment (AWS_ACCESS_KEY_ID)",
                         .access_key_id = "AKIDEXAMPLE",
                         .expires = "2026-11-29T12:00:00Z",
                         .now = "2026-11-29T12:30:00Z"};
  struct {
    int status;
    const char* said;
    const char* advice;
    bool outage;
  } const rows[] = {
      {400, "error validating X-Vault-AWS-IAM-Server-ID header: missing header",
       "header_value to the server's", false},
      {400, "error validating X-Vault-AWS-IAM-Server-ID header: expected \"a\" but got \"b\"",
       "header_value is \"b\"", false},
      {400,
       "error making upstream request: received error code 403 from STS: <Code>ExpiredToken</Code>",
       "expired (2026-11-29T12:00:00Z); the credentials come from the environment", false},
      {400,
       "received error code 403 from STS: <Code>SignatureDoesNotMatch</Code> Credential should be "
       "scoped to a valid region, not 'eu-west-1'",
       "signed for eu-west-1: set auto_auth.method.region", false},
      {400, "<Code>SignatureDoesNotMatch</Code> Signature expired: x is now earlier than y",
       "behind AWS", false},
      {400, "<Code>SignatureDoesNotMatch</Code> Signature not yet current: x", "ahead of AWS",
       false},
      {400, "<Code>SignatureDoesNotMatch</Code> does not match the signature you provided",
       "secret key of AKIDEXAMPLE", false},
      {400, "<Code>InvalidClientTokenId</Code>", "wrong or deleted", false},
      {400, "IAM Principal \"arn:aws:sts::1:assumed-role/x/i\" does not belong to the role \"app\"",
       "bound_iam_principal_arn of role \"app\" at auth/aws-eu", false},
      {400, "entry for role app not found", "role \"app\" does not exist at auth/aws-eu", false},
      {400,
       "error making upstream request: error making request: POST http://x giving up after 1 "
       "attempt(s)",
       "can't reach AWS STS", true},
      {400,
       "error making upstream request: received error code 503 from STS: <Code>Unavailable</Code>",
       "can't reach AWS STS", true},
      {400,
       "error making upstream request: received error code 400 from STS: <Code>Throttling</Code>",
       "can't reach AWS STS", true},
      {403, "permission denied", "no aws method at auth/aws-eu", false},
      {400, "something new", "role \"app\" at auth/aws-eu, credentials from the environment",
       false},
  };
  for (const auto& [status, said, advice, outage] : rows) {
    CAPTURE(said);
    const Error error =
        explained({.kind = ErrorKind::denied, .text = said, .status = status}, facts);
    CHECK(error.text.starts_with(said));
    CHECK(error.text.contains(advice));
    CHECK(is_outage(error.kind) == outage);
  }
  // No answer, and the server's own trouble: nothing is added.
  CHECK(explained({ErrorKind::network, "x"}, facts).text == "x");
  CHECK(explained({.kind = ErrorKind::server, .text = "x", .status = 500}, facts).text == "x");
  LoginFacts bare = facts;
  bare.role.clear();
  CHECK(explained({.kind = ErrorKind::denied, .text = "entry for role z not found", .status = 400},
                  bare)
            .text.contains("named as the identity"));
}

}  // namespace
}  // namespace keybearer::auth::aws
