#pragma once
// The one table of signals: their names, and what keybearer does with each (P6). The manual page's
// section SIGNALS is checked against it. Pure.

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keybearer {

enum class SignalRole {
  ours,       // stop, reload, children: handled by keybearer
  forwarded,  // to the program, unless exec.forward_signals leaves it out
  never,      // can't be caught, is a fault or limit of our own, or the terminal's job control
};

struct SignalRow {
  int number;
  std::string_view name;  // without SIG
  SignalRole role;
  std::string_view meaning;  // of ours and never
};

// Signals 1 to 31, in their order. The real-time signals, SIGRTMIN to SIGRTMAX, are forwarded.
[[nodiscard]] std::span<const SignalRow> signal_table();
[[nodiscard]] SignalRole role_of(int signal);

// All that is forwarded by default, the real-time signals too.
[[nodiscard]] std::vector<int> forwarded_signals();
// Of keybearer's own: TERM, INT, QUIT, HUP; not CHLD, which comes from the program.
[[nodiscard]] std::vector<int> own_signals();

[[nodiscard]] std::string signal_name(int signal);  // "SIGTERM", "SIGRTMIN+3"
// "SIGTERM", "TERM", "term", "RTMIN+3", "SIGRTMAX-1" or a number.
[[nodiscard]] std::optional<int> signal_number(std::string_view name);

}  // namespace keybearer
