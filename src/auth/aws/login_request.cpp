#include "auth/aws/login_request.hpp"

#include <algorithm>

#include "auth/aws/sigv4.hpp"
#include "tmpl/funcs/base64.hpp"
#include "vault/paths.hpp"

namespace keybearer::auth::aws {
namespace {

constexpr std::string_view kBody = "Action=GetCallerIdentity&Version=2011-06-15";
constexpr std::string_view kContentType = "application/x-www-form-urlencoded; charset=utf-8";

// Source: AWS, partitions.json of the endpoint rules: the region's prefix tells its domain.
struct Partition {
  std::string_view prefix, domain;
};
constexpr Partition kPartitions[] = {
    {"cn-", "amazonaws.com.cn"}, {"us-isob-", "sc2s.sgov.gov"},  {"us-isof-", "csp.hci.ic.gov"},
    {"us-iso-", "c2s.ic.gov"},   {"eu-isoe-", "cloud.adc-e.uk"}, {"eusc-", "amazonaws.eu"},
};
// Others have none, or are so by themselves (GovCloud).
constexpr std::string_view kWithFips[] = {"us-east-1", "us-east-2", "us-west-1", "us-west-2"};

// Exactly what is signed, and nothing else: the server refuses other X-Amz-* headers.
std::vector<std::pair<std::string, std::string_view>> headers_of(const LoginRequest& request,
                                                                 const Keys& keys,
                                                                 std::string_view length,
                                                                 std::string_view time) {
  std::vector<std::pair<std::string, std::string_view>> out = {{"Content-Length", length},
                                                               {"Content-Type", kContentType},
                                                               {"Host", request.sts.host},
                                                               {"X-Amz-Date", time}};
  if (keys.session_token) out.emplace_back("X-Amz-Security-Token", keys.session_token->reveal());
  if (!request.header_value.empty())
    out.emplace_back("X-Vault-AWS-IAM-Server-ID", request.header_value);
  return out;
}

Secret base64(std::string_view bytes) {
  return Secret(tmpl::base64(bytes));
}

}  // namespace

StsEndpoint sts_endpoint(std::string_view region, bool fips) {
  if (region.empty() || region == "aws-global")
    return fips ? sts_endpoint("us-east-1", true)
                : StsEndpoint{.host = "sts.amazonaws.com", .region = "us-east-1"};
  const auto found = std::ranges::find_if(
      kPartitions, [&](const Partition& each) { return region.starts_with(each.prefix); });
  const std::string_view domain = found == std::end(kPartitions) ? "amazonaws.com" : found->domain;
  const bool with_fips = fips && std::ranges::find(kWithFips, region) != std::end(kWithFips);
  std::string host(with_fips ? "sts-fips." : "sts.");
  host.append(region).append(".").append(domain);
  return {.host = std::move(host), .region = std::string(region)};
}

bool is_region(std::string_view text) {
  return !text.empty() && text.size() <= 32 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

Secret login_authorization(const LoginRequest& request, const Keys& keys) {
  const Scope scope{.time = amz_time(request.now), .region = request.sts.region, .service = "sts"};
  const std::string length = std::to_string(kBody.size());
  return authorization({.method = "POST",
                        .path = "/",
                        .headers = headers_of(request, keys, length, scope.time),
                        .body = kBody},
                       scope, keys.access_key_id, keys.secret_access_key->reveal());
}

Secret login_body(const LoginRequest& request, const Keys& keys) {
  const std::string time = amz_time(request.now), length = std::to_string(kBody.size());
  const Secret signature = login_authorization(request, keys);
  auto headers = headers_of(request, keys, length, time);
  headers.emplace_back("Authorization", signature.reveal());
  std::vector<vault::Member> members(headers.begin(), headers.end());
  const Secret sent_headers = base64(vault::json_object(std::span(members)).reveal());
  const Secret url = base64("https://" + request.sts.host + "/"), body = base64(kBody);
  members = {{"iam_http_request_method", "POST"},
             {"iam_request_url", url.reveal()},
             {"iam_request_body", body.reveal()},
             {"iam_request_headers", sent_headers.reveal()}};
  if (!request.role.empty()) members.emplace(members.begin(), "role", request.role);
  return vault::json_object(std::span(members));
}

}  // namespace keybearer::auth::aws
