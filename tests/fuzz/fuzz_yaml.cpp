// Any text as YAML: what can be read can be written as YAML, and as TOML or not at all.

#include <cstdlib>

#include "tmpl/formats/toml_write.hpp"
#include "tmpl/formats/yaml.hpp"
#include "tmpl/funcs/funcs.hpp"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace keybearer::tmpl;
  if (size > 4096) return 0;
  try {
    const keybearer::Value value = yaml::read({reinterpret_cast<const char*>(data), size});
    (void)yaml::write(value);
    (void)toml::write(value);
  } catch (const CallError& error) {
    if (error.text.empty()) std::abort();
  }
  return 0;
}
