// The maps of Value: sorted by key, cheap to build in any order.

#include <algorithm>
#include <compare>
#include <iterator>
#include <memory>
#include <new>

#include "json/value.hpp"
#include "json/value_parts.hpp"

namespace keybearer {
namespace {

// Go's internal/fmtsort for keys of one map: nil, then by the addresses of the types in the
// reference's program, then by value; text bytewise.
int rank(Type type) {
  switch (type) {
    case Type::nil:
      return 0;
    case Type::uint64:
    case Type::byte:
      return 2;
    case Type::integer:
    case Type::int64:
      return 3;
    case Type::float64:
      return 4;
    case Type::boolean:
      return 5;
    default:
      return 1;
  }
}

std::strong_ordering compare_keys(const Value& a, const Value& b) {
  if (a.is_text() && b.is_text()) return a.as_text() <=> b.as_text();
  if (rank(a.type()) != rank(b.type())) return rank(a.type()) <=> rank(b.type());
  switch (rank(a.type())) {
    case 2:
      return a.as_uint() <=> b.as_uint();
    case 3:
    case 5:
      return a.as_int() <=> b.as_int();
    case 4:
      return std::strong_order(a.as_double(), b.as_double());
    default:
      return std::strong_ordering::equal;
  }
}

constexpr auto kBefore = [](const Value::Entry& entry, const Value& key) {
  return compare_keys(entry.key, key) < 0;
};
constexpr auto kBeforeText = [](const Value::Entry& entry, std::string_view key) {
  return entry.key.is_text() ? entry.key.as_text() < key : entry.key.is_nil();
};

// What `look` finds in one of the runs of a map; the newest ones are the shortest.
template <class Map, class Look>
auto find_in(Map& map, const Look& look) {
  auto end = map.entries.end();
  if (map.starts != nullptr) {
    for (std::size_t run = map.starts->size(); run-- > 0;) {
      const auto begin = map.entries.begin() + static_cast<std::ptrdiff_t>((*map.starts)[run]);
      if (auto* found = look(begin, end)) return found;
      end = begin;
    }
  }
  return look(map.entries.begin(), end);
}

template <class It>
auto find_among(It begin, It end, const Value& key) {
  const auto at = std::lower_bound(begin, end, key, kBefore);
  return at != end && compare_keys(at->key, key) == 0 ? &*at : nullptr;
}

template <class Map>
auto find_entry(Map& map, const Value& key) {
  if (key.is_text()) {
    return find_in(map, [text = key.as_text()](auto begin, auto end) {
      const auto at = std::lower_bound(begin, end, text, kBeforeText);
      return at != end && at->key.is_text() && at->key.as_text() == text ? &*at : nullptr;
    });
  }
  return find_in(map, [&key](auto begin, auto end) { return find_among(begin, end, key); });
}

// Merges the sorted entries from `right` on into those from `left` on.
void merge_tail(std::vector<Value::Entry>& all, std::size_t left, std::size_t right) {
  std::vector<Value::Entry> tail(std::make_move_iterator(all.begin() + static_cast<long>(right)),
                                 std::make_move_iterator(all.end()));
  std::size_t out = all.size(), from = right;
  while (!tail.empty()) {
    const bool larger = from > left && compare_keys(all[from - 1].key, tail.back().key) > 0;
    all[--out] = larger ? std::move(all[--from]) : std::move(tail.back());
    if (!larger) tail.pop_back();
  }
}

// Makes one run of the runs from `first` on (0 is the first one).
template <class Map>
void merge_runs(Map& map, std::size_t first) {
  while (map.starts->size() > first) {
    const std::size_t last = map.starts->size();
    merge_tail(map.entries, last > 1 ? (*map.starts)[last - 2] : 0, map.starts->back());
    map.starts->pop_back();
  }
  if (map.starts->empty()) map.starts.reset();
}

// After an insertion: no run is longer than half of the one before.
template <class Map>
void balance_runs(Map& map) {
  if (map.starts == nullptr) return;
  const auto start = [&map](std::size_t run) { return run == 0 ? 0 : (*map.starts)[run - 1]; };
  std::size_t first = map.starts->size();
  while (first > 0 && 2 * (map.entries.size() - start(first)) > start(first) - start(first - 1)) {
    --first;
  }
  if (first < map.starts->size()) merge_runs(map, first);
}

}  // namespace

Value::Map* Value::own_map() const noexcept {
  if (!counted() || head()->size < kThawed) return nullptr;
  Head* const block = head();
  if (block->size == kOwn) return &static_cast<OwnMap*>(block)->map;
  return *reinterpret_cast<Map**>(block + 1);
}

Value::Map& Value::map_to_change() {
  if (!counted()) *this = map(type());
  if (Map* own = own_map()) return *own;
  Head* const block = head();
  const std::span<Entry> packed(reinterpret_cast<Entry*>(block + 1), block->size);
  auto out = std::make_unique<Map>();
  out->entries.assign(std::make_move_iterator(packed.begin()),
                      std::make_move_iterator(packed.end()));
  std::ranges::destroy(packed);
  block->size = kThawed;
  return **new (block + 1) Map*(out.release());
}

std::span<const Value::Entry> Value::entries() const noexcept {
  if (Map* own = own_map()) {
    if (own->starts != nullptr) merge_runs(*own, 0);
    return own->entries;
  }
  if (!counted()) return {};
  const Head* const block = head();
  return {reinterpret_cast<const Entry*>(block + 1), block->size};
}

const Value* Value::find(std::string_view key) const noexcept {
  if (!is_map() || !counted()) return nullptr;
  const auto look = [key](auto begin, auto end) {
    const auto at = std::lower_bound(begin, end, key, kBeforeText);
    return at != end && at->key.is_text() && at->key.as_text() == key ? &*at : nullptr;
  };
  const Map* const own = own_map();
  const Entry* const found =
      own != nullptr ? find_in(*own, look) : look(entries().begin(), entries().end());
  return found == nullptr ? nullptr : &found->value;
}

const Value* Value::find_key(const Value& key) const noexcept {
  if (!is_map() || !counted()) return nullptr;
  const Map* const own = own_map();
  const Entry* const found =
      own != nullptr ? find_entry(*own, key) : find_among(entries().begin(), entries().end(), key);
  return found == nullptr ? nullptr : &found->value;
}

void Value::set_key(const Value& key, Value value) {
  Map& map = map_to_change();
  auto& all = map.entries;
  if (!all.empty() && compare_keys(all.back().key, key) >= 0) {
    if (Entry* known = find_entry(map, key)) {
      known->value = std::move(value);
      return;
    }
    if (map.starts == nullptr) map.starts = std::make_unique<std::vector<std::size_t>>();
    map.starts->push_back(all.size());
  } else if (map.starts != nullptr) {
    if (Entry* known = find_entry(map, key)) {  // in another run
      known->value = std::move(value);
      return;
    }
  }
  all.push_back(Entry{key, std::move(value)});
  balance_runs(map);
}

bool Value::erase(const Value& key) {
  Map& map = map_to_change();
  auto& all = map.entries;
  const Entry* found = find_entry(map, key);
  if (found == nullptr) return false;
  const auto index = static_cast<std::size_t>(found - all.data());
  all.erase(all.begin() + static_cast<std::ptrdiff_t>(index));
  if (map.starts == nullptr) return true;
  for (std::size_t& start : *map.starts) start -= start > index ? 1 : 0;
  return true;
}

void Value::adopt(std::vector<Entry> sorted) {
  map_to_change().entries = std::move(sorted);
}

void Value::append_sorted(Value key, Value value) {
  map_to_change().entries.push_back(Entry{std::move(key), std::move(value)});
}

}  // namespace keybearer
