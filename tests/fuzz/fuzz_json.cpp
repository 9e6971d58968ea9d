// Any bytes as an answer's JSON: no crash, and what was read is written and read again as the same.

#include <cstdlib>
#include <string_view>

#include "json/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace keybearer;
  const auto value = json::parse({reinterpret_cast<const char*>(data), size},
                                 {.max_depth = 64, .max_values = 10'000});
  if (!value) return 0;
  const auto again = json::parse(json::write(*value));
  if (!again || !(*again == *value)) std::abort();
  return 0;
}
