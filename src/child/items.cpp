#include "child/items.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

#include "base/fingerprint.hpp"

namespace keybearer::child {
namespace {

using Act = config::OnChange::Action;

void list(std::string& text, const std::string& entry, const char* separator) {
  if (!text.empty()) text += separator;
  text += entry;
}

struct Names {
  std::string changed, added, removed;

  void add(const Item* was, const Item* is) {
    list(was == nullptr  ? added
         : is == nullptr ? removed
                         : changed,
         (is != nullptr ? is : was)->name, ", ");
  }
  [[nodiscard]] std::string text() const {
    std::string all;
    for (const auto& [names, became] :
         {std::pair<const std::string&, const char*>{changed, " changed"},
          {added, " added"},
          {removed, " removed"}})
      if (!names.empty()) list(all, names + became, "; ");
    return all;
  }
};

// Calls f(was, is) for each item that differs; one of them is null for what came or went.
template <class F>
void for_each_difference(const Items& before, const Items& after, F on_difference) {
  const auto f = [&on_difference](const Item* was, const Item* is) {
    if ((is != nullptr ? is : was)->asks) on_difference(was, is);
  };
  auto old = before.begin();
  for (const Item& item : after) {
    while (old != before.end() && old->name < item.name) f(&*old++, nullptr);
    if (old == before.end() || old->name != item.name) {
      f(nullptr, &item);
    } else {
      if (!old->same(item)) f(&*old, &item);
      ++old;
    }
  }
  while (old != before.end()) f(&*old++, nullptr);
}

}  // namespace

std::uint64_t fingerprint_of(const Items& items) {
  std::string all;
  for (const Item& item : items)
    if (item.asks) all += item.name + '=' + std::to_string(item.fingerprint) + '\n';
  return fingerprint(all);
}

Change difference(const Items& known, const Items& desired, int reload_signal) {
  Change change;
  Names told, stale;
  for_each_difference(known, desired, [&](const Item* was, const Item* is) {
    const Item& item = is != nullptr ? *is : *was;
    const bool tells = item.action != Act::none;
    change.action = std::max(change.action, item.action);  // none < signal < restart
    if (item.action == Act::signal) {
      const int signal = item.signal != 0 ? item.signal : reload_signal;
      if (std::ranges::find(change.signals, signal) == change.signals.end())
        change.signals.push_back(signal);
    }
    (tells ? told : stale).add(was, is);
    std::string& why = tells ? change.why : change.stale_why;
    // What its secrets last did is no reason for what was taken out.
    if (is != nullptr && why.find(item.why) == std::string::npos) list(why, item.why, "; ");
  });
  change.names = told.text();
  change.stale_names = stale.text();
  return change;
}

Items known_after_signal(const Items& known, const Items& desired) {
  Items items = desired;
  for_each_difference(known, desired, [&items](const Item* was, const Item* is) {
    if ((is != nullptr ? is : was)->action != Act::none) return;
    if (is != nullptr) std::erase_if(items, [is](const Item& item) { return item.same(*is); });
    if (was != nullptr) items.push_back(*was);
  });
  std::ranges::sort(items, {}, &Item::name);
  return items;
}

void take_what_asks_nothing(Items& known, const Items& desired) {
  for (const Item& item : desired) {
    if (item.asks) continue;
    const auto at = std::ranges::lower_bound(known, item.name, {}, &Item::name);
    if (at != known.end() && at->name == item.name)
      *at = item;
    else
      known.insert(at, item);
  }
}

std::string changed_text(const std::string& names, const std::string& why) {
  return names + (why.empty() ? "" : " (" + why + ")");
}

bool equal(const Items& one, const Items& other) {
  bool same = true;
  for_each_difference(one, other, [&same](const Item*, const Item*) { same = false; });
  return same;
}

bool equal_in_all(const Items& one, const Items& other) {
  const auto asking = std::views::filter(&Item::asks);
  return std::ranges::equal(one | asking, other | asking, [](const Item& a, const Item& b) {
    return a.same(b) && a.action == b.action && a.signal == b.signal;
  });
}

}  // namespace keybearer::child
