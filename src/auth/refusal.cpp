#include "auth/refusal.hpp"

#include <algorithm>

namespace keybearer::auth {
namespace {

std::string filled_in(std::string_view text, const RefusalFacts& facts) {
  const std::pair<std::string_view, std::string_view> values[] = {{"{mount}", facts.mount},
                                                                  {"{role}", facts.role},
                                                                  {"{place}", facts.place},
                                                                  {"{about}", facts.about}};
  std::string out;
  while (!text.empty()) {
    const auto* const found = std::ranges::find_if(
        values, [text](const auto& value) { return text.starts_with(value.first); });
    if (found == std::end(values)) {
      out += text.front();
      text.remove_prefix(1);
    } else {
      out += found->second;
      text.remove_prefix(found->first.size());
    }
  }
  return out;
}

}  // namespace

void advise(Error& error, std::span<const Remedy> remedies, const RefusalFacts& facts) {
  if (error.status == 0 || error.reason == Reason::no_namespace) return;
  const auto found = std::ranges::find_if(remedies, [&error](const Remedy& remedy) {
    return (remedy.status == 0 || remedy.status == error.status) &&
           error.text.contains(remedy.answer);
  });
  if (found == remedies.end()) return;
  error.text += "; " + filled_in(found->text, facts);
  if (!facts.role.empty() && !found->text.contains("{role}"))
    error.text += filled_in(" (role \"{role}\" at {mount})", facts);
}

}  // namespace keybearer::auth
