#pragma once
// The file that a template writes besides its output: writeToFile.

#include <expected>
#include <string>
#include <string_view>

namespace keybearer::tmpl {

struct FileWrite {
  std::string path;
  std::string user = {}, group = {};  // names or numbers; empty: as it is
  unsigned mode = 0600;               // permission bits
  bool append = false;
  std::string_view content = {};
};

// A new file, or a regular one that is not appended to, is replaced at once: written beside it and
// renamed. What can't be replaced so (a device, a bind mount, several links, a folder that is not
// ours) is written in place. Links are followed, but not those that another user has put there.
// Folders above are made, but for appending. The error is Go's text: "open a/b: is a directory".
// An unknown owner is an error after the file is written, as in consul-template.
[[nodiscard]] std::expected<void, std::string> write_file(const FileWrite& write);

}  // namespace keybearer::tmpl
