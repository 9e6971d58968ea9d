#pragma once
// The way to a file that is nobody else's to change: each directory on it is opened by itself, and
// judged (rule R10).
//
// A directory is passed when it is ours, root's or the file's user's, and others can't write in it.
// With the sticky bit others may write in it, when what comes next is ours; and in one that is a
// mount point (Kubernetes makes emptyDir 0777). A group that is neither ours, root's nor the file's
// is others, too. Links are followed when they are nobody else's, but never to an open descriptor
// (/dev/stdout). Every error is of kind io (73) and says what to do.

#include <sys/stat.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/owner.hpp"

namespace keybearer {

struct Directory {
  UniqueFd fd;       // to be used with *at() calls; readable when its mode allows that
  std::string path;  // absolute and without links
  dev_t device{};
  ino_t inode{};
  bool shared = false;   // others may write in it: sticky, or a mount point
  bool strange = false;  // neither ours, root's nor the file's user's: sticky, then
  std::vector<std::string> warnings = {};  // what was let pass on the way, and should not be so

  [[nodiscard]] int get() const { return fd.get(); }
};

enum class Missing {
  make,     // with 0700 for the file's user, or 0750 and its group when one is given
  refuse,   // an error
  nothing,  // nullopt
};

// Whom the file is for: may own directories on the way and the file, beside us and root.
using Recipient = Owner;

// `beneath`: a sandbox, absolute and without links; what is not in it is refused, and not made.
// Empty: none.
[[nodiscard]] result<std::optional<Directory>> open_directory(const std::string& path,
                                                              const Recipient& recipient,
                                                              Missing missing,
                                                              const std::string& beneath = {});
// Ours, root's or the recipient's?
[[nodiscard]] bool is_trusted_owner(uid_t owner, const Recipient& recipient);

// For what holds no secret (a log, a pid file): only that no link of another user is on the way,
// the last component included. What is not there yet is fine.
[[nodiscard]] result<> refuse_links_of_others(const std::string& path);

// Of a log or a program's output; made with 0600. A pipe that nobody reads is not waited for: ENXIO.
[[nodiscard]] UniqueFd open_for_appending(const std::string& path);

// Where a path leads, links of its last component included: a name in a directory, and what stands
// there, which is no link.
struct FilePlace {
  std::shared_ptr<const Directory> directory;
  std::string name;
  std::optional<struct stat> existing;
  [[nodiscard]] int dir() const { return directory->get(); }
};

// `open` is open_directory, or something that remembers what it has opened; null: the directory is
// not there, and there is no place.
using OpenDirectory =
    std::function<result<std::shared_ptr<const Directory>>(const std::string& path)>;
// Refused: a directory, links to open descriptors, of others, and through directories that others
// can write.
[[nodiscard]] result<std::optional<FilePlace>> find_file(std::string path,
                                                         const Recipient& recipient,
                                                         const OpenDirectory& open);

// Before something is written into what is there: in a directory that others may write, what
// another user put there, or what has other names, is refused. `info` is of what was opened.
[[nodiscard]] result<> may_be_written_into(const Directory& directory, const struct stat& info,
                                           const Recipient& recipient);

}  // namespace keybearer
