#pragma once
// The keys of the auth methods as data: one table per method (or per group of methods with the same
// keys), in config/methods/NAME.cpp, which registers itself. Reading, environment, command line,
// validation, masking, --show and --help loop over the tables; no other file names a key.
//
//     constexpr MethodKey kKeys[] = {{.name = "role", .required = true}, ...};
//     const MethodSpec spec{{.type = "jwt", .keys = kKeys}};
//
// Source: the configuration's reference, [auto_auth.method].

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"

namespace keybearer::config {

// A value that a key may have. One that Vault Agent knows and keybearer does not says why.
struct MethodChoice {
  std::string_view value;
  std::string_view refused = {};
};

struct MethodKey {
  // variable: the name of an environment variable that holds the value of `instead_of`.
  // period: a time, or a bare number of seconds; the method gets it as text.
  enum class Type { text, secret, file, boolean, variable, period };

  std::string_view name;
  Type type = Type::text;
  std::string_view instead_of =
      {};                 // this file (variable) holds the value of that key: one of both
  bool required = false;  // it, or a file that holds it
  std::span<const char* const> variables = {};  // of the environment; the first that is set counts
  bool chooses = false;  // its variable chooses the method where none is configured
  std::string_view flag = {}, flag_help = {};
  std::string_view missing = {};              // added to the error when it is required and missing
  std::string_view fallback = {};             // its default
  std::string Vault::* stands_for = nullptr;  // vault's own key, where this one is set
  bool on = false;                            // a boolean's default
  std::string_view removes = {};  // a boolean: the file of that key is removed when it has served
  std::span<const MethodChoice> choices = {};  // of a text; none: any value
  std::string_view (*wrong)(std::string_view value) =
      nullptr;                    // why a text or secret can't be; "": it can
  bool used_up_by_login = false;  // where it is set (a boolean: on), a login uses the credential up
  std::string_view supplies = {};  // a boolean: on, that key's value comes from somewhere else
  std::string_view excludes = {};  // not both of them
  bool duration = false;           // a text that is a time: "14m"
};

class MethodSpec {
 public:
  struct Data {
    std::string_view type;
    std::span<const MethodKey> keys;
    std::span<const MethodChoice> refused =
        {};  // keys of Vault Agent's, and why they are none here
    std::span<const char* const> credentials = {};  // variables that the method itself reads
    int rank = 0;  // among methods that the environment chooses: the lowest first
  };
  // Only for objects of static storage duration.
  explicit MethodSpec(Data data) noexcept : data_(data), next_(first_) { first_ = this; }
  MethodSpec(const MethodSpec&) = delete;
  MethodSpec& operator=(const MethodSpec&) = delete;

  [[nodiscard]] std::string_view type() const { return data_.type; }
  [[nodiscard]] std::span<const MethodKey> keys() const { return data_.keys; }
  [[nodiscard]] std::span<const MethodChoice> refused() const { return data_.refused; }
  // Of the environment: withheld from the program (F16), like those of the keys.
  [[nodiscard]] std::span<const char* const> credentials() const { return data_.credentials; }
  [[nodiscard]] int rank() const { return data_.rank; }
  [[nodiscard]] const MethodKey* key(std::string_view name) const;
  // The file that may hold the value of `key`, or null.
  [[nodiscard]] const MethodKey* file_of(const MethodKey& key) const;
  // The boolean that, when it is on, makes `key` unnecessary, or null.
  [[nodiscard]] const MethodKey* supplier_of(const MethodKey& key) const;
  // The name of a variable that holds the value of `key`, or null.
  [[nodiscard]] const MethodKey* variable_of(const MethodKey& key) const;
  // The boolean that has the file of `key` removed, or null.
  [[nodiscard]] const MethodKey* remover_of(std::string_view key) const;

  // Sorted by type. Null: no such method.
  [[nodiscard]] static std::vector<const MethodSpec*> all();
  [[nodiscard]] static const MethodSpec* find(std::string_view type);

 private:
  [[nodiscard]] const MethodKey* substitute_of(const MethodKey& key, MethodKey::Type type) const;

  Data data_;
  const MethodSpec* next_;
  static inline constinit const MethodSpec* first_ = nullptr;
};

// `"approle", "token" or "token_file"`, for errors.
[[nodiscard]] std::string method_types();

// "; keybearer removes it after a login unless KEY = false", where that may be why the file of
// `key` is missing; else "".
[[nodiscard]] std::string removal_hint(const Method& method, std::string_view key);

}  // namespace keybearer::config
