#pragma once
// The functions that templates call: a sorted table of names with Go-like signatures. A new
// function is one row in a funcs_*.cpp. Argument types are checked, and constants adapted to them,
// in one place (exec.cpp), as Go's reflection does.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "json/value.hpp"

namespace keybearer::tmpl {

class Evaluation;

// What a function's parameter is in Go. `any` takes everything, nil too.
enum class Param : std::uint8_t {
  any,          // interface {}
  string,       // string
  integer,      // int
  int64,        // int64
  uint64,       // uint64
  float64,      // float64
  boolean,      // bool
  any_list,     // []interface {}
  strings,      // []string
  any_map,      // map[string]interface {}
  string_map,   // map[string]string
  time,         // time.Time
  duration,     // time.Duration
  location,     // *time.Location
  uint32,       // uint32: only constants have that type
  version,      // *semver.Version
  certificate,  // sprig.certificate
  merge_option  // func(*mergo.Config): nothing but nil has that type
};
[[nodiscard]] std::string_view param_name(Param param);

using Arguments = std::span<Value>;

struct Function {
  std::string_view name;
  // Returns the result, or throws CallError.
  Value (*call)(Evaluation& evaluation, Arguments arguments);
  std::string_view params;  // a letter each, see below; the last may be variadic
  bool variadic = false;
  bool changes_maps = false;  // changes a map argument in place
  enum class Special : std::uint8_t { none, and_, or_, call } special = Special::none;
};
// Letters in `params`: a any, s string, i int, l int64, u uint64, f float64, b bool, A any_list, S
// strings, M any_map, T string_map, t time, d duration, L location, v uint32, V version, C
// certificate, F merge_option.
[[nodiscard]] Param param_of(char letter);

// "error calling NAME: TEXT".
struct CallError {
  std::string text;
  bool bare = false;         // the text alone, where the last argument was
  bool missing_key = false;  // see TemplateError
  std::string hint = {};     // see TemplateError
};

[[nodiscard]] const Function* find_function(std::string_view name);
[[nodiscard]] std::vector<const Function*> all_functions();
// What a function does with nil when nothing that is nil may be printed (behaviour.md R5): most
// refuse it, some also what holds a nil, for they print it; JSON and YAML write a null that is there;
// a few ask about it or keep it.
enum class NilRule : std::uint8_t { refused, refused_inside, null_taken, taken };
[[nodiscard]] NilRule nil_rule(std::string_view function);
// Whether the nil that a template writes itself (`{{ print nil }}`) would come out as text.
[[nodiscard]] bool prints_nil(std::string_view function);
// Why a name that the reference knows is refused here ("... is a Consul function ..."); empty: not
// known either.
[[nodiscard]] std::string refused_function(std::string_view name);

// A method of json.Number: Float64, Int64, String; nullptr: there is none of that name.
[[nodiscard]] const Function* number_method(std::string_view name);

// The tables, one per file, each sorted by name.
[[nodiscard]] std::span<const Function> builtin_functions();
[[nodiscard]] std::span<const Function> text_functions();
[[nodiscard]] std::span<const Function> data_functions();
[[nodiscard]] std::span<const Function> vault_functions();
[[nodiscard]] std::span<const Function> yaml_functions();  // and TOML
[[nodiscard]] std::span<const Function> time_functions();
[[nodiscard]] std::span<const Function> spew_functions();
[[nodiscard]] std::span<const Function> file_functions();  // writeToFile, plugin, sockaddr

}  // namespace keybearer::tmpl
