#pragma once
// The command line: parses it and calls the command. CLI11 stays behind cli.cpp.

namespace keybearer::cli {

[[nodiscard]] int main(int argc, char** argv);

// What was said on standard output has to arrive: else 73 instead of 0. That who reads has had
// enough (EPIPE) is no failure.
[[nodiscard]] int flushed(int code);

}  // namespace keybearer::cli
