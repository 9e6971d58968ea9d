#include "vault/paths.hpp"

#include <chrono>

#include "json/json.hpp"

namespace keybearer::vault {
namespace {

// RFC 3986 unreserved, and what Go's url.URL leaves as it is in a path.
constexpr std::string_view kPlainInPath =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~$&+,/:;=@";

void append_escaped(std::string& out, char c) {
  constexpr char kHex[] = "0123456789ABCDEF";
  const auto byte = static_cast<unsigned char>(c);
  out += {'%', kHex[byte >> 4], kHex[byte & 15]};
}

bool has_dot_part(std::string_view path) {
  while (!path.empty()) {
    const auto end = std::min(path.find('/'), path.size());
    const auto part = path.substr(0, end);
    if (part == "." || part == "..") return true;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return false;
}

}  // namespace

result<std::string> target(std::string_view path, std::string_view query) {
  path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
  if (path.empty()) return fail(ErrorKind::refused, "the path is empty");
  if (has_dot_part(path)) {
    return fail(ErrorKind::refused, R"(the path has a part "." or "..")");
  }
  std::string out = "/v1/";
  for (const char c : path) {
    if (kPlainInPath.contains(c)) {
      out += c;
    } else {
      append_escaped(out, c);
    }
  }
  if (!query.empty()) out += '?';
  for (const char c : query) {
    if (c > ' ' && c < 0x7f && c != '#') {
      out += c;
    } else {
      append_escaped(out, c);
    }
  }
  return out;
}

Secret json_object(std::initializer_list<Member> members) {
  return json_object(std::span(members.begin(), members.size()));
}

Secret json_object(std::span<const Member> members) {
  Secret out("{");
  for (const auto& [name, value] : members) {
    if (out.size() > 1) out.push_back(',');
    out.append(json::quote(name));
    out.push_back(':');
    out.append(json::quote(value));
  }
  out.push_back('}');
  return out;
}

Secret lease_renewal(std::string_view lease_id, std::optional<Duration> increment) {
  Secret out("{\"lease_id\":");
  out.append(json::quote(lease_id));
  if (increment) {
    out.append(",\"increment\":");
    out.append(std::to_string(std::chrono::ceil<std::chrono::seconds>(*increment).count()));
  }
  out.push_back('}');
  return out;
}

std::string seconds_text(Duration time) {
  return std::to_string(std::chrono::ceil<std::chrono::seconds>(time).count()) + "s";
}

bool is_under_mount(std::string_view path, std::string_view mount) {
  if (mount.ends_with('/')) mount.remove_suffix(1);
  return path.starts_with(mount) && (path.size() == mount.size() || path[mount.size()] == '/');
}

std::string_view within_namespace(std::string_view mount, std::string_view space) {
  while (space.starts_with('/')) space.remove_prefix(1);
  while (space.ends_with('/')) space.remove_suffix(1);
  if (space.empty() || !mount.starts_with(space)) return mount;
  const auto inner = mount.substr(space.size());
  return inner.starts_with('/') ? inner.substr(1) : mount;
}

}  // namespace keybearer::vault
