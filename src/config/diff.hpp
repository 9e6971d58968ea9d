#pragma once
// What a reload changes: two configurations, section by section. Pure. Where a table stands is no
// part of its value.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"

namespace keybearer::config {

enum class Effect : std::uint8_t {
  same,
  live,     // taken over while running
  restart,  // only when keybearer is started again: the running value stays
};

struct SectionDiff {
  std::string_view name;  // of a table: "vault", "template"; of a key of the top level: "pid_file"
  Effect effect = Effect::same;
  // "out/app.ini removed", of a list of tables.
  std::vector<std::string> entries = {};
};

// All sections, always in the same order; "vault.namespace" is one of its own.
[[nodiscard]] std::vector<SectionDiff> diff(const Config& before, const Config& after);

// What rules after a reload: `read`, but for what only a restart takes over.
[[nodiscard]] Config in_force(const Config& running, Config read);

}  // namespace keybearer::config
