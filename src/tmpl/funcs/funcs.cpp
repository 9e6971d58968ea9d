#include "tmpl/funcs/funcs.hpp"

#include <algorithm>
#include <array>

#include "tmpl/sprig/sprig.hpp"

namespace keybearer::tmpl {
namespace {

constexpr std::string_view kConsul[] = {"byKey",
                                        "byMeta",
                                        "byPort",
                                        "byTag",
                                        "caLeaf",
                                        "caRoots",
                                        "connect",
                                        "datacenters",
                                        "explode",
                                        "exportedServices",
                                        "importedServices",
                                        "key",
                                        "keyExists",
                                        "keyOrDefault",
                                        "ls",
                                        "node",
                                        "nodes",
                                        "partitions",
                                        "peerings",
                                        "safeLs",
                                        "safeTree",
                                        "service",
                                        "services",
                                        "tree"};
constexpr std::string_view kNomad[] = {"nomadService",   "nomadServices", "nomadVar",
                                       "nomadVarExists", "nomadVarList",  "nomadVarListSafe"};

}  // namespace

Param param_of(char letter) {
  switch (letter) {
    case 's':
      return Param::string;
    case 'i':
      return Param::integer;
    case 'l':
      return Param::int64;
    case 'u':
      return Param::uint64;
    case 'f':
      return Param::float64;
    case 'b':
      return Param::boolean;
    case 'A':
      return Param::any_list;
    case 'S':
      return Param::strings;
    case 'M':
      return Param::any_map;
    case 'T':
      return Param::string_map;
    case 't':
      return Param::time;
    case 'd':
      return Param::duration;
    case 'L':
      return Param::location;
    case 'v':
      return Param::uint32;
    case 'V':
      return Param::version;
    case 'C':
      return Param::certificate;
    case 'F':
      return Param::merge_option;
    default:
      return Param::any;
  }
}

std::string_view param_name(Param param) {
  switch (param) {
    case Param::any:
      return "interface {}";
    case Param::string:
      return "string";
    case Param::integer:
      return "int";
    case Param::int64:
      return "int64";
    case Param::uint64:
      return "uint64";
    case Param::float64:
      return "float64";
    case Param::boolean:
      return "bool";
    case Param::any_list:
      return "[]interface {}";
    case Param::strings:
      return "[]string";
    case Param::any_map:
      return "map[string]interface {}";
    case Param::string_map:
      return "map[string]string";
    case Param::time:
      return "time.Time";
    case Param::duration:
      return "time.Duration";
    case Param::location:
      return "*time.Location";
    case Param::uint32:
      return "uint32";
    case Param::version:
      return "*semver.Version";
    case Param::certificate:
      return "sprig.certificate";
    case Param::merge_option:
      return "func(*mergo.Config)";
  }
  return {};
}

namespace {

std::array<std::span<const Function>, 17> all_tables() {
  return {builtin_functions(),       text_functions(),        data_functions(),
          vault_functions(),         yaml_functions(),        time_functions(),
          spew_functions(),          file_functions(),        sprig::crypto_functions(),
          sprig::date_functions(),   sprig::dict_functions(), sprig::list_functions(),
          sprig::number_functions(), sprig::path_functions(), sprig::pattern_functions(),
          sprig::text_functions(),   sprig::type_functions()};
}

// All functions by a hash of their names, made at the first look-up.
class Index {
 public:
  Index() {
    for (const auto table : all_tables()) {
      for (const Function& function : table) *slot(function.name) = &function;
    }
  }
  // The function's place, or the free one where it would be.
  const Function** slot(std::string_view name) {
    std::size_t hash = 0;
    for (const char c : name) hash = hash * 31 + static_cast<unsigned char>(c);
    for (;; ++hash) {
      const Function*& at = slots_[hash % slots_.size()];
      if (at == nullptr || at->name == name) return &at;
    }
  }

 private:
  std::array<const Function*, 1024> slots_{};  // three times as many as functions
};

}  // namespace

const Function* find_function(std::string_view name) {
  static Index index;
  return *index.slot(name);
}

std::vector<const Function*> all_functions() {
  std::vector<const Function*> out;
  for (const auto table : all_tables()) {
    for (const Function& function : table) out.push_back(&function);
  }
  return out;
}

NilRule nil_rule(std::string_view function) {
  constexpr std::string_view kTaken[] = {"and",
                                         "eq",
                                         "executeTemplate",
                                         "ne",
                                         "not",
                                         "or",
                                         "spew_dump",
                                         "spew_printf",
                                         "spew_sdump",
                                         "spew_sprintf",
                                         "sprig_all",
                                         "sprig_any",
                                         "sprig_append",
                                         "sprig_coalesce",
                                         "sprig_compact",
                                         "sprig_deepCopy",
                                         "sprig_deepEqual",
                                         "sprig_default",
                                         "sprig_dict",
                                         "sprig_dig",
                                         "sprig_empty",
                                         "sprig_has",
                                         "sprig_kindIs",
                                         "sprig_kindOf",
                                         "sprig_list",
                                         "sprig_mustAppend",
                                         "sprig_mustCompact",
                                         "sprig_mustDeepCopy",
                                         "sprig_mustHas",
                                         "sprig_mustPrepend",
                                         "sprig_mustPush",
                                         "sprig_mustUniq",
                                         "sprig_mustWithout",
                                         "sprig_pluck",
                                         "sprig_prepend",
                                         "sprig_push",
                                         "sprig_set",
                                         "sprig_ternary",
                                         "sprig_tuple",
                                         "sprig_typeIs",
                                         "sprig_typeIsLike",
                                         "sprig_typeOf",
                                         "sprig_uniq",
                                         "sprig_without"};
  constexpr std::string_view kPrint[] = {
      "html",       "js",          "print",        "printf",         "println",         "sprig_cat",
      "sprig_join", "sprig_quote", "sprig_squote", "sprig_toString", "sprig_toStrings", "urlquery"};
  constexpr std::string_view kNull[] = {"sprig_mustToJson",
                                        "sprig_mustToPrettyJson",
                                        "sprig_mustToRawJson",
                                        "sprig_toJson",
                                        "sprig_toPrettyJson",
                                        "sprig_toRawJson",
                                        "toJSON",
                                        "toJSONPretty",
                                        "toUnescapedJSON",
                                        "toUnescapedJSONPretty",
                                        "toYAML"};
  static_assert(std::ranges::is_sorted(kTaken) && std::ranges::is_sorted(kNull) &&
                std::ranges::is_sorted(kPrint));
  if (std::ranges::binary_search(kTaken, function)) return NilRule::taken;
  if (std::ranges::binary_search(kNull, function)) return NilRule::null_taken;
  return std::ranges::binary_search(kPrint, function) ? NilRule::refused_inside : NilRule::refused;
}

bool prints_nil(std::string_view function) {
  constexpr std::string_view kPrinters[] = {
      "html",        "js",         "print",           "printf",
      "println",     "sprig_dict", "sprig_sortAlpha", "sprig_toString",
      "sprig_typeOf"};
  static_assert(std::ranges::is_sorted(kPrinters));
  return std::ranges::binary_search(kPrinters, function);
}

std::string refused_function(std::string_view name) {
  const std::string quoted = "\"" + std::string(name) + "\"";
  if (std::ranges::find(kConsul, name) != std::end(kConsul)) {
    return "function " + quoted + " is a Consul function; keybearer reads Vault and OpenBao only";
  }
  if (std::ranges::find(kNomad, name) != std::end(kNomad)) {
    return "function " + quoted + " is a Nomad function; keybearer reads Vault and OpenBao only";
  }
  return {};
}

}  // namespace keybearer::tmpl
