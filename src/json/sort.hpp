#pragma once
// Many texts in order, bytewise.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace keybearer {

// A text by its next eight bytes.
struct SortItem {
  std::uint64_t front;
  std::uint32_t index;
};
// Sorts; what is equal stays in the order of `index`. `progress` is told how much was done, and may
// throw.
void sort_items(std::vector<SortItem>& items, const std::string_view* texts,
                void (*progress)(std::size_t));

// The numbers of `count` texts in their order; of equal ones the first first.
template <class TextAt>
[[nodiscard]] std::vector<std::uint32_t> sorted_order(
    std::size_t count, TextAt text_at, void (*progress)(std::size_t) = [](std::size_t) {}) {
  std::vector<std::string_view> texts;
  std::vector<SortItem> items;
  texts.reserve(count);
  items.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    texts.push_back(text_at(i));
    items.push_back({0, static_cast<std::uint32_t>(i)});
  }
  sort_items(items, texts.data(), progress);
  std::vector<std::uint32_t> out;
  out.reserve(count);
  for (const SortItem& item : items) out.push_back(item.index);
  return out;
}

}  // namespace keybearer
