#pragma once
// Rendered files to the disk: only what differs is written, and at every moment a reader sees the
// old file or the new one, complete.
//
// A write: an exclusive temporary file in the target's folder (opened once, everything relative to
// it), mode and owner before the content, fsync, rename, fsync of the folder. Errors are of kind io
// (73) and name path and remedy. A link as destination: its target is replaced when nobody else can
// write in the folders on the way. Rules: behaviour.md sections 3, 6 and 7; open(2), rename(2).

#include <boost/asio/awaitable.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "config/config.hpp"

namespace keybearer::delivery {

// What is to be on the disk. Views: nothing is owned.
struct FileWrite {
  const config::Template* spec;
  std::string_view content;
};

// Writes those that differ, a hundred at a time, and syncs each folder once. One result per file,
// in order: true when it was written, false when the disk already had it.
[[nodiscard]] std::vector<result<bool>> write_files(const std::vector<FileWrite>& files);
// The same, but the thread goes on with other work while many files are synced. What `files` refer
// to must stay until it is done.
[[nodiscard]] boost::asio::awaitable<std::vector<result<bool>>> async_write_files(
    std::vector<FileWrite> files);

// Can it be written at all? Finds what write_files would refuse, without writing.
[[nodiscard]] result<> check_destination(const config::Template& spec);

// Temporary files that we left behind when we were killed: removed from the folders of these
// destinations.
void sweep_leftovers(const std::vector<const config::Template*>& specs);

void remove_files(const std::vector<const config::Template*>& specs);  // those with remove_on_exit

}  // namespace keybearer::delivery
