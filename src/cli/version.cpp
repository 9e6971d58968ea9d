#include <cstdio>

#include "cli/commands.hpp"

namespace keybearer::cli {

int version(bool json) {
  std::puts(json ? R"({"name":"keybearer","version":")" KEYBEARER_VERSION R"("})"
                 : "keybearer " KEYBEARER_VERSION);
  return kOk;
}

}  // namespace keybearer::cli
