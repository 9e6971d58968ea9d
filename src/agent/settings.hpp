#pragma once
// What the configuration means for the parts, where the mode has a say. Pure translations.

#include <string>

#include "agent/agent.hpp"
#include "auth/cloud.hpp"
#include "config/config.hpp"
#include "http/client.hpp"

namespace keybearer {

// What a change of something asks of the child, when nothing else is said of it.
[[nodiscard]] config::OnChange default_action(const config::Exec& exec);
// [auto_auth] with the mode's own defaults.
// Whether leases are revoked at the exit, where a secret does not say otherwise: not by `render
// --once`, and not with [state], from which a restart goes on with them.
[[nodiscard]] bool revokes_leases(const config::Config& config, Mode mode);
[[nodiscard]] config::AutoAuth auth_settings(const config::Config& config, Mode mode);
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
