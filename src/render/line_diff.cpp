#include "render/line_diff.hpp"

#include <algorithm>
#include <cstdint>

namespace keybearer::render {
namespace {

constexpr std::ptrdiff_t kMostEdits = 1000;  // memory and time grow with its square

using Lines = std::vector<std::string_view>;

// The furthest points per diagonal, for each number of edits; empty: too many are needed.
std::vector<std::vector<std::ptrdiff_t>> search(const Lines& a, const Lines& b, std::size_t first,
                                                std::ptrdiff_t n, std::ptrdiff_t m) {
  std::vector<std::vector<std::ptrdiff_t>> trace;
  std::vector<std::ptrdiff_t> furthest(static_cast<std::size_t>(2 * kMostEdits + 3));
  const auto at = [&furthest](std::ptrdiff_t k) -> std::ptrdiff_t& {
    return furthest[static_cast<std::size_t>(k + kMostEdits + 1)];
  };
  for (std::ptrdiff_t d = 0; d <= kMostEdits; ++d) {
    for (std::ptrdiff_t k = -d; k <= d; k += 2) {
      const bool down = k == -d || (k != d && at(k - 1) < at(k + 1));
      std::ptrdiff_t x = down ? at(k + 1) : at(k - 1) + 1;
      while (x < n && x - k < m && x - k >= 0 &&
             a[first + static_cast<std::size_t>(x)] == b[first + static_cast<std::size_t>(x - k)])
        ++x;
      at(k) = x;
      if (x >= n && x - k >= m) {
        trace.emplace_back(furthest.begin() + (kMostEdits + 1 - d - 1),
                           furthest.begin() + (kMostEdits + 1 + d + 2));
        return trace;
      }
    }
    trace.emplace_back(furthest.begin() + (kMostEdits + 1 - d - 1),
                       furthest.begin() + (kMostEdits + 1 + d + 2));
  }
  return {};
}

// Back along the trace: the middle's edits, the last first.
std::vector<Edit> walk_back(const std::vector<std::vector<std::ptrdiff_t>>& trace,
                            std::size_t first, std::ptrdiff_t x, std::ptrdiff_t y) {
  std::vector<Edit> edits;
  const auto add = [&](Edit::Kind kind) {
    edits.push_back(
        {kind, first + static_cast<std::size_t>(x), first + static_cast<std::size_t>(y)});
  };
  for (auto d = static_cast<std::ptrdiff_t>(trace.size()) - 1; d > 0; --d) {
    const auto& before = trace[static_cast<std::size_t>(d - 1)];  // diagonals -d .. d
    const auto at = [&](std::ptrdiff_t k) { return before[static_cast<std::size_t>(k + d)]; };
    const std::ptrdiff_t k = x - y;
    const bool down = k == -d || (k != d && at(k - 1) < at(k + 1));
    const std::ptrdiff_t from_k = down ? k + 1 : k - 1;
    const std::ptrdiff_t after_edit = at(from_k) + (down ? 0 : 1);
    while (x > after_edit) {
      --x, --y;
      add(Edit::Kind::keep);
    }
    if (down)
      --y;
    else
      --x;
    add(down ? Edit::Kind::add : Edit::Kind::remove);
  }
  while (x > 0 && y > 0) {
    --x, --y;
    add(Edit::Kind::keep);
  }
  std::ranges::reverse(edits);
  return edits;
}

// Between two kept lines, removals first.
void order(std::vector<Edit>& edits) {
  std::vector<Edit> ordered, added;
  const auto flush = [&] {
    ordered.insert(ordered.end(), added.begin(), added.end());
    added.clear();
  };
  for (const Edit& edit : edits) {
    if (edit.kind == Edit::Kind::keep) flush();
    (edit.kind == Edit::Kind::add ? added : ordered).push_back(edit);
  }
  flush();
  edits = std::move(ordered);
}

}  // namespace

std::vector<std::string_view> lines_of(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

std::vector<Edit> line_diff(const Lines& before, const Lines& after) {
  std::size_t head = 0, tail = 0;
  const std::size_t shorter = std::min(before.size(), after.size());
  while (head < shorter && before[head] == after[head]) ++head;
  while (tail < shorter - head && before.end()[-1 - static_cast<std::ptrdiff_t>(tail)] ==
                                      after.end()[-1 - static_cast<std::ptrdiff_t>(tail)])
    ++tail;
  const std::size_t n = before.size() - head - tail, m = after.size() - head - tail;

  std::vector<Edit> edits;
  for (std::size_t i = 0; i < head; ++i) edits.push_back({Edit::Kind::keep, i, i});
  const auto trace =
      search(before, after, head, static_cast<std::ptrdiff_t>(n), static_cast<std::ptrdiff_t>(m));
  if (trace.empty()) {
    for (std::size_t i = 0; i < n; ++i) edits.push_back({Edit::Kind::remove, head + i, head});
    for (std::size_t i = 0; i < m; ++i) edits.push_back({Edit::Kind::add, head + n, head + i});
  } else {
    const auto middle =
        walk_back(trace, head, static_cast<std::ptrdiff_t>(n), static_cast<std::ptrdiff_t>(m));
    edits.insert(edits.end(), middle.begin(), middle.end());
  }
  for (std::size_t i = 0; i < tail; ++i)
    edits.push_back({Edit::Kind::keep, head + n + i, head + m + i});
  order(edits);
  return edits;
}

}  // namespace keybearer::render
