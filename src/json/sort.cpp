#include "json/sort.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

namespace keybearer {
namespace {

constexpr std::size_t kEight = 8;

// The bytes from `at` on, the first highest; behind the end zeros.
std::uint64_t front_of(std::string_view text, std::size_t at) {
  if (text.size() <= at) return 0;
  std::uint64_t eight = 0;
  if (text.size() - at >= kEight) {
    std::memcpy(&eight, text.data() + at, kEight);
  } else {
    std::memcpy(&eight, text.data() + at, text.size() - at);
  }
  return std::byteswap(eight);
}
static_assert(std::endian::native == std::endian::little);

// By the bytes of `front`, last to first; those that are the same in all are passed over.
void radix_sort(std::span<SortItem> items, SortItem* other) {
  constexpr std::size_t kValues = 256;
  std::array<std::array<std::uint32_t, kValues>, kEight> places{};
  for (const SortItem& item : items) {
    for (std::size_t byte = 0; byte < kEight; ++byte) ++places[byte][item.front >> 8 * byte & 0xFF];
  }
  SortItem* from = items.data();
  SortItem* to = other;
  for (std::size_t byte = 0; byte < kEight; ++byte) {
    auto& place = places[byte];
    const auto value = [byte](const SortItem& item) { return item.front >> 8 * byte & 0xFF; };
    if (place[value(items.front())] == items.size()) continue;
    std::uint32_t sum = 0;
    for (std::uint32_t& at : place) at = (sum += at) - at;
    for (std::size_t i = 0; i < items.size(); ++i) to[place[value(from[i])]++] = from[i];
    std::swap(from, to);
  }
  if (from != items.data()) std::copy_n(from, items.size(), items.data());
}

}  // namespace

// Runs of items that are equal so far, and from which byte on they are to be compared.
void sort_items(std::vector<SortItem>& all, const std::string_view* texts,
                void (*progress)(std::size_t)) {
  constexpr std::size_t kFew = 128;
  struct Run {
    std::size_t begin, end, at;
  };
  std::vector<Run> runs = {{0, all.size(), 0}};
  std::unique_ptr<SortItem[]> other;
  while (!runs.empty()) {
    const Run run = runs.back();
    runs.pop_back();
    const std::span items(all.data() + run.begin, run.end - run.begin);
    const auto is_before = [texts, from = run.at + kEight](const SortItem& a, const SortItem& b) {
      if (a.front != b.front) return a.front < b.front;
      const std::string_view first = texts[a.index], second = texts[b.index];
      const int which = first.substr(std::min(from, first.size()))
                            .compare(second.substr(std::min(from, second.size())));
      if (which != 0) return which < 0;
      // What ends among zeros is before what has them.
      return first.size() != second.size() ? first.size() < second.size() : a.index < b.index;
    };
    bool sorted = run.at == 0;  // later on that is no news
    for (SortItem& item : items) {
      item.front = front_of(texts[item.index], run.at);
      sorted = sorted && (&item == items.data() || is_before((&item)[-1], item));
    }
    progress(10 * items.size());
    if (sorted) continue;
    if (items.size() < kFew) {
      std::ranges::sort(items, is_before);
      progress(50 * items.size());
      continue;
    }
    if (other == nullptr) other = std::make_unique_for_overwrite<SortItem[]>(all.size());
    radix_sort(items, other.get());
    progress(50 * items.size());
    for (std::size_t begin = 0; begin < items.size();) {
      const std::size_t size = texts[items[begin].index].size();
      std::size_t end = begin + 1;
      bool more = size > run.at + kEight, differ = false;
      for (; end < items.size() && items[end].front == items[begin].front; ++end) {
        const std::size_t other_size = texts[items[end].index].size();
        more = more || other_size > run.at + kEight;
        differ = differ || other_size != size;
      }
      // What is equal is in the order it had.
      if (end - begin > 1 && more)
        runs.push_back({run.begin + begin, run.begin + end, run.at + kEight});
      else if (differ)  // in zeros at the end
        std::ranges::sort(items.subspan(begin, end - begin), is_before);
      begin = end;
    }
  }
}

}  // namespace keybearer
