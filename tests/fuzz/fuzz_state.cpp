// Any bytes as a state file, its counter, and what is in it when the key fits: no crash, and what
// comes out is a state or a refusal. What was read can be written again and read as the same.

#include <string>
#include <string_view>

#include "state/records.hpp"
#include "state/sealed.hpp"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace keybearer;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string key(32, 'k');
  const state::Binding binding{"app", {"https://a:8200"}, ""};
  (void)state::unseal(key, binding, bytes);
  (void)state::unseal_counter(key, bytes);
  const state::Now now{Instant(std::chrono::hours(1000)), WallTime(std::chrono::hours(500'000)),
                       "boot"};
  const auto restored = state::decode(bytes, now);
  if (!restored) return 0;
  // On the clocks of `now` from now on: another round changes nothing.
  const std::string written = state::encode(restored->record, now);
  const auto again = state::decode(written, now);
  if (!again || state::encode(again->record, now) != written) __builtin_trap();
  return 0;
}
