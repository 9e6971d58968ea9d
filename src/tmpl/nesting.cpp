#include "tmpl/nesting.hpp"

#include "tmpl/funcs.hpp"

namespace keybearer::tmpl {
namespace {

void walk(const Value& value, const Value* into, int depth) {
  if (!value.is_list() && !value.is_map()) return;
  if (into != nullptr && value.is_same(*into)) throw CallError{"a map can't hold itself"};
  if (depth >= kMostNested)
    throw CallError{"lists and maps are nested more than " + std::to_string(kMostNested) + " deep"};
  if (value.is_list()) {
    for (const Value& item : value.items()) walk(item, into, depth + 1);
  } else {
    for (const auto& entry : value.entries()) walk(entry.value, into, depth + 1);
  }
}

}  // namespace

void check_nesting(const Value& into, const Value& value) {
  walk(value, &into, 1);
}
void check_nesting(const Value& value) {
  walk(value, nullptr, 1);
}

}  // namespace keybearer::tmpl
