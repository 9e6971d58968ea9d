#pragma once
// How much room Go's runtime gives a slice that grows: a list's room shows when it is dumped
// (spew: "cap=4") and when it is sliced beyond its end.
//
// Source: Go 1.26 runtime, growslice and its size classes, on 64-bit machines.

#include <cstddef>

namespace keybearer {

struct GoElement {
  std::size_t bytes = 16;  // an interface or a string
  bool pointers = true;
};

// The room of a slice of room `have` when it must hold `need`.
[[nodiscard]] std::size_t go_grown(std::size_t have, std::size_t need, GoElement element = {});
// The room after `count` elements were appended one by one to a slice of room `have`.
[[nodiscard]] std::size_t go_appended(std::size_t count, std::size_t have = 0,
                                      GoElement element = {});

}  // namespace keybearer
