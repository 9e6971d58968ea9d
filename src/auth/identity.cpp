#include "auth/identity.hpp"

#include <algorithm>
#include <utility>

#include "config/scalars.hpp"

namespace keybearer::auth {
namespace {

using config::escaped;

std::string shown(const std::string& text) {
  return text.empty() ? "empty" : "\"" + escaped(text) + "\"";
}

std::string joined(const std::vector<std::string>& items) {
  std::string out;
  for (const auto& item : items) out.append(out.empty() ? "" : ", ").append(escaped(item));
  return out.empty() ? "none" : out;
}

}  // namespace

result<> verify_identity(const config::Identity& wanted, const vault::Auth& auth) {
  std::string faults;
  const auto fault = [&faults](const std::string& text) {
    faults += (faults.empty() ? "" : "; ") + text;
  };
  if (!wanted.entity_id.empty() && wanted.entity_id != auth.entity_id)
    fault("entity_id is " + shown(auth.entity_id) + ", expected " + shown(wanted.entity_id));
  std::string lacking;
  for (const std::string& policy : wanted.policies) {
    if (std::ranges::find(auth.policies, policy) != auth.policies.end()) continue;
    lacking += (lacking.empty() ? "" : ", ") + escaped(policy);
  }
  if (!lacking.empty())
    fault("policies lack " + lacking + " (there are: " + joined(auth.policies) + ")");
  for (const auto& [key, value] : wanted.metadata) {
    const auto at = auth.metadata.find(key);
    if (at == auth.metadata.end())
      fault("metadata has no " + escaped(key) + ", expected " + shown(value));
    else if (at->second != value)
      fault("metadata " + escaped(key) + " is " + shown(at->second) + ", expected " + shown(value));
  }
  if (faults.empty()) return {};
  return std::unexpected(Error{
      .kind = ErrorKind::denied,
      .text = "the login gave another identity than auto_auth.verify_identity wants: " + faults,
      .reason = Reason::wrong_identity});
}

}  // namespace keybearer::auth
