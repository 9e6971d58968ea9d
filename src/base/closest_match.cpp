#include "base/closest_match.hpp"

#include <algorithm>
#include <vector>

namespace keybearer {
namespace {

// "API_KEY" means "api_key".
char folded(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

}  // namespace

std::string_view closest_match(std::string_view name, std::span<const std::string_view> known) {
  std::string_view best;
  std::size_t least = std::min<std::size_t>(3, name.size() / 2) + 1;
  for (const std::string_view candidate : known) {
    std::vector<std::size_t> row(candidate.size() + 1);
    for (std::size_t j = 0; j <= candidate.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= name.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j <= candidate.size(); ++j) {
        const std::size_t up = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1,
                           diagonal + (folded(name[i - 1]) == folded(candidate[j - 1]) ? 0 : 1)});
        diagonal = up;
      }
    }
    if (row.back() < least) {
      least = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace keybearer
