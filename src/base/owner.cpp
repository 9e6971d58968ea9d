#include "base/owner.hpp"

#include <algorithm>
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

namespace {

// Calls f with the fields of each line.
template <class F>
void each_line(const char* path, F f) {
  std::FILE* file = std::fopen(path, "re");
  if (file == nullptr) return;
  char line[4096];
  while (std::fgets(line, sizeof line, file) != nullptr) {
    std::vector<std::string_view> fields;
    std::string_view rest(line);
    if (rest.ends_with('\n')) rest.remove_suffix(1);
    for (;;) {
      const auto end = std::min(rest.find(':'), rest.size());
      fields.push_back(rest.substr(0, end));
      if (end == rest.size()) break;
      rest.remove_prefix(end + 1);
    }
    f(fields);
  }
  std::fclose(file);
}

std::optional<unsigned> number(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional(value)
                                                                  : std::nullopt;
}

bool lists(std::string_view members, std::string_view name) {
  while (!members.empty()) {
    const auto end = std::min(members.find(','), members.size());
    if (members.substr(0, end) == name) return true;
    members.remove_prefix(std::min(end + 1, members.size()));
  }
  return false;
}

}  // namespace

std::optional<gid_t> primary_group_of(uid_t user) {
  std::optional<gid_t> found;
  each_line("/etc/passwd", [&](const auto& fields) {
    if (!found && fields.size() > 3 && number(fields[2]) == user) found = number(fields[3]);
  });
  return found;
}

std::vector<gid_t> supplementary_groups_of(const std::string& user, gid_t group) {
  std::string name = user;
  if (const auto uid = number(user)) {
    each_line("/etc/passwd", [&](const auto& fields) {
      if (fields.size() > 2 && number(fields[2]) == *uid) name = fields[0];
    });
  }
  std::vector<gid_t> groups{group};
  if (name.empty()) return groups;
  each_line("/etc/group", [&](const auto& fields) {
    if (fields.size() < 4 || !lists(fields[3], name)) return;
    const auto gid = number(fields[2]);
    if (gid && *gid != group) groups.push_back(*gid);
  });
  return groups;
}

result<Owner> owner_of(const std::string& user, const std::string& group) {
  const auto uid = number_of(user, "/etc/passwd", "user");
  if (!uid) return std::unexpected(uid.error());
  const auto gid = number_of(group, "/etc/group", "group");
  if (!gid) return std::unexpected(gid.error());
  return Owner{*uid, *gid};
}

}  // namespace keybearer
