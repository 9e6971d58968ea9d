#include "auth/azure/documents.hpp"

#include <algorithm>

#include "auth/cloud.hpp"
#include "auth/cloud_documents.hpp"
#include "json/json.hpp"

namespace keybearer::auth::azure {
namespace {

constexpr std::string_view kAssertionType =
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
constexpr int kInternalError = 500;

// Metadata and application services want the same parameters under nearly the same names.
std::string identity_query(std::string_view version, std::string_view resource,
                           const Identity& identity, std::string_view object_key) {
  std::string out = "api-version=" + std::string(version) + "&resource=" + form_escaped(resource);
  if (!identity.client_id.empty()) out += "&client_id=" + form_escaped(identity.client_id);
  if (!identity.object_id.empty())
    out.append("&").append(object_key).append("=").append(form_escaped(identity.object_id));
  return out;
}

}  // namespace

std::string token_target(std::string_view resource, const Identity& identity) {
  return "/metadata/identity/oauth2/token?" +
         identity_query("2018-02-01", resource, identity, "object_id");
}

std::string app_service_query(std::string_view resource, const Identity& identity) {
  return identity_query("2019-08-01", resource, identity, "principal_id");
}

std::string exchange_url(std::string_view authority, std::string_view tenant) {
  std::string out(authority);
  while (out.ends_with('/')) out.pop_back();
  return out + "/" + form_escaped(tenant) + "/oauth2/v2.0/token";
}

Secret exchange_form(std::string_view client_id, std::string_view scope,
                     std::string_view assertion) {
  Secret out("grant_type=client_credentials&client_id=" + form_escaped(client_id) +
             "&scope=" + form_escaped(scope) +
             "&client_assertion_type=" + form_escaped(kAssertionType) + "&client_assertion=");
  out.append(form_escaped(assertion));
  return out;
}

std::string scope_of(std::string_view resource) {
  return std::string(resource) + "/.default";
}

result<Secret> read_token(std::string_view body) {
  const auto text = header_secret(body, "access_token");
  if (!text) return std::unexpected(text.error());
  return jwt_of_body(text->reveal());
}

result<Instance> read_instance(std::string_view body) {
  const auto document = json::parse(body, kCloudLimits);
  const Value* compute = document ? document->find("compute") : nullptr;
  if (compute == nullptr || !compute->is_map())
    return fail(ErrorKind::bad_reply, "the answer says nothing of an instance");
  return Instance{.name = std::string(text_at(*compute, "name")),
                  .scale_set = std::string(text_at(*compute, "vmScaleSetName")),
                  .resource_group = std::string(text_at(*compute, "resourceGroupName")),
                  .subscription = std::string(text_at(*compute, "subscriptionId"))};
}

std::string read_error(std::string_view body) {
  const auto document = json::parse(body, kCloudLimits);
  if (!document) return {};
  for (const auto* member : {"error_description", "error", "message"}) {
    const Value* text = document->find(member);
    if (text != nullptr && text->type() == Type::string) return reason_line(text);
  }
  return {};
}

bool is_refusal(int status, std::string_view answer) {
  if (status != kInternalError) return false;
  constexpr std::string_view kOutages[] = {"fetching keys", "unable to retrieve",
                                           "failed to create"};
  constexpr std::string_view kRefusals[] = {
      "oidc: ", "not authorized", "failed to verify signature", "not yet valid", "are required"};
  const auto said = [answer](std::string_view text) { return answer.contains(text); };
  return std::ranges::none_of(kOutages, said) && std::ranges::any_of(kRefusals, said);
}

}  // namespace keybearer::auth::azure
