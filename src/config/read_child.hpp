#pragma once
// The keys of [exec] that say how the program is started, signalled and stopped. Internal to config/.

#include "config/reader.hpp"

namespace keybearer::config {

// `r` reads [exec].
void read_child(Context& context, Reader& r, Exec& exec);

}  // namespace keybearer::config
