#include "secrets/file_secret.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/fd.hpp"
#include "tmpl/sandbox.hpp"

namespace keybearer::secrets {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLook = 2s;
constexpr std::size_t kLimit = 16u << 20;

result<UniqueFd> open_file(const std::string& path, const std::string& sandbox) {
  if (!sandbox.empty()) return tmpl::open_beneath(sandbox, path);
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd)
    return fail_errno(errno == EACCES ? ErrorKind::denied : ErrorKind::not_found, "file " + path,
                      errno);
  return fd;
}

result<std::string> read_file(const std::string& path, const std::string& sandbox) {
  const auto opened = open_file(path, sandbox);
  if (!opened) return std::unexpected(opened.error());
  const UniqueFd& fd = *opened;
  struct stat info{};
  if (fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return fail(ErrorKind::not_found, "file " + path + ": not a regular file");
  std::string text;
  char buffer[16384];
  for (;;) {
    const ssize_t n = read(fd.get(), buffer, sizeof buffer);
    if (n == 0) return text;
    if (n < 0) return fail_errno(ErrorKind::not_found, "file " + path, errno);
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.size() > kLimit)
      return fail(ErrorKind::not_found, "file " + path + ": larger than 16 MiB");
  }
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

void accept(Shared& shared, Entry& e, std::string_view text) {
  e.status.last_success = Clock::now();
  if (e.status.generation == 0 || e.value.as_text() != text) {
    e.status.why = e.status.generation == 0 ? "first read" : "file changed";
    e.value = Value(text);
    ++e.status.generation;
    shared.changed.set();
  }
  set_state(shared, e, Status::State::fresh, {});
}

}  // namespace

boost::asio::awaitable<void> watch_file(Shared& shared, std::shared_ptr<Entry> entry) {
  Entry& e = *entry;
  std::optional<Instant> missing_since;
  std::optional<struct stat> seen;
  for (;;) {
    const auto poked = e.wakeup.generation();
    struct stat now{};
    const bool there = stat(e.dependency.path.c_str(), &now) == 0;
    if (!there || !seen || !same_file(*seen, now)) {
      auto text = read_file(e.dependency.path, e.dependency.sandbox);
      if (text) {
        seen = now;
        accept(shared, e, *text);
      } else {
        seen.reset();
        if (!missing_since) missing_since = Clock::now();
        set_state(shared, e, Status::State::absent, std::move(text).error());
        const bool over =
            Clock::now() >= *missing_since + shared.config.template_config.start_grace;
        if (e.status.generation == 0 && over) give_up(shared, e);
      }
    }
    e.status.next_at = Clock::now() + kLook;
    co_await e.wakeup.wait(poked, *e.status.next_at);
  }
}

}  // namespace keybearer::secrets
