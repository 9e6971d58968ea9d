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
  std::string sandbox = {};  // the file must be in it, whatever links say; empty: anywhere
};

// A new file, or a regular one that is not appended to, is replaced at once: written beside it and
// renamed. What can't be replaced so (a device, a bind mount, several links, a directory that is
// not ours) is written in place; mode and owner are there before the content. Links are followed,
// but not those of another user, and directories are judged and made as for any destination (rule
// R10, base/directory.hpp); for appending none is made. The error is Go's text: "open a/b: is a
// directory". An unknown owner is an error after the file is written, as in consul-template.
[[nodiscard]] std::expected<void, std::string> write_file(const FileWrite& write);

}  // namespace keybearer::tmpl
