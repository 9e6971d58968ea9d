#pragma once
// What the cache does with one key: states and events, no empty cell. Pure.
//
// An answer that comes after its key was cleared or revoked goes to those who wait for it and is not
// kept: `doomed`. Whoever asks after that gets an answer of its own.

#include <array>
#include <cstdint>

namespace keybearer::serve {

enum class CacheState : std::uint8_t {
  absent,
  fetching,    // asked for, nothing to serve meanwhile
  fresh,       // served from memory
  aged,        // KV after its time: is compared before it is served again
  refreshing,  // aged, and the comparison is under way
  doomed,      // asked for, and cleared since
};
inline constexpr std::size_t kCacheStates = 6;

enum class CacheEvent : std::uint8_t {
  ask,        // a client wants it
  stored,     // the answer came and may be kept
  passed,     // the answer came and may not be kept
  unchanged,  // the comparison found the same version
  failed,     // no answer came
  aged,       // its time to be compared has come
  dropped,    // ended, revoked, cleared or evicted
};
inline constexpr std::size_t kCacheEvents = 7;

enum class CacheAction : std::uint8_t {
  nothing,
  serve,    // from memory
  fetch,    // begin a request
  compare,  // begin a comparison
  join,     // wait for the request under way
  keep,     // the answer, for who waits and for later
  pass_on,  // the answer, for who waits only
  extend,   // what there is is good for another while
  report,   // the failure, to all who wait; what is kept may be served as stale
  forget,
};

struct CacheCell {
  CacheAction action;
  CacheState next;
};

using CacheRow = std::array<CacheCell, kCacheEvents>;

inline constexpr std::array<CacheRow, kCacheStates> kCacheTable = [] {
  using enum CacheAction;
  using S = CacheState;
  return std::array<CacheRow, kCacheStates>{{
      // ask, stored, passed, unchanged, failed, aged, dropped
      {{{fetch, S::fetching},
        {pass_on, S::absent},
        {pass_on, S::absent},
        {pass_on, S::absent},
        {report, S::absent},
        {nothing, S::absent},
        {nothing, S::absent}}},
      {{{join, S::fetching},
        {keep, S::fresh},
        {pass_on, S::absent},
        {pass_on, S::absent},
        {report, S::absent},
        {nothing, S::fetching},
        {nothing, S::doomed}}},
      {{{serve, S::fresh},
        {keep, S::fresh},
        {pass_on, S::fresh},
        {extend, S::fresh},
        {report, S::fresh},
        {nothing, S::aged},
        {forget, S::absent}}},
      {{{compare, S::refreshing},
        {keep, S::fresh},
        {forget, S::absent},
        {extend, S::fresh},
        {report, S::aged},
        {nothing, S::aged},
        {forget, S::absent}}},
      {{{join, S::refreshing},
        {keep, S::fresh},
        {forget, S::absent},
        {extend, S::fresh},
        {report, S::aged},
        {nothing, S::refreshing},
        {forget, S::doomed}}},
      {{{fetch, S::fetching},
        {pass_on, S::absent},
        {pass_on, S::absent},
        {pass_on, S::absent},
        {report, S::absent},
        {nothing, S::doomed},
        {nothing, S::doomed}}},
  }};
}();

[[nodiscard]] constexpr CacheCell cache_cell(CacheState state, CacheEvent event) {
  return kCacheTable[static_cast<std::size_t>(state)][static_cast<std::size_t>(event)];
}

}  // namespace keybearer::serve
