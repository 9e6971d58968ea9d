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
std::uint64_t front_of(const SortItem& item, std::size_t at) {
  if (item.size <= at) return 0;
  const std::size_t left = item.size - at;
  std::uint64_t eight = 0;
  std::memcpy(&eight, item.text + at, std::min(left, kEight));
  return std::byteswap(eight);
}
static_assert(std::endian::native == std::endian::little);

bool is_before(const SortItem& a, const SortItem& b, std::size_t at) {
  if (a.front != b.front) return a.front < b.front;
  const std::size_t from = at + kEight;
  const auto rest = [from](const SortItem& item) {
    return std::string_view(item.text, item.size).substr(std::min<std::size_t>(from, item.size));
  };
  const int which = rest(a).compare(rest(b));
  if (which != 0) return which < 0;
  // What ends among zeros is before what has them.
  return a.size != b.size ? a.size < b.size : a.index < b.index;
}

// By the bytes of `front`, last to first; those that are the same in all are passed over.
void radix_sort(std::span<SortItem> items, SortItem* other) {
  constexpr std::size_t kValues = 256;
  std::uint64_t all = ~std::uint64_t{0}, any = 0;
  for (const SortItem& item : items) {
    all &= item.front;
    any |= item.front;
  }
  const std::uint64_t differs = all ^ any;
  SortItem* from = items.data();
  SortItem* to = other;
  for (unsigned shift = 0; shift < 64; shift += 8) {
    if ((differs >> shift & 0xFF) == 0) continue;
    std::array<std::uint32_t, kValues> places{};
    for (std::size_t i = 0; i < items.size(); ++i) ++places[from[i].front >> shift & 0xFF];
    std::uint32_t sum = 0;
    for (std::uint32_t& place : places) place = (sum += place) - place;
    for (std::size_t i = 0; i < items.size(); ++i)
      to[places[from[i].front >> shift & 0xFF]++] = from[i];
    std::swap(from, to);
  }
  if (from != items.data()) std::copy_n(from, items.size(), items.data());
}

}  // namespace

// Runs of items that are equal so far, and from which byte on they are to be compared.
void sort_items(std::vector<SortItem>& all, void (*progress)(std::size_t)) {
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
    bool sorted = run.at == 0;  // later on that is no news
    for (SortItem& item : items) {
      item.front = front_of(item, run.at);
      sorted = sorted && (&item == items.data() || is_before((&item)[-1], item, run.at));
    }
    progress(10 * items.size());
    if (sorted) continue;
    const auto by_rest = [&run](const SortItem& a, const SortItem& b) {
      return is_before(a, b, run.at);
    };
    if (items.size() < kFew) {
      std::ranges::sort(items, by_rest);
      progress(50 * items.size());
      continue;
    }
    if (other == nullptr) other = std::make_unique_for_overwrite<SortItem[]>(all.size());
    radix_sort(items, other.get());
    progress(50 * items.size());
    for (std::size_t begin = 0; begin < items.size();) {
      std::size_t end = begin + 1;
      bool more = items[begin].size > run.at + kEight, differ = false;
      for (; end < items.size() && items[end].front == items[begin].front; ++end) {
        more = more || items[end].size > run.at + kEight;
        differ = differ || items[end].size != items[begin].size;
      }
      // What is equal is in the order it had.
      if (end - begin > 1 && more)
        runs.push_back({run.begin + begin, run.begin + end, run.at + kEight});
      else if (differ)  // in zeros at the end
        std::ranges::sort(items.subspan(begin, end - begin), by_rest);
      begin = end;
    }
  }
}

}  // namespace keybearer
