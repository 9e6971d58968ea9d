#include "serve/cache_core.hpp"

#include <algorithm>

namespace keybearer::serve {
namespace {

// A bookkeeping share of each entry, so that many small ones count, too.
constexpr std::size_t kOverhead = 512;
constexpr Duration kRounding = std::chrono::seconds(1);

bool has_end(const CacheEntry& entry) {
  return entry.what.kind == Cached::lease || entry.what.kind == Cached::token;
}

std::size_t size_of(const CacheEntry& entry) {
  std::size_t size = kOverhead + entry.path.size() + entry.what.lease_id.size();
  if (entry.body != nullptr) size += entry.body->size();
  for (const auto& [name, value] : entry.headers) size += name.size() + value.size() + 64;
  return size + entry.lines.size();
}

}  // namespace

void CacheCore::configure(CacheLimits limits) {
  limits_ = limits;
  make_room();
}

CacheState CacheCore::state(const std::string& key) const {
  const auto found = states_.find(key);
  return found == states_.end() ? CacheState::absent : found->second;
}

const CacheEntry* CacheCore::find(const std::string& key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second.entry;
}

CacheCell CacheCore::step(const std::string& key, CacheEvent event) {
  const CacheCell cell = cache_cell(state(key), event);
  if (cell.next == CacheState::absent)
    states_.erase(key);
  else
    states_[key] = cell.next;
  if (cell.action == CacheAction::forget) {
    if (const auto slot = entries_.find(key); slot != entries_.end()) erase(slot);
  }
  return cell;
}

void CacheCore::erase(Slots::iterator slot) {
  bytes_ -= slot->second.size;
  if (const auto count = counts_.find(slot->second.entry.token); --count->second == 0)
    counts_.erase(count);
  used_.erase(slot->second.used);
  entries_.erase(slot);
  ++stats_.dropped;
}

// Ends too soon, or another login of ours took it.
bool CacheCore::is_over(const CacheEntry& entry, Instant now, std::uint64_t maker) const {
  const bool ended = entry.end && *entry.end - now < limits_.min_remaining;
  return ended || (has_end(entry) && entry.maker != maker);
}

bool CacheCore::is_aged(const CacheEntry& entry, Instant now) const {
  return !has_end(entry) && now >= entry.checked + limits_.kv_ttl;
}

const CacheEntry* CacheCore::fresh(const std::string& key, Instant now, std::uint64_t maker) {
  const auto slot = entries_.find(key);
  if (slot == entries_.end()) return nullptr;
  const CacheEntry& entry = slot->second.entry;
  if (is_over(entry, now, maker) || is_aged(entry, now) || state(key) != CacheState::fresh)
    return nullptr;
  used_.splice(used_.begin(), used_, slot->second.used);
  ++stats_.hits;
  return &entry;
}

CacheCore::Verdict CacheCore::ask(const std::string& key, Instant now, std::uint64_t maker) {
  if (const auto slot = entries_.find(key); slot != entries_.end()) {
    const CacheEntry& entry = slot->second.entry;
    if (is_over(entry, now, maker) && state(key) == CacheState::fresh) {
      step(key, CacheEvent::dropped);
    } else {
      if (is_aged(entry, now)) step(key, CacheEvent::aged);
      used_.splice(used_.begin(), used_, slot->second.used);
    }
  }
  const CacheCell cell = step(key, CacheEvent::ask);
  ++(cell.action == CacheAction::serve  ? stats_.hits
     : cell.action == CacheAction::join ? stats_.joined
                                        : stats_.misses);
  if (cell.action == CacheAction::compare) ++stats_.compared;
  return {cell.action, find(key)};
}

const CacheEntry* CacheCore::stale(const std::string& key, Instant now) const {
  const CacheEntry* const entry = find(key);
  if (entry == nullptr || has_end(*entry) || !limits_.max_stale) return nullptr;
  return now <= entry->checked + limits_.kv_ttl + *limits_.max_stale ? entry : nullptr;
}

void CacheCore::set_end(CacheEntry& entry) const {
  entry.end = entry.granted;
  if (!entry.end || entry.maker != 0) return;
  if (const auto token = tokens_.find(entry.token); token != tokens_.end())
    entry.end = std::min(*entry.end, token->second);
}

bool CacheCore::stored(const std::string& key, CacheEntry entry, Instant now) {
  set_end(entry);
  const std::size_t size = size_of(entry);
  const bool ended = entry.end && *entry.end - now < limits_.min_remaining;
  const bool too_large = size > limits_.max_bytes / 4;
  if (ended || too_large) {
    passed(key);
    return false;
  }
  if (step(key, CacheEvent::stored).action != CacheAction::keep) return false;
  if (const auto old = entries_.find(key); old != entries_.end()) erase(old);
  ++counts_[entry.token];
  const auto [slot, made] = entries_.emplace(key, Slot{std::move(entry), size});
  (void)made;
  used_.push_front(&slot->first);
  slot->second.used = used_.begin();
  bytes_ += size;
  ++stats_.stored;
  make_room();
  return true;
}

void CacheCore::passed(const std::string& key) {
  step(key, CacheEvent::passed);
}
void CacheCore::failed(const std::string& key) {
  step(key, CacheEvent::failed);
}

bool CacheCore::unchanged(const std::string& key, Instant now) {
  if (step(key, CacheEvent::unchanged).action != CacheAction::extend) return false;
  if (const auto slot = entries_.find(key); slot != entries_.end())
    slot->second.entry.checked = now;
  return true;
}

void CacheCore::renewed(std::string_view lease_id, Duration ttl, Instant asked) {
  for (auto& [key, slot] : entries_) {
    if (slot.entry.what.lease_id != lease_id || lease_id.empty()) continue;
    slot.entry.granted = asked + ttl;
    set_end(slot.entry);
  }
}

void CacheCore::token_renewed(std::string_view issued, Duration ttl, Instant asked) {
  for (auto& [key, slot] : entries_) {
    if (issued.empty() || slot.entry.what.issued != issued) continue;
    slot.entry.granted = asked + ttl;
    set_end(slot.entry);
  }
  if (!issued.empty()) token_known(std::string(issued), asked + ttl);
}

void CacheCore::token_known(const std::string& token, Instant end) {
  const auto known = tokens_.find(token);
  // A look-up tells the same end to the second.
  if (known != tokens_.end()) {
    const auto [sooner, later] = std::minmax(end, known->second);
    if (later - sooner < kRounding) return;
  }
  if (known == tokens_.end() && tokens_.size() >= limits_.max_entries) {
    const auto soonest =
        std::ranges::min_element(tokens_, {}, [](const auto& t) { return t.second; });
    if (soonest != tokens_.end()) drop_token(std::string(soonest->first));
  }
  tokens_[token] = end;
  for (auto& [key, slot] : entries_)
    if (slot.entry.token == token) set_end(slot.entry);
}

// What gives way: what was used longest ago. Requests under way go on.
void CacheCore::make_room() {
  while (!used_.empty() && (entries_.size() > limits_.max_entries || bytes_ > limits_.max_bytes)) {
    const std::string key = *used_.back();
    step(key, CacheEvent::dropped);
    ++stats_.evicted;
    --stats_.dropped;
  }
}

template <class Test>
std::size_t CacheCore::drop_if(Test test) {
  std::vector<std::string> keys;
  for (const auto& [key, slot] : entries_)
    if (test(slot.entry)) keys.push_back(key);
  for (const std::string& key : keys) step(key, CacheEvent::dropped);
  return keys.size();
}

std::size_t CacheCore::drop_lease(std::string_view lease_id) {
  return drop_if([&](const CacheEntry& entry) {
    return !lease_id.empty() && entry.what.lease_id == lease_id;
  });
}
std::size_t CacheCore::drop_lease_prefix(std::string_view prefix) {
  while (prefix.starts_with('/')) prefix.remove_prefix(1);
  return drop_if([&](const CacheEntry& entry) {
    return !entry.what.lease_id.empty() && entry.what.lease_id.starts_with(prefix);
  });
}
std::size_t CacheCore::drop_path(std::string_view prefix, bool exact) {
  return drop_if([&](const CacheEntry& entry) {
    return exact ? entry.path == prefix : entry.path.starts_with(prefix);
  });
}
std::size_t CacheCore::drop_token(std::string_view token) {
  tokens_.erase(std::string(token));
  return drop_if([&](const CacheEntry& entry) {
    return entry.token == token || (!token.empty() && entry.what.issued == token);
  });
}
std::size_t CacheCore::drop_issued(std::string_view token) {
  return drop_if(
      [&](const CacheEntry& entry) { return !token.empty() && entry.what.issued == token; });
}
std::size_t CacheCore::drop_reads(std::string_view token) {
  return drop_if([&](const CacheEntry& entry) { return entry.token == token && !has_end(entry); });
}
std::size_t CacheCore::drop_accessor(std::string_view accessor) {
  std::size_t dropped = 0;
  std::string issued;
  for (const auto& [key, slot] : entries_)
    if (!accessor.empty() && slot.entry.what.accessor == accessor) issued = slot.entry.what.issued;
  if (!issued.empty()) dropped = drop_token(issued);
  return dropped;
}
std::size_t CacheCore::drop_tokens() {
  return drop_if([](const CacheEntry& entry) { return entry.what.kind == Cached::token; });
}
std::size_t CacheCore::drop_clients() {
  tokens_.clear();
  return drop_if([](const CacheEntry& entry) { return entry.maker == 0; });
}
std::size_t CacheCore::drop_ours() {
  return drop_if([](const CacheEntry& entry) { return entry.maker != 0; });
}
// Also what is under way: its answer is for those who wait, and not kept.
std::size_t CacheCore::drop_all() {
  const std::size_t had = drop_if([](const CacheEntry&) { return true; });
  std::vector<std::string> keys;
  for (const auto& [key, state] : states_) keys.push_back(key);
  for (const std::string& key : keys) step(key, CacheEvent::dropped);
  return had;
}
std::size_t CacheCore::drop_ended(Instant now) {
  std::erase_if(tokens_, [now](const auto& token) { return token.second <= now; });
  return drop_if([&](const CacheEntry& entry) { return entry.end && *entry.end <= now; });
}

std::vector<const CacheEntry*> CacheCore::leases() const {
  std::vector<const CacheEntry*> out;
  for (const auto& [key, slot] : entries_)
    if (!slot.entry.what.lease_id.empty()) out.push_back(&slot.entry);
  return out;
}

std::vector<const CacheEntry*> CacheCore::tokens() const {
  std::vector<const CacheEntry*> out;
  for (const auto& [key, slot] : entries_)
    if (!slot.entry.what.issued.empty()) out.push_back(&slot.entry);
  return out;
}

}  // namespace keybearer::serve
