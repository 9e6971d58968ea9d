#include "state/state_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/directory.hpp"
#include "base/fd.hpp"
#include "base/file.hpp"
#include "base/offload.hpp"
#include "delivery/files.hpp"

namespace keybearer::state {
namespace {

using boost::asio::awaitable;

constexpr std::size_t kLargest = 256u << 20;
constexpr int kMostSetAside = 20;

delivery::FileWrite write_of(const std::string& path, std::string_view content) {
  delivery::FileTarget target;
  target.destination = path;
  target.perms_given = true;
  return {.target = std::move(target), .content = std::make_shared<const Secret>(content)};
}

struct Content {
  std::string bytes;
  bool there = false;
};

// Ours or root's, and nobody else's to read.
std::expected<Content, Refusal> read_own(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW));
  struct stat info{};
  if (!fd && errno == ENOENT) return Content{};
  const auto refuse = [](Reason reason, std::string text) {
    return std::unexpected(Refusal{reason, std::move(text)});
  };
  if (!fd || fstat(fd.get(), &info) != 0) return refuse(Reason::unreadable, strerrordesc_np(errno));
  if (!S_ISREG(info.st_mode)) return refuse(Reason::unreadable, "not a regular file");
  if (info.st_uid != geteuid() && info.st_uid != 0)
    return refuse(Reason::readable, "it belongs to user " + std::to_string(info.st_uid));
  if ((info.st_mode & 077) != 0)
    return refuse(Reason::readable, "others can read it or write to it");
  auto bytes = read_all(fd.get(), kLargest);
  if (!bytes) return refuse(Reason::unreadable, bytes.error().text);
  return Content{std::move(*bytes), true};
}

// Where the counter begins when it was lost: what was written before counts as older all the same.
std::uint64_t milliseconds_now() {
  const auto time = std::chrono::floor<std::chrono::milliseconds>(wall_now()).time_since_epoch();
  return time.count() > 0 ? static_cast<std::uint64_t>(time.count()) : 0;
}

result<> error_of(std::vector<delivery::FileResult> results) {
  for (delivery::FileResult& each : results)
    if (!each.written) return std::unexpected(std::move(each.written).error());
  return {};
}

}  // namespace

StateFile::StateFile(std::string path, std::shared_ptr<const Secret> key, Binding binding,
                     PidFile lock)
    : path_(std::move(path)),
      key_(std::move(key)),
      binding_(std::move(binding)),
      lock_(std::move(lock)) {}

result<StateFile> StateFile::open(std::string path, Secret key, Binding binding) {
  const auto wrong = [](const Error& error) {
    return fail(ErrorKind::config, "state.path: " + error.text);
  };
  std::error_code none;
  path = std::filesystem::absolute(path, none).lexically_normal().string();
  const std::string directory = std::filesystem::path(path).parent_path().string();
  if (auto there = open_directory(directory, {}, Missing::make); !there)
    return wrong(there.error());
  const auto state = write_of(path, "");
  if (auto good = delivery::check_destination(state.target); !good) return wrong(good.error());
  auto lock = PidFile::write(path + ".lock");
  if (!lock) return wrong(lock.error());
  delivery::sweep_leftovers({state.target});
  return StateFile(std::move(path), std::make_shared<const Secret>(std::move(key)),
                   std::move(binding), std::move(*lock));
}

bool StateFile::bind(Binding binding) {
  const bool other = binding != binding_;
  binding_ = std::move(binding);
  return other;
}

std::expected<std::optional<std::uint64_t>, Refusal> StateFile::read_counter() {
  const auto content = read_own(path_ + ".counter");
  if (!content)
    return std::unexpected(
        Refusal{content.error().reason, path_ + ".counter: " + content.error().text});
  if (!content->there) return std::nullopt;
  return unseal_counter(key_->reveal(), content->bytes);
}

std::expected<Restored, Refusal> StateFile::read() {
  const auto content = read_own(path_);
  if (!content) return std::unexpected(content.error());
  const auto counter = read_counter();
  if (counter) {
    has_counter_ = counter->has_value();
    counter_ = counter->value_or(0);
  } else if (counter.error().reason != Reason::replayed) {
    // A link or the like: the next one is not written through it.
    (void)set_aside(path_ + ".counter");
  }
  if (!content->there) return Restored{};
  const auto plain = unseal(key_->reveal(), binding_, content->bytes);
  if (!plain) return std::unexpected(plain.error());
  auto restored = decode(plain->reveal(), now_here());
  if (!restored) return restored;
  if (!counter) return std::unexpected(counter.error());
  if (!*counter)
    return std::unexpected(
        Refusal{Reason::replayed,
                "its counter (" + path_ + ".counter) is missing: it may be an older copy"});
  const std::uint64_t own = restored->record.counter;
  if (own < **counter)
    return std::unexpected(
        Refusal{Reason::replayed, "an older copy: state " + std::to_string(own) + ", but state " +
                                      std::to_string(**counter) + " was written after it"});
  counter_ = std::max(counter_, own);
  return restored;
}

// The first name that is free; the last one is used again.
std::string StateFile::set_aside(const std::string& path) const {
  std::string name;
  for (int n = 1; n <= kMostSetAside; ++n) {
    name = path + ".refused" + (n == 1 ? "" : "-" + std::to_string(n));
    if (access(name.c_str(), F_OK) != 0) break;
  }
  if (rename(path.c_str(), name.c_str()) != 0) return "";
  (void)chmod(name.c_str(), 0600);
  return name;
}

StateFile::Loaded StateFile::load() {
  Loaded loaded;
  auto restored = read();
  if (restored) {
    if (restored->record.counter > 0) loaded.restored = std::move(*restored);
    return loaded;
  }
  loaded.refusal = std::move(restored).error();
  loaded.kept_as = set_aside(path_);
  return loaded;
}

awaitable<result<>> StateFile::save(lease::SavedState state) {
  const std::uint64_t written = std::max(counter_ + 1, milliseconds_now());
  // Values count their parts without locks: what is held here ends in this thread.
  const auto record =
      std::make_shared<const Record>(Record{.counter = written, .state = std::move(state)});
  const bool first = !has_counter_;
  // Sealed beside the loop, too: it may be large.
  std::vector<delivery::FileWrite> files = co_await offload(
      [record, saved = now_here(), key = key_, binding = binding_, first, path = path_] {
        std::vector<delivery::FileWrite> writes;
        const std::string_view bytes = key->reveal();
        writes.push_back(write_of(path, seal(bytes, binding, encode(*record, saved))));
        writes.push_back(write_of(path + ".counter", seal_counter(bytes, record->counter)));
        // Without a counter no state is believed: the very first one comes before its state.
        if (first) std::swap(writes[0], writes[1]);
        return writes;
      });
  delivery::Files writer;  // of this one write: what it wrote is not remembered
  if (first) {
    // Its own number: a kill before the state is there leaves none.
    if (auto done = error_of(co_await writer.apply({files[0]})); !done) co_return done;
    has_counter_ = true;
    files.erase(files.begin());
  }
  auto results = co_await writer.apply(std::move(files));
  if (results.front().written) counter_ = written;
  co_return error_of(std::move(results));
}

}  // namespace keybearer::state
