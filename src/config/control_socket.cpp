#include "config/control_socket.hpp"

#include <dirent.h>
#include <stdlib.h>

#include <algorithm>
#include <memory>

#include "config/files.hpp"
#include "config/scalars.hpp"

namespace keybearer::config {
namespace {

constexpr std::string_view kSuffix = ".sock";

std::string variable(const Surroundings& around, const std::string& name) {
  return around.env ? around.env(name).value_or("") : "";
}

// systemd may name several, with colons between them.
std::string runtime_directory(const Surroundings& around) {
  const std::string all = variable(around, "RUNTIME_DIRECTORY");
  return all.substr(0, all.find(':'));
}

std::string file_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '_' || c == '-';
    out += plain ? c : '_';
  }
  if (out.starts_with('.')) out.front() = '_';
  return out.substr(0, 64) + std::string(kSuffix);
}

std::vector<std::string> sockets_in(const std::string& directory) {
  std::vector<std::string> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(directory.c_str()), closedir);
  if (!entries) return found;
  while (const dirent* entry = readdir(entries.get())) {
    if (std::string_view(entry->d_name).ends_with(kSuffix))
      found.push_back(directory + "/" + entry->d_name);
  }
  std::ranges::sort(found);
  return found;
}

// Below /run, at most two levels down: RuntimeDirectory=app and keybearer/app of units.
void add_of_units(const std::string& directory, int levels, std::vector<std::string>& found) {
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(directory.c_str()), closedir);
  if (!entries) return;
  while (const dirent* entry = readdir(entries.get())) {
    const std::string_view name(entry->d_name);
    const std::string path = directory + "/" + entry->d_name;
    if (entry->d_type == DT_DIR && levels > 0 && !name.starts_with('.'))
      add_of_units(path, levels - 1, found);
    else if (entry->d_type == DT_SOCK && name.starts_with("control") && name.ends_with(kSuffix))
      found.push_back(path);
  }
}

std::string expanded(const toml::node* node, const Surroundings& around) {
  const auto text = node == nullptr ? std::nullopt : node->value<std::string>();
  if (!text) return "";
  return expand(*text, around.env).value_or("");
}

}  // namespace

std::vector<std::string> control_directories(const Surroundings& around) {
  std::vector<std::string> all;
  if (around.uid == 0) all.emplace_back("/run/keybearer");
  if (const std::string user = variable(around, "XDG_RUNTIME_DIR");
      around.uid != 0 && user.starts_with('/'))
    all.push_back(user + "/keybearer");
  all.push_back("/tmp/keybearer-" + std::to_string(around.uid));
  return all;
}

std::vector<std::string> control_sockets(const Control& control, const std::string& name,
                                         const Surroundings& around) {
  if (!control.socket.empty()) return {control.socket};
  std::vector<std::string> all;
  if (const std::string unit = runtime_directory(around); unit.starts_with('/'))
    all.push_back(unit + "/control.sock");
  for (const std::string& directory : control_directories(around))
    all.push_back(directory + "/" + file_name(name));
  return all;
}

std::string with_pid(const std::string& socket, pid_t pid) {
  const bool suffixed = socket.ends_with(kSuffix);
  return socket.substr(0, socket.size() - (suffixed ? kSuffix.size() : 0)) + "-" +
         std::to_string(pid) + std::string(kSuffix);
}

std::vector<std::string> possible_control_sockets(const Surroundings& around) {
  std::vector<std::string> all;
  const auto add = [&all](const std::string& path) {
    if (std::ranges::find(all, path) == all.end()) all.push_back(path);
  };
  if (const std::string unit = runtime_directory(around); unit.starts_with('/'))
    for (const std::string& path : sockets_in(unit)) add(path);
  for (const std::string& directory : control_directories(around))
    for (const std::string& path : sockets_in(directory)) add(path);
  std::vector<std::string> units;
  add_of_units("/run", 2, units);
  std::ranges::sort(units);
  for (const std::string& path : units) add(path);
  return all;
}

std::vector<std::string> sockets_beside(const std::string& socket) {
  if (socket.empty()) return {};
  std::vector<std::string> all{socket};
  const auto slash = socket.rfind('/');
  const std::string begin = socket.substr(0, socket.rfind(kSuffix)) + "-";
  for (std::string& other : sockets_in(slash == socket.npos ? "." : socket.substr(0, slash))) {
    const std::string_view rest =
        std::string_view(other).substr(std::min(begin.size(), other.size()));
    const auto digits = rest.find_first_not_of("0123456789");
    if (other.starts_with(begin) && digits > 0 &&
        rest.substr(std::min(digits, rest.size())) == kSuffix)
      all.push_back(std::move(other));
  }
  return all;
}

InstanceKeys instance_keys(const std::vector<std::string>& paths, const Surroundings& around) {
  Context context;
  context.env = around.env;
  InstanceKeys keys;
  std::vector<std::string> files;
  const toml::table table = read_files(paths, context, files);
  for (const std::string& file : files) keys.files.push_back(absolute_path(file));
  if (files.empty()) keys.files = paths;  // nobody has read those
  keys.name = expanded(table.get("name"), around);
  keys.socket = expanded(table["control"]["socket"].node(), around);
  return keys;
}

std::string absolute_path(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> real(realpath(path.c_str(), nullptr), free);
  return real ? real.get() : path;
}

}  // namespace keybearer::config
