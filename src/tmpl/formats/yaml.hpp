#pragma once
// YAML as yaml.v2 (gopkg.in/yaml.v2 v2.4.0) reads and writes it: YAML 1.1.

#include <string>
#include <string_view>

#include "json/value.hpp"

namespace keybearer::tmpl::yaml {

// What a scalar without quotes is. `tag`: of the document, in its long form, or empty.
struct Resolved {
  enum class Kind : std::uint8_t { text, null, boolean, integer, number, timestamp, other } kind;
  Value value;
};
// Throws CallError when the text is not what the tag says.
[[nodiscard]] Resolved resolve(std::string_view tag, std::string_view text);
// "tag:yaml.org,2002:str" is "!!str".
[[nodiscard]] std::string short_tag(std::string_view tag);
inline constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";

// The first document; nil when there is none. Maps are any_maps. Throws CallError with yaml.v2's
// text: no value of the document is in it.
[[nodiscard]] Value read(std::string_view text);
// One document, with its newline at the end. Throws CallError for what yaml.v2 can't write.
[[nodiscard]] std::string write(const Value& value);

}  // namespace keybearer::tmpl::yaml
