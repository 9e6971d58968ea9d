#pragma once
// Names and times as status, page and metrics write them. Pure.

#include <optional>
#include <string>
#include <string_view>

#include "serve/snapshot.hpp"

namespace keybearer::serve {

[[nodiscard]] std::string_view name_of(Snapshot::Token::Phase phase);
[[nodiscard]] std::string_view name_of(Snapshot::Secret::State state);
// The same, or "defaults", or "expired" for a value whose lease has ended.
[[nodiscard]] std::string_view state_of(const Snapshot::Secret& secret, Instant now);
// What is left of the lease, else until the next request; never negative. Nullopt: neither.
[[nodiscard]] std::optional<Duration> time_left(const Snapshot::Secret& secret, Instant now);
// "2h 5m", "41m 3s", "12s", "250ms": two units at most; "-3s" for what has passed.
[[nodiscard]] std::string short_text(Duration time);
// RFC 3339, UTC, milliseconds: "2026-11-29T12:00:00.000Z".
[[nodiscard]] std::string rfc3339(WallTime at);
// "exited with code 3", "signal 9".
[[nodiscard]] std::string text_of(const Snapshot::Child::Exit& exit);

}  // namespace keybearer::serve
