#pragma once
// What a reload changes: two configurations, section by section. Pure. Where a table stands is no
// part of its value.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"

namespace keybearer::config {

enum class Section : std::uint8_t {
  general,  // name, pid_file, exit_after_auth, hardening
  log,      // log_level, log_format, log_file
  notify,
  vault,
  auto_auth,
  template_config,
  lease,
  secrets,    // [[secret]]
  templates,  // [[template]]
  env,
  env_from,
  exec,
  outage,
};
inline constexpr std::size_t kSections = 13;
[[nodiscard]] std::string_view section_name(Section section);  // "[[secret]]"

enum class Change : std::uint8_t {
  same,
  live,     // taken over while running
  restart,  // only when keybearer is started again: the running value stays
};

struct Diff {
  std::array<Change, kSections> changes = {};
  std::vector<std::string> needs_restart;  // full names of the keys: "name", "pid_file"

  [[nodiscard]] Change of(Section section) const {
    return changes[static_cast<std::size_t>(section)];
  }
  [[nodiscard]] bool any() const;
};

[[nodiscard]] Diff diff(const Config& old_config, const Config& new_config);

}  // namespace keybearer::config
