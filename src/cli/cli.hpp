#pragma once
// The command line: parses it and calls the command. CLI11 stays behind cli.cpp.

namespace keybearer::cli {

[[nodiscard]] int main(int argc, char** argv);

}  // namespace keybearer::cli
