#pragma once
// The environment of a program: NAME=value pairs, sorted by name, in wiped memory.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/secret.hpp"

namespace keybearer {

class EnvBlock {
 public:
  // From NAME=value strings ended by a null pointer, such as ::environ. What has no '=' is left
  // out.
  [[nodiscard]] static EnvBlock from(const char* const* entries);

  void set(std::string name, std::string_view value);
  void erase(const std::string& name) { values_.erase(name); }
  [[nodiscard]] const Secret* find(const std::string& name) const;
  [[nodiscard]] const std::map<std::string, Secret>& values() const { return values_; }
  [[nodiscard]] std::size_t size() const { return values_.size(); }
  [[nodiscard]] EnvBlock clone() const;
  friend bool operator==(const EnvBlock&, const EnvBlock&) = default;

  // Refuses (kind render) what execve(2) would: a NUL in a value, a string over 128 KiB
  // (MAX_ARG_STRLEN), all strings and `argv` together over the system's limit. Names the variable.
  [[nodiscard]] result<> check(const std::vector<std::string>& argv = {}) const;

 private:
  std::map<std::string, Secret> values_;
};

// Everything but keybearer's own credentials: VAULT_TOKEN, VAULT_ROLE_ID, VAULT_SECRET_ID,
// VAULT_JWT, VAULT_PASSWORD and their BAO_ twins. Neither the program nor a hook is given those.
[[nodiscard]] EnvBlock without_credentials(const EnvBlock& block);

// The block as execve(2) takes it; views into `strings`, which owns it.
struct EnvStrings {
  Secret strings;
  std::vector<char*> pointers;  // ended by a null pointer
};
[[nodiscard]] EnvStrings strings_of(const EnvBlock& block);

}  // namespace keybearer
