#include "tmpl/nesting.hpp"

#include "tmpl/funcs/funcs.hpp"

namespace keybearer::tmpl {
namespace {

// One list may stand in another many times: what is walked is counted, not what there is.
struct Walk {
  const Value* into;
  std::size_t left = kMostValues;
};

void walk(const Value& value, Walk& state, int depth) {
  if (!value.is_list() && !value.is_map()) return;
  const Value* into = state.into;
  if (value.size() >= state.left)
    throw CallError{"lists and maps hold more than " + std::to_string(kMostValues) + " values"};
  state.left -= value.size();
  if (into != nullptr && value.is_same(*into)) throw CallError{"a map can't hold itself"};
  if (depth >= kMostNested)
    throw CallError{"lists and maps are nested more than " + std::to_string(kMostNested) + " deep"};
  if (value.is_list()) {
    for (const Value& item : value.items()) walk(item, state, depth + 1);
  } else {
    for (const auto& entry : value.entries()) walk(entry.value, state, depth + 1);
  }
}

}  // namespace

void check_size(const std::string& text) {
  if (text.size() > kMostText) throw CallError{"the text is larger than 64 MiB"};
}
void check_nesting(const Value& into, const Value& value) {
  Walk state{&into};
  walk(value, state, 1);
}
void check_nesting(const Value& value) {
  Walk state{nullptr};
  walk(value, state, 1);
}

}  // namespace keybearer::tmpl
