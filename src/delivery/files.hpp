#pragma once
// Rendered files to the disk: only what differs is written, and at every moment a reader sees the
// old file or the new one, complete.
//
// A write: an exclusive temporary file in the target's directory (judged, opened once, everything
// relative to it), mode and owner before the content, fsync, rename, fsync of the directory. A file
// that is there keeps its owner and group where neither is configured, and its mode is narrowed
// only. A link as destination: its target is replaced when nobody else can write in the directories
// on the way. Errors are of kind io (73) and name path and remedy. Rules: R2, R3, R9, R10, section
// 7; open(2), rename(2).

#include <sys/stat.h>

#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "delivery/target.hpp"

namespace keybearer::delivery {

struct FileResult {
  result<bool> written = false;  // true: it was; false: it was on the disk already
  bool action_due = false;  // its command is to be run: it was written, or an earlier run's failed
  unsigned mode = 0;        // that it has now
};

// Knows what this run has put where. Targets are known by destination; what the configuration does
// not name any more is just not given any more.
class Files {
 public:
  // Brings all of them to the disk, a hundred at a time, beside the loop: nothing waits for the
  // disk, and when the caller is cancelled no rename begins any more. Files that have this content
  // by an earlier call are not looked at. One result per file, in order.
  [[nodiscard]] boost::asio::awaitable<std::vector<FileResult>> apply(std::vector<FileWrite> files);
  // The same at once, for those without a loop.
  [[nodiscard]] std::vector<FileResult> apply_now(std::vector<FileWrite> files);

  // The command has succeeded: nothing is to be done again by the next run.
  void action_done(const std::string& destination);

  // Those with remove_on_exit that this run has put there or found as they should be: removed where
  // they are, if they are still the same. What is being written is not put in its place any more.
  void remove_on_exit();

  // The configuration does not name it any more: as at the exit, this one alone.
  void remove(const std::string& destination);

 private:
  // Where it really is, behind links.
  struct Placed {
    std::string directory, name;
    struct stat info{};  // as it was then
    FileTarget target;
    std::shared_ptr<const Secret> content;
  };
  struct Job;
  std::shared_ptr<Job> job_of(std::vector<FileWrite> files);
  std::vector<FileResult> take(Job& job);

  void remember(const FileWrite& file, Placed place, bool written);
  static void remove_placed(const std::string& destination, const Placed& here);

  std::map<std::string, Placed> placed_;  // by destination
  std::shared_ptr<Job> running_;
  std::set<std::string> warned_;
};

// Can it be written at all? Finds what apply() would refuse, without writing.
[[nodiscard]] result<> check_destination(const FileTarget& target);

// Temporary files that we left behind when we were killed: removed from the directories of these
// destinations.
void sweep_leftovers(const std::vector<FileTarget>& targets);

}  // namespace keybearer::delivery
