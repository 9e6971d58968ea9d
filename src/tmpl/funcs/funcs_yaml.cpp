// consul-template's functions on YAML and TOML: template/funcs.go.

#include "tmpl/formats/toml_write.hpp"
#include "tmpl/formats/yaml.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/go/go_strings.hpp"

namespace keybearer::tmpl {
namespace {

Value parse_yaml(Evaluation&, Arguments a) {
  if (a[0].as_text().empty()) return Value::map();
  return yaml::read(a[0].as_text());
}
Value to_yaml(Evaluation&, Arguments a) {
  const std::string text = yaml::write(a[0]);
  return Value(trimmed_space(text));
}

Value to_toml(Evaluation&, Arguments a) {
  const std::string text = toml::write(a[0]);
  return Value(trimmed_space(text));
}

constexpr Function kFunctions[] = {
    {"parseYAML", parse_yaml, "s"},
    {"toTOML", to_toml, "a"},
    {"toYAML", to_yaml, "a"},
};

}  // namespace

std::span<const Function> yaml_functions() {
  return kFunctions;
}

}  // namespace keybearer::tmpl
