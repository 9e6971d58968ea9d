#pragma once
// Credentials in files, and which of their contents were sent already.
//
// Source: rules T10 (*untried* belongs to the content) and T13 (removal after reading).

#include <sys/stat.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/secret.hpp"

namespace keybearer::auth {

// A content by its keyed hash (base/fingerprint): tells it from others and nothing else.
using ContentId = std::uint64_t;

// A credential in a file: read whole when the file is another than at the last look; a byte order
// mark, and white space and NULs at its ends, are no part of it. What was looked at is remembered whatever the read gave, so that a file that
// can't be used costs one read and one error, not one each time.
class CredentialFile {
 public:
  // What the redactor learns: the whole content, or nothing, because most of it is no secret and who
  // reads it tells which part is.
  enum class Holds : std::uint8_t { credential, document };
  // `warns`: that others may read the file; never of one in a volume that Kubernetes mounts, where
  // it is the rule.
  explicit CredentialFile(std::string path, bool warns = true, Holds holds = Holds::credential)
      : path_(std::move(path)), warns_(warns), holds_(holds) {}

  // Error kind config with the path, of the file as it is now: missing, unreadable, empty, larger
  // than 64 KiB, UTF-16, not a regular file. The last good content stays.
  [[nodiscard]] result<> look();
  [[nodiscard]] const Secret& content() const { return content_; }  // empty: none yet

  // Removes the file, but only when it is still the one that was read (T13). False, without an
  // error: it is another now, or gone.
  [[nodiscard]] result<bool> remove();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    std::int64_t modified_ns = 0, changed_ns = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
  };
  [[nodiscard]] static Identity identity_of(const struct stat& status);
  [[nodiscard]] result<Secret> read();

  std::string path_;
  bool warns_;
  Holds holds_;
  Secret content_;
  std::optional<Identity> seen_;  // at the last look
  std::optional<Identity> read_;  // that content_ came from
  result<> last_ = {};            // what the last read gave
};

// What came of the contents that were sent, the latest 64 of them.
class Attempts {
 public:
  enum class Outcome { unanswered, accepted, refused };

  void record(ContentId content, Outcome outcome);
  [[nodiscard]] std::optional<Outcome> of(ContentId content) const;
  [[nodiscard]] bool untried(ContentId content) const { return !of(content); }
  [[nodiscard]] bool refused(ContentId content) const { return of(content) == Outcome::refused; }
  void forget() { known_.clear(); }

 private:
  struct Attempt {
    ContentId content;
    Outcome outcome;
  };
  std::deque<Attempt> known_;
};

}  // namespace keybearer::auth
