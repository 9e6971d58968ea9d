#include "child/start_settings.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

#include "base/directory.hpp"
#include "base/owner.hpp"

namespace keybearer::child {
namespace {

constexpr std::pair<std::string_view, int> kLimits[] = {{"as", RLIMIT_AS},
                                                        {"core", RLIMIT_CORE},
                                                        {"cpu", RLIMIT_CPU},
                                                        {"data", RLIMIT_DATA},
                                                        {"fsize", RLIMIT_FSIZE},
                                                        {"memlock", RLIMIT_MEMLOCK},
                                                        {"msgqueue", RLIMIT_MSGQUEUE},
                                                        {"nice", RLIMIT_NICE},
                                                        {"nofile", RLIMIT_NOFILE},
                                                        {"nproc", RLIMIT_NPROC},
                                                        {"rss", RLIMIT_RSS},
                                                        {"rtprio", RLIMIT_RTPRIO},
                                                        {"rttime", RLIMIT_RTTIME},
                                                        {"sigpending", RLIMIT_SIGPENDING},
                                                        {"stack", RLIMIT_STACK}};

Error failure(std::string text, int code) {
  Error error{ErrorKind::spawn, std::move(text)};
  error.status = code;
  return error;
}

result<> set_user(const config::Exec& exec, StartOptions& options) {
  if (exec.user.empty() && exec.group.empty()) return {};
  const auto owner = owner_of(exec.user, exec.group);
  if (!owner) return std::unexpected(failure("exec.user, exec.group: " + owner.error().text, 126));
  options.user = owner->user;
  options.group = owner->group;
  if (options.user && !options.group) options.group = primary_group_of(*options.user);
  if (options.user && !options.group) {
    return std::unexpected(
        failure("exec.user: " + exec.user + " is not in /etc/passwd: set exec.group, too", 126));
  }
  // Ours are not the program's. Without the right to change them there are none to lose.
  if (geteuid() == 0) options.groups = supplementary_groups_of(exec.user, *options.group);
  return {};
}

result<> open_output(const std::string& path, const char* key, std::vector<int> targets,
                     StartSettings& settings) {
  const auto refused = [&](const std::string& why) {
    return std::unexpected(failure(std::string(key) + ": " + path + ": " + why, 73));
  };
  if (auto good = refuse_links_of_others(path); !good) return refused(good.error().text);
  UniqueFd file = open_for_appending(path);
  if (!file) return refused(errno == ENXIO ? "this pipe has no reader" : strerrordesc_np(errno));
  for (const int target : targets) settings.options.descriptors.push_back({file.get(), target});
  settings.files.push_back(std::move(file));
  return {};
}

}  // namespace

std::optional<int> rlimit_number(std::string_view name) {
  for (const auto& [known, number] : kLimits) {
    if (known == name) return number;
  }
  return std::nullopt;
}

result<StartSettings> start_settings(const config::Exec& exec) {
  StartSettings settings;
  StartOptions& options = settings.options;
  options.working_directory = exec.working_directory;
  options.nice = exec.nice;
  options.umask = exec.umask;
  for (const auto& [name, value] : exec.rlimits) {
    const rlim_t limit = value.value_or(RLIM_INFINITY);
    if (const auto number = rlimit_number(name))
      options.limits.push_back({*number, {.rlim_cur = limit, .rlim_max = limit}});
  }
  if (auto set = set_user(exec, options); !set) return std::unexpected(set.error());
  const bool same = !exec.stdout_path.empty() && exec.stdout_path == exec.stderr_path;
  if (!exec.stdout_path.empty()) {
    const auto opened = open_output(
        exec.stdout_path, "exec.stdout",
        same ? std::vector{STDOUT_FILENO, STDERR_FILENO} : std::vector{STDOUT_FILENO}, settings);
    if (!opened) return std::unexpected(opened.error());
  }
  if (!exec.stderr_path.empty() && !same) {
    const auto opened = open_output(exec.stderr_path, "exec.stderr", {STDERR_FILENO}, settings);
    if (!opened) return std::unexpected(opened.error());
  }
  return settings;
}

}  // namespace keybearer::child
