#include "base/masking.hpp"

#include <algorithm>

namespace keybearer {
namespace {

constexpr std::size_t kShortestMasked =
    6;  // shorter words are no secrets worth the holes they would leave

void replace_all(std::string& text, std::string_view what) {
  constexpr std::string_view kMask = "[masked]";
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += kMask.size()) {
    text.replace(at, what.size(), kMask);
  }
}

}  // namespace

std::vector<std::string> masked_lines(std::string output, const std::vector<Secret>& masked) {
  std::vector<std::string_view> words;
  for (const Secret& secret : masked) {
    const std::string_view content = secret.reveal();
    for (std::size_t begin = 0; begin < content.size();) {
      const auto end = std::min(content.find_first_of(" \t\r\n=\"',;", begin), content.size());
      if (end - begin >= kShortestMasked) words.push_back(content.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  // The longest first, so that no rest of one is left.
  std::ranges::sort(words, [](std::string_view a, std::string_view b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  });
  const auto repeated = std::ranges::unique(words);
  words.erase(repeated.begin(), repeated.end());
  for (const std::string_view word : words) replace_all(output, word);
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < output.size();) {
    const auto end = std::min(output.find('\n', begin), output.size());
    if (end > begin) lines.push_back(output.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

}  // namespace keybearer
