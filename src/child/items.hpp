#pragma once
// What a program is started with, item by item, and what a change of it asks for (P3). Pure.

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.hpp"

namespace keybearer::child {

// One thing that the program is started with: a variable, or a file.
struct Item {
  std::string name;               // "DB_PASSWORD", "config.ini"
  std::uint64_t fingerprint = 0;  // keyed hash of its value
  // What its change asks for. `none`: the program is left as it is and counts as stale.
  config::OnChange::Action action = config::OnChange::Action::restart;
  int signal = 0;        // of Action::signal; 0: reload_signal
  std::string why = {};  // "database/creds/app: lease ended"
  // A file whose change asks for nothing: once it is written the program has it. It is here so that
  // a reload that gives it another rule is no change of it.
  bool asks = true;

  [[nodiscard]] bool same(const Item& other) const {
    return name == other.name && fingerprint == other.fingerprint;
  }
};
using Items = std::vector<Item>;  // each name once
// One number for all of them: equal when the program would be started with the same.
[[nodiscard]] std::uint64_t fingerprint_of(const Items& items);

// What lies between what the program knows and what it should have.
struct Change {
  config::OnChange::Action action = config::OnChange::Action::none;  // the strongest
  std::vector<int> signals;                                          // each once
  // "DB_PASSWORD, DB_USER changed; config.ini removed" of what asks for an action; of the rest.
  std::string names, why;
  std::string stale_names, stale_why;
};
// Both sorted by name.
[[nodiscard]] Change difference(const Items& known, const Items& desired, int reload_signal);
// What the program knows after a signal: all but what it is not told of.
[[nodiscard]] Items known_after_signal(const Items& known, const Items& desired);
// The program has of `desired` what asks for nothing.
void take_what_asks_nothing(Items& known, const Items& desired);
// "DB_PASSWORD, DB_USER changed; config.ini removed (database/creds/app: lease ended)"
[[nodiscard]] std::string changed_text(const std::string& names, const std::string& why);
// The same items with the same values.
[[nodiscard]] bool equal(const Items& one, const Items& other);
// And their changes ask for the same.
[[nodiscard]] bool equal_in_all(const Items& one, const Items& other);

}  // namespace keybearer::child
