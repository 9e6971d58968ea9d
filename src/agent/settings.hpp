#pragma once
// What the configuration means for the parts, where the mode has a say. Pure translations.

#include <string>

#include "agent/agent.hpp"
#include "auth/auth_loop.hpp"
#include "auth/cloud.hpp"
#include "config/config.hpp"
#include "http/client.hpp"

namespace keybearer {

// A job or a single rendering: what is read once is not looked at again.
[[nodiscard]] bool is_once(Mode mode);
// No one could look in time.
[[nodiscard]] bool is_once_render(Mode mode);
[[nodiscard]] bool has_child(Mode mode);

// What a change of something asks of the child, when nothing else is said of it.
[[nodiscard]] config::OnChange default_action(const config::Exec& exec);
// Whether leases are revoked at the exit, where a secret does not say otherwise: not by `render
// --once`, and not with [state], from which a restart goes on with them.
[[nodiscard]] bool revokes_leases(const config::Config& config, Mode mode);
// [auto_auth] with the mode's own defaults, and what rules the login from elsewhere.
[[nodiscard]] auth::Settings auth_settings(const config::Config& config, Mode mode);
// A preview writes none.
[[nodiscard]] std::vector<config::Sink> sinks_of(const config::Config& config, Mode mode);
// A single rendering opens none.
[[nodiscard]] std::vector<config::Listener> listeners_of(const config::Config& config, Mode mode);
[[nodiscard]] log::Rotation log_rotation(const config::Config& config);
// This keybearer among others: name and host.
[[nodiscard]] std::string instance_id(const config::Config& config);
[[nodiscard]] http::ProxyOptions proxy_options(const config::Config& config);
// What methods that ask a cloud get from outside. `environment` must outlive it.
[[nodiscard]] auth::CloudParts cloud_parts(
    const config::Config& config, const EnvBlock& environment,
    std::function<std::unique_ptr<http::Client>(http::ClientOptions)> make_http);
// [vault] as the HTTP client takes it. The addresses must be good (http::parse_url).
[[nodiscard]] http::ClientOptions client_options(const config::Config& config);

}  // namespace keybearer
