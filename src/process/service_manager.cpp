#include "process/service_manager.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstring>

namespace keybearer {
namespace {

std::optional<std::uint64_t> number_of(const EnvBlock& environment, const std::string& name) {
  const Secret* value = environment.find(name);
  if (value == nullptr) return std::nullopt;
  const std::string_view text = value->reveal();
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

ServiceManager ServiceManager::take_from(EnvBlock& environment) {
  ServiceManager manager;
  const Secret* name = environment.find("NOTIFY_SOCKET");
  const std::string address = name == nullptr ? "" : std::string(name->reveal());
  const auto usec = number_of(environment, "WATCHDOG_USEC");
  const auto pid = number_of(environment, "WATCHDOG_PID");
  for (const char* ours : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
    environment.erase(ours);
  const bool known = address.starts_with('/') || address.starts_with('@');
  if (!known || address.size() < 2 || address.size() >= sizeof(sockaddr_un::sun_path))
    return manager;
  manager.socket_.reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  manager.address_ = address;
  if (address.front() == '@') manager.address_.front() = '\0';
  const bool ours = !pid || *pid == static_cast<std::uint64_t>(getpid());
  if (usec && *usec >= 1000 && ours)
    manager.watchdog_ = Duration(static_cast<Duration::rep>(*usec / 1000));
  return manager;
}

void ServiceManager::send(std::string_view message) const {
  if (!socket_) return;
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::memcpy(address.sun_path, address_.data(), address_.size());
  const bool abstract = address_.front() == '\0';
  const auto size = offsetof(sockaddr_un, sun_path) + address_.size() + (abstract ? 0 : 1);
  (void)sendto(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(size));
}

void ServiceManager::send_reloading() const {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const auto usec = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
                    static_cast<std::uint64_t>(now.tv_nsec) / 1000;
  send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(usec));
}

std::string single_line(std::string_view text) {
  constexpr std::size_t kMost = 200;
  std::string out(text.substr(0, kMost));
  while (text.size() > kMost && !out.empty() &&
         (static_cast<unsigned char>(text[out.size()]) & 0xC0) == 0x80)
    out.pop_back();
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return out;
}

}  // namespace keybearer
