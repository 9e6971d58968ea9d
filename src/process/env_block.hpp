#pragma once
// The environment of a program: NAME=value pairs, sorted by name, in wiped memory. Copies share the
// values, which never change.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/secret.hpp"

namespace keybearer {

class EnvBlock {
 public:
  // From NAME=value strings ended by a null pointer, such as ::environ. What has no '=' is left
  // out.
  [[nodiscard]] static EnvBlock from(const char* const* entries);

  using Value = std::shared_ptr<const Secret>;  // never null

  void set(std::string name, std::string_view value);
  void set(std::string name, Value value) { values_[std::move(name)] = std::move(value); }
  // At most `most` bytes of it, cut between characters of UTF-8, without NUL: for what others said.
  void set_cut(std::string name, std::string_view value, std::size_t most);
  void erase(const std::string& name) { values_.erase(name); }
  [[nodiscard]] const Secret* find(const std::string& name) const;
  [[nodiscard]] const std::map<std::string, Value>& values() const { return values_; }
  [[nodiscard]] std::size_t size() const { return values_.size(); }
  friend bool operator==(const EnvBlock& a, const EnvBlock& b);

  // Refuses (kind render) what execve(2) would: a NUL in a value, a string over 128 KiB
  // (MAX_ARG_STRLEN), all strings and `argv` together over the system's limit. Names the variable.
  // `stack`: the limit of the stack that the program is started with, if it is not ours.
  [[nodiscard]] result<> check(const std::vector<std::string>& argv = {},
                               std::optional<std::uint64_t> stack = {}) const;

 private:
  std::map<std::string, Value> values_;
};

// Everything but keybearer's own credentials: VAULT_TOKEN, VAULT_ROLE_ID, VAULT_SECRET_ID,
// VAULT_JWT, VAULT_PASSWORD and their BAO_ twins. Neither the program nor a hook is given those.
// Nor those of withhold_variables(), and `withheld`.
[[nodiscard]] EnvBlock without_credentials(const EnvBlock& block,
                                           std::span<const std::string> withheld = {});

// Config::credential_variables: variables of ours that went into a credential or a header under
// names of their own (F16). From now on without_credentials() leaves them out, for the program,
// commands, notifications and plugins alike. A later call adds to them: what was a credential once
// may still be one. Any thread.
void withhold_variables(std::span<const std::string> names);

// The block as execve(2) takes it; views into `strings`, which owns it.
struct EnvStrings {
  Secret strings;
  std::vector<char*> pointers;  // ended by a null pointer
};
[[nodiscard]] EnvStrings strings_of(const EnvBlock& block);

}  // namespace keybearer
