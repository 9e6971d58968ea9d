#pragma once
// The blocks on the heap that values point to: private to value.cpp and value_map.cpp.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "json/value.hpp"

namespace keybearer {

// What lies behind the Head of each kind of block. A text's characters follow it, but for a long
// one's. A packed list's or map's values follow it; one that moved
// out (kThawed) has a pointer to its own list or map there.
struct Value::Integer : Head {
  std::int64_t i;
};
struct Value::Complex : Head {
  double re, im;
};
struct Value::LongText : Head {
  std::string text;
};
struct Value::Items : Head {
  List items;
};
// Entries are sorted where they are looked at as a whole. Between that and the last insertion they
// are a few sorted runs, each less than half as long as the one before: an insertion costs O(log n)
// moves on average and a look-up O(log² n) comparisons, in whatever order the keys come.
struct Value::Map {
  std::vector<Entry> entries = {};
  std::unique_ptr<std::vector<std::size_t>> starts =
      {};  // of the runs but the first; null: one run
};
struct Value::OwnMap : Head {
  Map map;
};
struct Value::Held : Head {
  std::shared_ptr<Object> object;
};

}  // namespace keybearer
