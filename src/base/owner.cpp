#include "base/owner.hpp"

#include <charconv>
#include <cstdio>
#include <limits>
#include <string_view>

namespace keybearer {
namespace {

// The third field of the line that begins with NAME:.
std::optional<unsigned> look_up(const char* path, const std::string& name) {
  std::FILE* file = std::fopen(path, "re");
  if (file == nullptr) return std::nullopt;
  char line[4096];
  std::optional<unsigned> found;
  while (!found && std::fgets(line, sizeof line, file) != nullptr) {
    const std::string_view text(line);
    if (!text.starts_with(name + ":")) continue;
    const auto second = text.find(':', name.size() + 1);
    if (second == std::string_view::npos) continue;
    unsigned number = 0;
    const auto [end, error] =
        std::from_chars(text.data() + second + 1, text.data() + text.size(), number);
    if (error == std::errc{} && *end == ':') found = number;
  }
  std::fclose(file);
  return found;
}

result<std::optional<unsigned>> number_of(const std::string& name, const char* path,
                                          const char* what) {
  if (name.empty()) return std::nullopt;
  unsigned number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error == std::errc{} && end == name.data() + name.size()) {
    if (number != std::numeric_limits<unsigned>::max()) return number;
    return fail(ErrorKind::io,
                std::string(what) + " " + name + " means \"as it is\" to the system");
  }
  const auto found = look_up(path, name);
  if (!found)
    return fail(ErrorKind::io, std::string("no ") + what + " \"" + name + "\" in " + path);
  return found;
}

}  // namespace

result<Owner> owner_of(const std::string& user, const std::string& group) {
  const auto uid = number_of(user, "/etc/passwd", "user");
  if (!uid) return std::unexpected(uid.error());
  const auto gid = number_of(group, "/etc/group", "group");
  if (!gid) return std::unexpected(gid.error());
  return Owner{*uid, *gid};
}

}  // namespace keybearer
