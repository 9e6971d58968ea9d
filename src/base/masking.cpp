#include "base/masking.hpp"

#include <algorithm>

namespace keybearer {
namespace {

void replace_all(std::string& text, std::string_view what) {
  constexpr std::string_view kMask = "[masked]";
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += kMask.size()) {
    text.replace(at, what.size(), kMask);
  }
}

}  // namespace

void mask_words(std::string& text, std::vector<std::string_view> words) {
  // The longest first, so that no rest of one is left.
  std::ranges::sort(words, [](std::string_view a, std::string_view b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  });
  const auto repeated = std::ranges::unique(words);
  words.erase(repeated.begin(), repeated.end());
  for (const std::string_view word : words) replace_all(text, word);
}

std::vector<std::string> masked_lines(std::string output, const std::vector<Secret>& masked) {
  std::vector<std::string_view> words;
  for (const Secret& secret : masked) {
    // The whole, its lines and its words: what says it may say only a part.
    for (const std::string_view separators : {"", "\r\n", " \t\r\n=\"',;"}) {
      const std::string_view content = secret.reveal();
      for (std::size_t begin = 0; begin < content.size();) {
        const auto end = std::min(content.find_first_of(separators, begin), content.size());
        if (end - begin >= kShortestMasked) words.push_back(content.substr(begin, end - begin));
        begin = end + 1;
      }
    }
  }
  mask_words(output, std::move(words));
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < output.size();) {
    const auto end = std::min(output.find('\n', begin), output.size());
    if (end > begin) lines.push_back(output.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

}  // namespace keybearer
