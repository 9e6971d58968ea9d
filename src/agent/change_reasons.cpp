#include "agent/change_reasons.hpp"

#include <set>

namespace keybearer {

std::string change_reasons(const std::vector<std::string>& ids, const StatusOf& status_of,
                           const LoggedGenerations& logged) {
  std::set<std::string> parts;
  for (const std::string& id : ids) {
    const secrets::Status* status = status_of(id);
    if (status == nullptr) continue;
    const auto known = logged.find(id);
    if (known != logged.end() && known->second == status->generation) continue;
    std::string part = status->path;
    if (!status->why.empty()) part += ": " + status->why;
    if (status->kv_version > 0 && known == logged.end())
      part += ", version " + std::to_string(status->kv_version);
    parts.insert(std::move(part));
  }
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : "; ") + part;
  return text;
}

}  // namespace keybearer
