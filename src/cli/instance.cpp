#include "cli/instance.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "base/exit_code.hpp"
#include "base/fd.hpp"
#include "base/text.hpp"
#include "config/scalars.hpp"
#include "http/response_parser.hpp"
#include "json/json.hpp"

namespace keybearer::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMostBody = 64u << 20;
constexpr Duration kProbe = 2s;  // of one that may be another program's, or hang

struct Connected {
  UniqueFd fd;
  ucred peer{};
};

result<Connected> connect_to(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof address.sun_path)
    return fail(ErrorKind::network, path + ": longer than a socket's path can be");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Connected out{.fd = UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0))};
  if (!out.fd) return fail_errno(ErrorKind::network, path, errno);
  if (connect(out.fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const bool denied = errno == EACCES || errno == EPERM;
    return fail_errno(denied ? ErrorKind::denied : ErrorKind::network, path, errno);
  }
  socklen_t size = sizeof out.peer;
  if (getsockopt(out.fd.get(), SOL_SOCKET, SO_PEERCRED, &out.peer, &size) != 0)
    return fail_errno(ErrorKind::network, path, errno);
  // What another user offers there is not asked: it could tell us anything.
  if (out.peer.uid != 0 && out.peer.uid != geteuid() && geteuid() != 0)
    return fail(ErrorKind::denied, path + ": belongs to another user");
  return out;
}

result<> wait_for(int fd, short events, Instant end) {
  for (;;) {
    const auto left = std::max<Duration>(end - Clock::now(), 0ms);
    pollfd ready{fd, events, 0};
    const int n = poll(&ready, 1, static_cast<int>(std::min<Duration>(left, 1h).count()));
    if (n > 0) return {};
    if (n < 0 && errno != EINTR) return fail_errno(ErrorKind::network, "poll", errno);
    if (Clock::now() >= end) return fail(ErrorKind::timeout, "no answer in time");
  }
}

result<> send_all(int fd, std::string_view bytes, Instant end) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
      return fail_errno(ErrorKind::network, "send", errno);
    if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
    if (n < 0) {
      if (auto ready = wait_for(fd, POLLOUT, end); !ready) return ready;
    }
  }
  return {};
}

result<ControlAnswer> receive(int fd, Instant end) {
  http::ResponseParser parser(kMostBody);
  std::string pending;
  char buffer[16384];
  while (!parser.done()) {
    const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
      if (auto ready = wait_for(fd, POLLIN, end); !ready) return std::unexpected(ready.error());
      continue;
    }
    if (n < 0) return fail_errno(ErrorKind::network, "receive", errno);
    if (n == 0) {
      if (parser.ended()) break;
      return fail(ErrorKind::network, "the connection was closed before the answer was whole");
    }
    pending.append(buffer, static_cast<std::size_t>(n));
    const auto used = parser.put(pending);
    if (!used) return std::unexpected(used.error());
    pending.erase(0, *used);
  }
  const int status = parser.status();
  return ControlAnswer{status, std::string(parser.take().body.reveal())};
}

result<ControlAnswer> exchange(int fd, const std::string& method, const std::string& target,
                               const std::string& body, Instant end) {
  const std::string request = method + " " + target +
                              " HTTP/1.1\r\nHost: keybearer\r\nConnection: close\r\n"
                              "Content-Length: " +
                              std::to_string(body.size()) + "\r\n\r\n" + body;
  const auto sent = send_all(fd, request, end);
  auto answer = receive(fd, end);  // who turns us away does not read what we ask
  if (!sent && !answer) return std::unexpected(sent.error());
  return answer;
}

// Below /run there are sockets of others, whom we do not bother.
bool is_keybearer(pid_t pid) {
  char name[64] = {};
  const std::string path = "/proc/" + std::to_string(pid) + "/comm";
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return false;
  const bool read = std::fgets(name, sizeof name, file) != nullptr;
  std::fclose(file);
  return read && std::string_view(name).starts_with("keybearer");
}

struct Search {
  std::vector<Instance> live;
  std::vector<std::string> denied;  // sockets
};

Search search(std::vector<std::string> sockets, const config::Surroundings& around) {
  Search found;
  const auto own = config::control_directories(around);
  for (const std::string& socket : sockets) {
    const auto connected = connect_to(socket);
    if (!connected) {
      if (connected.error().kind == ErrorKind::denied) found.denied.push_back(socket);
      continue;
    }
    const std::string directory = socket.substr(0, socket.rfind('/'));
    const bool known =
        !socket.starts_with("/run/") || std::ranges::find(own, directory) != own.end();
    if (!known && !is_keybearer(connected->peer.pid)) continue;
    found.live.push_back({.socket = socket, .pid = connected->peer.pid});
  }
  return found;
}

bool describe(Instance& instance) {
  const auto answer = ask(instance, "GET", "/status", "", kProbe);
  if (!answer || answer->status != 200) return false;
  const auto status = json::parse(answer->body);
  if (!status) return false;
  const Value& about = value_at(*status, "instance");
  instance.name = text_at(about, "name");
  const Value& files = value_at(about, "config");
  if (files.is_list())
    for (const Value& file : files.items()) instance.config.emplace_back(file.as_text());
  return true;
}

std::string list_text(const std::vector<Instance>& instances) {
  std::string text;
  for (const Instance& each : instances) {
    text += "\n  " + config::escaped(each.name) + "  pid " + std::to_string(each.pid) + "  " +
            each.socket;
    if (!each.config.empty()) text += "  (" + joined(each.config) + ")";
  }
  return text;
}

std::expected<Instance, NotFound> only_one(std::vector<Instance> fitting, const std::string& what,
                                           const std::string& where) {
  if (fitting.size() == 1) return std::move(fitting.front());
  if (fitting.empty()) {
    return std::unexpected(
        NotFound{kUnavailable, "no running instance" + what + (where.empty() ? "" : "; " + where)});
  }
  return std::unexpected(NotFound{kUsage, "several instances are running" + what +
                                              ": choose one with -c FILE, --name or --socket" +
                                              list_text(fitting)});
}

}  // namespace

config::Surroundings our_surroundings() {
  return {.env = [](const std::string& name) -> std::optional<std::string> {
            const char* value = std::getenv(name.c_str());
            return value == nullptr ? std::nullopt : std::optional<std::string>(value);
          },
          .uid = geteuid()};
}

result<ControlAnswer> ask(const Instance& instance, const std::string& method,
                          const std::string& target, const std::string& body, Duration limit) {
  const auto connected = connect_to(instance.socket);
  if (!connected) return std::unexpected(connected.error());
  auto answer = exchange(connected->fd.get(), method, target, body, Clock::now() + limit);
  if (!answer) return std::unexpected(std::move(answer).error().within(instance.socket));
  return answer;
}

std::expected<Instance, NotFound> find_instance(const InstanceOptions& options,
                                                const config::Surroundings& around) {
  if (!options.socket.empty()) {
    const auto connected = connect_to(options.socket);
    if (connected) return Instance{.socket = options.socket, .pid = connected->peer.pid};
    const bool denied = connected.error().kind == ErrorKind::denied;
    return std::unexpected(NotFound{denied ? kDenied : kUnavailable,
                                    "no running instance: " + connected.error().text});
  }
  std::vector<std::string> sockets = config::possible_control_sockets(around);
  config::InstanceKeys keys;
  if (!options.config.empty()) {
    keys = config::instance_keys(options.config, around);
    for (const std::string& socket : config::sockets_beside(keys.socket))
      if (std::ranges::find(sockets, socket) == sockets.end()) sockets.push_back(socket);
  }
  Search found = search(std::move(sockets), around);
  std::string where = "looked in " + joined(config::control_directories(around)) +
                      " and /run/*/control.sock (--socket names another)";
  if (!found.denied.empty())
    where = "not permitted: " + joined(found.denied) + " (another user's; try as root)";
  if (options.config.empty() && options.name.empty()) {
    if (found.live.size() > 1) std::erase_if(found.live, [](Instance& i) { return !describe(i); });
    auto one = only_one(std::move(found.live), "", where);
    if (!one && one.error().code == kUnavailable && !found.denied.empty())
      one.error().code = kDenied;
    return one;
  }
  std::erase_if(found.live, [&](Instance& instance) {
    if (!describe(instance)) return true;
    if (!options.name.empty() && instance.name != options.name) return true;
    return std::ranges::any_of(keys.files, [&instance](const std::string& file) {
      return std::ranges::find(instance.config, file) == instance.config.end();
    });
  });
  const std::string what = !options.name.empty() ? " is called " + config::escaped(options.name)
                                                 : " has read " + joined(options.config);
  return only_one(std::move(found.live), what, where);
}

}  // namespace keybearer::cli
