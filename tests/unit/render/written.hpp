#pragma once
// What a format's writer makes of texts.

#include <string>
#include <utility>
#include <vector>

#include "render/format.hpp"

namespace keybearer::test {

using FormatValues = std::vector<std::pair<std::vector<std::string>, std::string>>;

inline result<Secret> written(config::Format format, const FormatValues& values) {
  std::vector<Secret> secrets;
  std::vector<render::FormatEntry> entries;
  secrets.reserve(values.size());
  for (const auto& [path, value] : values) {
    secrets.emplace_back(value);
    entries.push_back({path, &secrets.back()});
  }
  return render::write_format(format, entries);
}

}  // namespace keybearer::test
