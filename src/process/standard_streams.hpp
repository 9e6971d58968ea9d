#pragma once

namespace keybearer {

// Descriptors 0 to 2 that are closed are taken, so that no file or socket of ours gets the number
// of standard output: what is written there fails, as it would on the closed one. First thing in
// main.
void hold_standard_streams() noexcept;
// A program of ours gets nothing to read, or writes to /dev/null, where it would get one of these.
[[nodiscard]] bool standard_stream_was_closed(int fd) noexcept;

}  // namespace keybearer
