#include "secrets/whole_answer.hpp"

#include <algorithm>

#include "json/json.hpp"

namespace keybearer::secrets {
namespace {

using Kinds = tmpl::Dependency::Kind;

// sys/health, identity/oidc/.well-known/keys and the like have members of their own, and no data.
bool has_members_of_its_own(const Value& body) {
  constexpr std::string_view kEnvelope[] = {
      "request_id", "lease_id", "lease_duration", "renewable",  "data",
      "wrap_info",  "warnings", "auth",           "mount_type", "errors"};
  return body.is_map() && std::ranges::any_of(body.entries(), [&](const auto& entry) {
           return std::ranges::find(kEnvelope, entry.key.as_text()) == std::end(kEnvelope);
         });
}

bool is_list_of_texts(const Value& value) {
  return value.is_list() && std::ranges::all_of(value.items(), [](const Value& item) {
           return item.type() == Type::string;
         });
}

std::string_view missing_of_read(const vault::Reply& reply, bool kv2) {
  const Value& data = reply.data();
  if (data.is_nil() && has_members_of_its_own(reply.body)) return {};
  if (!data.is_map()) return "data";
  const Value& metadata = value_at(data, "metadata");
  const bool versioned =
      metadata.is_map() && metadata.find("version") != nullptr && data.find("data") != nullptr;
  return (kv2 || versioned) && !value_at(data, "data").is_map() ? "data.data" : "";
}

std::string_view missing_of_certificate(const tmpl::Dependency& dependency, const Value& data) {
  if (text_at(data, "certificate").empty()) return "certificate";
  const bool with_key = dependency.path.find("/issue/") != std::string::npos;
  return with_key && text_at(data, "private_key").empty() ? "private_key" : "";
}

}  // namespace

std::string_view missing_part(const tmpl::Dependency& dependency, const vault::Reply& reply,
                              bool kv2) {
  const Value& data = reply.data();
  switch (dependency.kind) {
    case Kinds::write:
      return data.is_nil() || data.is_map() ? "" : "data";
    case Kinds::pki:
      return missing_of_certificate(dependency, data);
    case Kinds::list:
      return is_list_of_texts(value_at(data, "keys")) ? "" : "keys";
    default:
      return missing_of_read(reply, kv2);
  }
}

}  // namespace keybearer::secrets
