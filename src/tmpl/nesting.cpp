#include "tmpl/nesting.hpp"

#include <unordered_map>

#include "tmpl/funcs/funcs.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl {
namespace {

// One list may stand in another many times: each is walked once for each depth it is met at first.
struct Walk {
  const Value* into;
  std::unordered_map<const void*, int> seen = {};  // the deepest so far
};

void walk(const Value& value, Walk& state, int depth) {
  if ((!value.is_list() && !value.is_map()) || value.size() == 0) {
    if (state.into != nullptr && (value.is_list() || value.is_map()) && value.is_same(*state.into))
      throw CallError{"a map can't hold itself"};
    return;
  }
  if (state.into != nullptr && value.is_same(*state.into))
    throw CallError{"a map can't hold itself"};
  if (depth >= kMostParsed)
    throw CallError{"lists and maps are nested more than " + std::to_string(kMostParsed) + " deep"};
  const void* identity = value.is_list() ? static_cast<const void*>(&value.items())
                                         : static_cast<const void*>(&value.entries());
  if (const auto [at, fresh] = state.seen.try_emplace(identity, depth); !fresh) {
    if (at->second >= depth) return;
    at->second = depth;
  }
  spend(50 + value.size());
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
