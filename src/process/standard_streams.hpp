#pragma once

namespace keybearer {

// Descriptors 0 to 2 that are closed are taken, so that no file or socket of ours gets the number
// of standard output: what is written there fails, as it would on the closed one. First thing in
// main.
void hold_standard_streams() noexcept;

}  // namespace keybearer
