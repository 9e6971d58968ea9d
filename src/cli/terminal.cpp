#include "cli/terminal.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/escapes.hpp"
#include "base/redactor.hpp"

namespace keybearer::cli {
namespace {

constexpr std::string_view kBold = "\x1b[1m", kRed = "\x1b[31m", kBoldRed = "\x1b[1;31m",
                           kGreen = "\x1b[32m", kCyan = "\x1b[36m", kPlain = "\x1b[0m";

// Each line in the colour that `of` says; an empty colour leaves it as it is.
template <class Of>
std::string painted(std::string_view text, Of of) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    const std::string_view colour = of(line);
    out += colour;
    out += line;
    if (!colour.empty()) out += kPlain;
    if (end == std::string_view::npos) break;
    out += '\n';
    text.remove_prefix(end + 1);
  }
  return out;
}

}  // namespace

bool colour_on(int descriptor) {
  if (isatty(descriptor) == 0) return false;
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return (no_colour == nullptr || *no_colour == '\0') &&
         (terminal == nullptr || std::string_view(terminal) != "dumb");
}

std::string painted_place(std::string_view lines) {
  return painted(lines, [](std::string_view line) -> std::string_view {
    if (line.starts_with("  --> ")) return kCyan;
    const bool caret = line.starts_with("  | ") && line.ends_with('^') &&
                       line.find_first_not_of(" \t^", 4) == std::string_view::npos;
    return caret ? kBoldRed : std::string_view{};
  });
}

std::string colorize_error(std::string_view text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string out;
  out.append(kBold).append(text.substr(0, end)).append(kPlain);
  return out + painted_place(text.substr(end));
}

std::string painted_diff(std::string_view text) {
  return painted(text, [](std::string_view line) -> std::string_view {
    if (line.starts_with("--- ") || line.starts_with("+++ ")) return kBold;
    if (line.starts_with("@@ ")) return kCyan;
    if (line.starts_with('-')) return kRed;
    return line.starts_with('+') ? kGreen : std::string_view{};
  });
}

void complain(std::string_view text) {
  std::string line = "keybearer: " + visible_lines(redactor().redact_ours(text));
  if (colour_on(STDERR_FILENO)) line = colorize_error(line);
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace keybearer::cli
