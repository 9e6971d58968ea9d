#pragma once
// Many texts in order, bytewise.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace keybearer {

// A text by its next eight bytes, and what it is of.
struct SortItem {
  std::uint64_t front;
  std::uint32_t index, size;
  const char* text;
};
// Sorts; what is equal stays in the order of `index`. `progress` is told how many items were looked
// at, and may throw.
void sort_items(std::vector<SortItem>& items, void (*progress)(std::size_t));

// The numbers of `count` texts in their order; of equal ones the first first.
template <class TextAt>
[[nodiscard]] std::vector<std::uint32_t> sorted_order(
    std::size_t count, TextAt text_at, void (*progress)(std::size_t) = [](std::size_t) {}) {
  std::vector<SortItem> items;
  items.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view text = text_at(i);
    items.push_back(
        {0, static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(text.size()), text.data()});
  }
  sort_items(items, progress);
  std::vector<std::uint32_t> out;
  out.reserve(count);
  for (const SortItem& item : items) out.push_back(item.index);
  return out;
}

}  // namespace keybearer
