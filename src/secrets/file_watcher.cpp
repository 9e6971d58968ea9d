#include "secrets/file_watcher.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/fd.hpp"
#include "base/file.hpp"
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
  auto text = read_all(fd.get(), kLimit);
  if (!text) return text.error().as(ErrorKind::not_found, "file " + path);
  return std::move(*text);
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

void accept(WatchContext& context, WatchedSecret& secret, std::string_view text) {
  secret.status.last_success = Clock::now();
  const Held* held = secret.held();
  if (held == nullptr || secret.using_defaults() || held->value->as_text() != text) {
    secret.status.why = secret.status.fetched ? "file changed" : "first read";
    secret.status.fetched = true;
    serve(context, secret, Current{{.value = std::make_shared<const Value>(text)}});
  }
  set_state(context, secret, Status::State::fresh, {});
}

}  // namespace

boost::asio::awaitable<void> watch_file(WatchContext& context,
                                        std::shared_ptr<WatchedSecret> secret) {
  WatchedSecret& s = *secret;
  std::optional<Instant> missing_since;
  std::optional<struct stat> seen;
  while (!s.dropped) {
    const auto woken = s.wakeup.generation();
    if (std::exchange(s.wakeups, {}).refresh) seen.reset();
    struct stat now{};
    const bool there = stat(s.dependency.path.c_str(), &now) == 0;
    if (!there || !seen || !same_file(*seen, now)) {
      auto text = read_file(s.dependency.path, s.dependency.sandbox);
      if (text) {
        seen = now;
        missing_since.reset();
        accept(context, s, *text);
      } else {
        seen.reset();
        if (!missing_since) missing_since = Clock::now();
        set_state(context, s, Status::State::absent, std::move(text).error());
        const bool over = Clock::now() >= *missing_since + context.settings.start_grace;
        if (!s.status.fetched && over) give_up(context, s);
      }
    }
    s.status.next_at = Clock::now() + kLook;
    (void)co_await s.wakeup.wait(woken, *s.status.next_at);
  }
}

}  // namespace keybearer::secrets
