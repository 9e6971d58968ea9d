#pragma once
// Texts in which something is escaped, read without their escapes, for the redactor: a value is
// found in JSON, in a URL or in a shell's trace, too. Lenient: what is no escape stands as it is.
// And texts of others made fit to be shown. Pure.

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace keybearer {

// A text without its escapes, and where each of its bytes stood.
struct Decoded {
  std::string text;
  struct Jump {
    std::size_t decoded, source;
  };
  std::vector<Jump> jumps = {};  // between them bytes stand one for one

  void add(std::string_view bytes, std::size_t source, std::size_t source_size) {
    jumps.push_back({text.size(), source});
    text += bytes;
    jumps.push_back({text.size(), source + source_size});
  }
  // Within an escape of several bytes: its end.
  [[nodiscard]] std::size_t source_of(std::size_t at) const {
    const auto next = std::ranges::upper_bound(jumps, at, {}, &Jump::decoded);
    if (next == jumps.begin()) return at;
    const Jump& jump = *std::prev(next);
    const bool in_escape = (next - jumps.begin()) % 2 != 0;
    return in_escape && at > jump.decoded ? next->source : jump.source + (at - jump.decoded);
  }
};

// wrapped: base64 over several lines, as base64(1), openssl(1), MIME and PEM write it.
enum class Coding { backslash, percent, query, shell, wrapped };

[[nodiscard]] Decoded decoded(std::string_view text, Coding coding);

// The other way, for logs and terminals: controls, and what turns the direction of writing, are
// shown by their numbers (\x1b, \u202e), what is no UTF-8 as U+FFFD. `json`: quotes, too.
void append_visible(std::string& out, std::string_view text, bool json);
// The same, but for line feeds and tabs.
[[nodiscard]] std::string visible_lines(std::string_view text);

}  // namespace keybearer
