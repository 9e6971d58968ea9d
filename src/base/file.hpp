#pragma once
// A whole file at once, for all who read one.

#include <cstddef>
#include <expected>
#include <optional>
#include <string>

#include "base/error.hpp"

namespace keybearer {

struct ReadOptions {
  std::size_t limit = 64u << 20;  // bytes; more are an error
  bool regular = true;            // refuse pipes and devices, too, not only directories
  int silence_ms = 10'000;        // a pipe or device that sends nothing for so long is an error
};

// Why it could not be read: an errno, or what is wrong with it.
struct ReadError {
  int number = 0;    // 0: none
  std::string text;  // "No such file or directory", "larger than 64 KiB"
  // "PATH: TEXT".
  [[nodiscard]] std::unexpected<Error> as(ErrorKind kind, const std::string& path) const {
    return fail(kind, path + ": " + text);
  }
};

// Nothing of it stays on the stack, and the text is wiped when it is freed (base/wipe.cpp). Follows
// links and waits for no writer of a pipe.
[[nodiscard]] std::expected<std::string, ReadError> read_file(const std::string& path,
                                                              ReadOptions options = {});
// While the loop runs it must not be held: a pipe or device that has nothing yet is an error then.
void wait_for_pipes(bool wait);
// From where the descriptor stands to its end. With `silence_ms` (as above; -1: as long as it takes)
// the first byte of a pipe that has no writer yet is waited for, too.
[[nodiscard]] std::expected<std::string, ReadError> read_all(int fd, std::size_t limit,
                                                             std::optional<int> silence_ms = {});

}  // namespace keybearer
