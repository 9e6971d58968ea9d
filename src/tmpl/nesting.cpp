#include "tmpl/nesting.hpp"

#include "tmpl/funcs/funcs.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl {
namespace {

// One list may stand in another many times: what is walked is counted, not what there is. What
// walks it later (to compare, copy or print it) walks no more than that.
struct Walk {
  const Value* into;
  std::size_t left = kMostItems;
};

void walk(const Value& value, Walk& state, int depth) {
  if (!value.is_list() && !value.is_map()) return;
  if (value.size() >= state.left)
    throw CallError{"lists and maps hold more than " + std::to_string(kMostItems) + " values"};
  state.left -= value.size();
  if (state.into != nullptr && value.is_same(*state.into))
    throw CallError{"a map can't hold itself"};
  if (depth >= kMostParsed)
    throw CallError{"lists and maps are nested more than " + std::to_string(kMostParsed) + " deep"};
  spend(5 + 2 * value.size());
  if (value.is_list()) {
    for (const Value& item : value.items()) walk(item, state, depth + 1);
  } else {
    for (const auto& entry : value.entries()) walk(entry.value, state, depth + 1);
  }
}

}  // namespace

void check_depth(int depth, const char* what) {
  constexpr std::size_t kReserve = 1u << 20;  // of what an evaluation may use, kept for functions
  if (depth > kMostNested && (depth > kMostParsed || detail::working == nullptr ||
                              detail::working->stack().is_used_up(kReserve)))
    throw CallError{std::string("lists and maps are nested too deeply ") + what};
}
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
