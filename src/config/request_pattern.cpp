#include "config/request_pattern.hpp"

#include <algorithm>
#include <array>

namespace keybearer::config {
namespace {

constexpr std::array<std::string_view, 8> kMethods{"GET",   "HEAD",   "POST", "PUT",
                                                   "PATCH", "DELETE", "LIST", "SCAN"};

}  // namespace

result<std::vector<RequestPattern>> parse_pattern(std::string_view text) {
  const auto space = text.find(' ');
  const auto wrong = [&](std::string_view why) {
    return fail(ErrorKind::config, "\"" + std::string(text) + "\": " + std::string(why) +
                                       "; expected a method and a path, such as \"GET "
                                       "secret/data/app/*\"");
  };
  const auto begin = text.find_first_not_of(' ', space);  // npos of none, too
  if (space == text.npos || begin == text.npos) return wrong("no path");
  std::string_view path = text.substr(begin);
  if (path.starts_with("/v1/")) path.remove_prefix(4);
  path = path.starts_with('/') ? path.substr(1) : path;
  if (path.empty() || path.contains(' ')) return wrong("not a path");
  if (const auto star = path.find('*'); star != path.npos && star + 1 != path.size())
    return wrong("* stands at the end only; + is one segment");
  std::vector<RequestPattern> patterns;
  std::string_view methods = text.substr(0, space);
  while (!methods.empty()) {
    const auto comma = methods.find(',');
    const std::string_view method = methods.substr(0, comma);
    if (method != "*" && std::ranges::find(kMethods, method) == kMethods.end())
      return wrong("no such method");
    patterns.push_back({std::string(method), std::string(path), std::string(text)});
    methods.remove_prefix(comma == methods.npos ? methods.size() : comma + 1);
  }
  if (patterns.empty()) return wrong("no method");
  return patterns;
}

}  // namespace keybearer::config
