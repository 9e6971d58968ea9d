#include "config/library.hpp"

#include "config/toml.hpp"

namespace keybearer::config {

std::string toml_version() {
  return std::to_string(TOML_LIB_MAJOR) + "." + std::to_string(TOML_LIB_MINOR) + "." +
         std::to_string(TOML_LIB_PATCH);
}

}  // namespace keybearer::config
