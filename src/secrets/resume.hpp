#pragma once
// A secret as it is saved for a restart, and as it is resumed from that. Internal to secrets/.

#include "lease/saved.hpp"
#include "secrets/watched_secret.hpp"

namespace keybearer::secrets {

// nullopt: it has no value of the server's.
[[nodiscard]] std::optional<lease::SavedSecret> saved_of(const WatchedSecret& secret);

// Whether `saved` is what `secret` asks for, and lives.
[[nodiscard]] bool can_resume(const WatchedSecret& secret, const lease::SavedSecret& saved);
// It is known, but not served: `secret.resumed`.
void resume(WatchedSecret& secret, const lease::SavedSecret& saved);
// The request that tells whether what was resumed is still so. Do::nothing: none is needed.
[[nodiscard]] lease::Step confirmation(const WatchedSecret& secret);
// What was resumed is in force.
void serve_resumed(WatchContext& context, WatchedSecret& secret);
// What was resumed is no more, or is made by a token that has gone: its lease is let go.
void drop_resumed(WatchContext& context, WatchedSecret& secret);

}  // namespace keybearer::secrets
