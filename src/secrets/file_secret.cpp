#include "secrets/file_secret.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/fd.hpp"

namespace keybearer::secrets {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLook = 2s;
constexpr std::size_t kLimit = 16u << 20;

result<std::string> read_file(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail_errno(errno == EACCES ? ErrorKind::denied : ErrorKind::not_found, "file " + path, errno);
  std::string text;
  char buffer[16384];
  for (;;) {
    const ssize_t n = read(fd.get(), buffer, sizeof buffer);
    if (n == 0) return text;
    if (n < 0) return fail_errno(ErrorKind::not_found, "file " + path, errno);
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.size() > kLimit) return fail(ErrorKind::not_found, "file " + path + ": larger than 16 MiB");
  }
}

}  // namespace

boost::asio::awaitable<void> watch_file(Shared& shared, std::shared_ptr<Entry> entry) {
  Entry& e = *entry;
  const Instant begun = Clock::now();
  std::optional<struct stat> seen;
  for (;;) {
    struct stat now{};
    const bool there = stat(e.dependency.path.c_str(), &now) == 0;
    const bool same = there && seen && seen->st_ino == now.st_ino && seen->st_size == now.st_size &&
                      seen->st_mtim.tv_sec == now.st_mtim.tv_sec && seen->st_mtim.tv_nsec == now.st_mtim.tv_nsec;
    if (!same) {
      auto text = read_file(e.dependency.path);
      if (text) {
        seen = now;
        if (e.status.generation == 0 || e.value.as_text() != *text) {
          e.status.why = e.status.generation == 0 ? "first read" : "file changed";
          e.value = Value(*text);
          ++e.status.generation;
        }
        e.status.state = Status::State::fresh;
        e.status.error.reset();
        shared.changed.set();
      } else if (e.status.state == Status::State::pending || e.status.state == Status::State::fresh) {
        e.status.state = Status::State::absent;
        e.status.error = std::move(text).error();
        shared.changed.set();
      }
      if (e.status.generation == 0 && !e.given_up && Clock::now() >= begun + shared.config.template_config.start_grace) {
        e.given_up = true;
        shared.changed.set();
      }
    }
    co_await sleep_for(kLook);
  }
}

}  // namespace keybearer::secrets
