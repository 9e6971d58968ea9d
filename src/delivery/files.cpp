#include "delivery/files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include "base/log.hpp"
#include "base/offload.hpp"
#include "config/scalars.hpp"
#include "delivery/pending.hpp"
#include "delivery/place.hpp"
#include "delivery/sync.hpp"

namespace keybearer::delivery {
namespace {

namespace asio = boost::asio;

// So many are written, synced and renamed together: as many descriptors are open.
constexpr std::size_t kBatch = 100;

struct Note {
  const char* event;
  const char* message;
  std::string path, detail;
};

// EINVAL and the like: a file system that has no sync of directories.
int sync_directory(const Directory& directory) {
  if (fsync(directory.get()) == 0) return 0;
  const bool none = errno == EINVAL || errno == ENOTSUP || errno == EBADF || errno == EROFS;
  return none ? 0 : errno;
}

result<> print(std::string_view content) {
  const auto failed = [](int error) { return refuse_errno("standard output", "writing", error); };
  while (!content.empty()) {
    const ssize_t n = write(STDOUT_FILENO, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(errno);
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

// Not by the inode alone: its number is given again. A mode or a mark that changed is no other file.
bool is_same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

bool same_target(const FileTarget& a, const FileTarget& b) {
  return a.perms == b.perms && a.perms_given == b.perms_given && a.user == b.user &&
         a.group == b.group && a.in_place == b.in_place;
}

}  // namespace

FileTarget target_of(const config::Template& spec) {
  return {.destination = spec.destination,
          .perms = spec.perms,
          .perms_given = spec.perms_given,
          .user = spec.user,
          .group = spec.group,
          .create_dest_dirs = spec.create_dest_dirs,
          .backup = spec.backup,
          .in_place = spec.in_place,
          .remove_on_exit = spec.remove_on_exit,
          .command = spec.command,
          .command_timeout = spec.command_timeout};
}

// What one call of apply() has to do: everything it needs is its own, so that it may go on in its
// thread when nobody waits for it any more.
struct Files::Job {
  std::vector<FileWrite> files;
  std::vector<FileResult> results;
  std::vector<bool> known;     // by an earlier call: nothing to do
  std::vector<Placed> placed;  // as many as results
  std::vector<Note> notes;
  std::atomic<bool> cancelled = false;
  std::timed_mutex placing;  // held while a file comes to its place and while `placed` changes

  void run();

 private:
  std::optional<Prepared> begin(std::size_t index);
  void note_attributes(std::size_t index, const Place& place, const Attributes& attributes);
  void done(std::size_t index, const Place& place, mode_t mode, bool written);
  void finish(std::vector<Prepared>& prepared, const std::vector<Sync>& synced);
  void sync_directories();

  Directories directories_;
  std::map<std::shared_ptr<const Directory>, std::vector<std::size_t>> changed_;
  std::map<std::size_t, std::vector<Note>> once_written_;
};

// nullopt: there is nothing left to do for this file, and its result says what was done.
std::optional<Prepared> Files::Job::begin(std::size_t index) {
  const FileWrite& file = files[index];
  const FileTarget& target = file.target;
  const std::string_view content = file.content->reveal();
  result<bool>& outcome = results[index].written;
  const auto failed = [&outcome](const Error& error) {
    outcome = std::unexpected(error);
    return std::nullopt;
  };
  const auto found = [&](const Place& place, mode_t mode, bool written) {
    const std::scoped_lock lock(placing);
    done(index, place, mode, written);
  };
  if (target.destination == kStandardOutput) {
    const auto printed = print(content);
    if (!printed) return failed(printed.error());
    outcome = true;
    results[index].action_due = true;
    return std::nullopt;
  }
  const auto owner = owner_of(target);
  if (!owner) return failed(owner.error());
  auto place = locate(target, *owner, directories_, Missing::make);
  if (!place) return failed(place.error());
  for (const std::string& warning : (**place).directory->warnings)
    notes.push_back(
        {"file.shared_directory", "a directory is open to others", target.destination, warning});
  const Attributes attributes = attributes_of(target, *owner, **place);
  const OnDisk on_disk = compare(**place, target, content, attributes);
  if (on_disk != OnDisk::other) {
    found(**place, attributes.mode, false);
    results[index].action_due = on_disk == OnDisk::same_but_pending;
    return std::nullopt;
  }
  note_attributes(index, **place, attributes);
  if (target.in_place) {
    if (auto written = write_in_place(**place, target, content, attributes); !written)
      return failed(written.error());
    found(**place, attributes.mode, true);
    return std::nullopt;
  }
  Prepared prepared(index, std::move(**place), &target);
  if (auto written = write_temporary(prepared, content, attributes); !written)
    return failed(written.error());
  return prepared;
}

// Said once it is so: a file that can't be written keeps what it has.
void Files::Job::note_attributes(std::size_t index, const Place& place,
                                 const Attributes& attributes) {
  if (!place.existing) return;
  const FileTarget& target = files[index].target;
  std::vector<Note> found;
  const mode_t wider = place.existing->st_mode & 07777 & ~attributes.mode;
  if (wider != 0)
    found.push_back({"file.mode_narrowed", "the file's mode is narrowed", target.destination,
                     config::mode_text(attributes.mode)});
  const bool given_away = attributes.kept.user && *attributes.kept.user != geteuid() &&
                          geteuid() != 0 && !target.in_place;
  if (given_away)
    found.push_back({"file.owner_changed", "the file's owner can't be kept: it is ours from now on",
                     target.destination, std::to_string(*attributes.kept.user)});
  if (!found.empty()) once_written_[index] = std::move(found);
}

// With `placing` held.
void Files::Job::done(std::size_t index, const Place& place, mode_t mode, bool written) {
  FileResult& result = results[index];
  result.written = written;
  result.mode = mode;
  result.action_due = written;
  if (const auto found = once_written_.find(index); written && found != once_written_.end())
    std::ranges::move(found->second, std::back_inserter(notes));
  Placed& here = placed[index];
  here.directory = place.directory->path;
  here.name = place.name;
  (void)fstatat(place.dir(), place.name.c_str(), &here.info, AT_SYMLINK_NOFOLLOW);
}

void Files::Job::finish(std::vector<Prepared>& prepared, const std::vector<Sync>& synced) {
  for (std::size_t i = 0; i < prepared.size(); ++i) {
    const std::scoped_lock lock(placing);
    if (cancelled) break;
    Prepared& ready = prepared[i];
    const std::string& destination = ready.target->destination;
    if (synced[i].error != 0) {
      results[ready.index].written = refuse_errno(destination, "writing", synced[i].error);
      continue;
    }
    std::string note;
    const auto replaced = put_in_place(ready, note);
    if (!note.empty())
      notes.push_back({"file.backup_failed", "no backup was kept", destination, note});
    if (!replaced) {
      results[ready.index].written = std::unexpected(replaced.error());
      continue;
    }
    done(ready.index, ready.place, ready.mode, true);
    changed_[ready.place.directory].push_back(ready.index);
  }
  prepared.clear();
}

// What is in its place and may not last is tried again.
void Files::Job::sync_directories() {
  for (const auto& [directory, indexes] : changed_) {
    const int error = sync_directory(*directory);
    if (error == 0) continue;
    for (const std::size_t index : indexes)
      results[index].written =
          refuse_errno(files[index].target.destination, "writing its directory", error);
  }
}

void Files::Job::run() {
  for (std::size_t next = 0; next < files.size() && !cancelled;) {
    std::vector<Prepared> prepared;
    const auto is_full = [&] {
      return prepared.size() >= kBatch || directories_.size() >= 2 * kBatch;
    };
    for (; next < files.size() && !is_full() && !cancelled; ++next) {
      if (known[next]) continue;
      if (auto ready = begin(next)) prepared.push_back(std::move(*ready));
    }
    std::vector<Sync> syncs;
    for (const Prepared& ready : prepared)
      syncs.push_back({ready.fd.get(), ready.place.directory->device});
    sync(syncs);
    finish(prepared, syncs);
    if (next < files.size() && directories_.size() < 2 * kBatch) continue;
    sync_directories();  // once for all files of each; sooner, when there are very many
    changed_.clear();
    directories_.clear();
  }
}

std::shared_ptr<Files::Job> Files::job_of(std::vector<FileWrite> files) {
  auto job = std::make_shared<Job>();
  job->results.resize(files.size());
  job->placed.resize(files.size());
  for (const FileWrite& file : files) {
    const auto at = placed_.find(file.target.destination);
    job->known.push_back(at != placed_.end() && at->second.content == file.content &&
                         same_target(at->second.target, file.target));
  }
  job->files = std::move(files);
  return job;
}

void Files::remember(const FileWrite& file, Placed place, bool written) {
  const std::string& destination = file.target.destination;
  if (!written && place.name.empty()) {
    const auto before = placed_.find(destination);  // it may still be there, and has to go
    if (before != placed_.end()) before->second.content.reset();
    return;
  }
  if (written) place.content = file.content;
  place.target = file.target;
  placed_[destination] = std::move(place);
}

std::vector<FileResult> Files::take(Job& job) {
  for (std::size_t i = 0; i < job.files.size(); ++i) {
    if (job.known[i]) {
      job.results[i].mode = job.files[i].target.perms;
      placed_[job.files[i].target.destination].target = job.files[i].target;  // remove_on_exit
    } else {
      remember(job.files[i], std::move(job.placed[i]), job.results[i].written.has_value());
    }
  }
  for (const Note& note : job.notes) {
    const bool once = std::string_view(note.event) == "file.shared_directory";
    if (once && !warned_.insert(note.detail).second) continue;
    log::warn(note.event, std::string_view(note.message),
              {{"path", note.path}, {"detail", note.detail}});
  }
  return std::move(job.results);
}

asio::awaitable<std::vector<FileResult>> Files::apply(std::vector<FileWrite> files) {
  const auto job = job_of(std::move(files));
  if (std::ranges::find(job->known, false) == job->known.end()) co_return take(*job);
  struct CancelOnExit {
    Files& files;
    Job& job;
    ~CancelOnExit() {
      job.cancelled = true;
      files.running_.reset();
    }
  } cancel{*this, *job};
  running_ = job;
  bool threads = true;
  try {
    co_await offload([job] { job->run(); });
  } catch (const std::system_error&) {  // a limit on threads or descriptors
    threads = false;
  }
  if (!threads) job->run();
  co_return take(*job);
}

std::vector<FileResult> Files::apply_now(std::vector<FileWrite> files) {
  const auto job = job_of(std::move(files));
  job->run();
  return take(*job);
}

void Files::action_done(const std::string& destination) {
  const auto at = placed_.find(destination);
  if (at == placed_.end() || at->second.name.empty()) return;
  const Placed& here = at->second;
  const auto owner = owner_of(here.target);
  const auto directory = open_directory(here.directory, owner.value_or(Owner{}), Missing::nothing);
  if (!directory || !*directory) return;
  const int in = (*directory)->get();
  const UniqueFd fd(openat(in, here.name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info{};
  if (!fd || fstat(fd.get(), &info) != 0) return;
  if (is_same_file(info, here.info)) clear_pending(fd.get(), in, here.name);
}

void Files::remove_on_exit() {
  if (running_) {
    constexpr auto kPatience = std::chrono::milliseconds(100);  // for a rename; not for a dead disk
    running_->cancelled = true;
    const std::unique_lock lock(running_->placing, kPatience);
    for (std::size_t i = 0; i < running_->files.size() && lock; ++i) {
      if (!running_->placed[i].name.empty())
        remember(running_->files[i], running_->placed[i], false);
    }
  }
  for (const auto& [destination, here] : placed_) remove_placed(destination, here);
  placed_.clear();
}

void Files::remove(const std::string& destination) {
  const auto at = placed_.find(destination);
  if (at == placed_.end()) return;
  remove_placed(destination, at->second);
  placed_.erase(at);
}

// A file that is mounted by itself stays where it is.
bool emptied(int directory, const std::string& name) {
  constexpr int kFlags = O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  return UniqueFd(openat(directory, name.c_str(), kFlags)).get() >= 0;
}

void Files::remove_placed(const std::string& destination, const Placed& here) {
  if (!here.target.remove_on_exit || here.name.empty()) return;
  const auto owner = owner_of(here.target);
  const auto directory = open_directory(here.directory, owner.value_or(Owner{}), Missing::nothing);
  if (!directory || !*directory) return;
  const int in = (*directory)->get();
  struct stat info{};
  const bool ours = fstatat(in, here.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
                    is_same_file(info, here.info);
  if (!ours) return;  // somebody else's by now
  if (here.target.backup) unlinkat(in, (here.name + std::string(kBackup)).c_str(), 0);
  if (unlinkat(in, here.name.c_str(), 0) == 0)
    return log::info("file.removed", "file removed", {{"path", here.directory + "/" + here.name}});
  const std::string reason = strerrordesc_np(errno);
  if (here.target.in_place && emptied(in, here.name))
    log::info("file.removed", "file emptied: it can't be removed",
              {{"path", destination}, {"reason", reason}});
  else
    log::warn("file.remove_failed", "the file can't be removed",
              {{"path", destination}, {"reason", reason}});
}

result<> check_destination(const FileTarget& target) {
  if (target.destination == kStandardOutput) return {};
  const auto owner = owner_of(target);
  if (!owner) return std::unexpected(owner.error());
  Directories directories;
  const auto missing = target.create_dest_dirs ? Missing::nothing : Missing::refuse;
  const auto place = locate(target, *owner, directories, missing);
  if (!place) return std::unexpected(place.error());
  if (!*place) return {};
  const Place& where = **place;
  if (target.in_place && where.existing) {
    if (auto good = may_be_written_into(*where.directory, *where.existing, *owner); !good)
      return std::unexpected(std::move(good).error().within(target.destination));
    if (faccessat(where.dir(), where.name.c_str(), W_OK, AT_EACCESS) != 0)
      return refuse_errno(target.destination, "opening", errno);
    return {};
  }
  if (faccessat(where.dir(), ".", W_OK | X_OK, AT_EACCESS) != 0)
    return refuse_errno(target.destination, "can't write in its directory", errno);
  if (owner->user && *owner->user != geteuid() && geteuid() != 0)
    return refuse_errno(target.destination, "owner", EPERM);
  return {};
}

void sweep_leftovers(const std::vector<FileTarget>& targets) {
  Directories directories;
  for (const FileTarget& target : targets) {
    if (target.destination == kStandardOutput) continue;
    const auto owner = owner_of(target);
    // A link's own directory holds none: what is written beside is beside its target.
    if (owner) (void)locate(target, *owner, directories, Missing::nothing);
  }
  std::set<ino_t> swept;
  for (const auto& [key, directory] : directories) {
    if (!directory || !swept.insert(directory->inode).second) continue;
    const int own = openat(directory->get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* list = own < 0 ? nullptr : fdopendir(own);
    if (list == nullptr) continue;
    while (const dirent* entry = readdir(list)) {
      if (!is_leftover(entry->d_name)) continue;
      const UniqueFd fd(
          openat(dirfd(list), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
      struct stat info{};
      // Who still writes one holds a lock on it. As root it may have been given to another user
      // already.
      if (fd && fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode) &&
          (info.st_uid == geteuid() || geteuid() == 0) && flock(fd.get(), LOCK_EX | LOCK_NB) == 0)
        unlinkat(dirfd(list), entry->d_name, 0);
    }
    closedir(list);
  }
}

}  // namespace keybearer::delivery
