#pragma once
// The control socket of a running keybearer: made once the child is started, or a moment after the
// start where that takes longer, and removed at the end. What it answers is serve/control. A socket
// that can't be made is a warning: the job goes on without.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "agent/delivery_loop.hpp"
#include "agent/reload.hpp"
#include "config/control_socket.hpp"
#include "secrets/secret_store.hpp"
#include "serve/control.hpp"

namespace keybearer {

// `rotate`: asks for a fetch of what is named, or of everything, and waits for what comes of it, at
// most `limit`. Error not_found: no such secret or template.
[[nodiscard]] boost::asio::awaitable<result<std::vector<serve::Rotated>>> rotate(
    secrets::SecretStore& secrets, const DeliveryLoop& delivery, serve::RotateRequest wanted,
    Duration limit);

// For the answer to `reload`.
[[nodiscard]] serve::ReloadOutcome outcome_of(const ReloadReport& report);

// Until cancelled. `ready`: waits for that, shortly. `reloaded`: looks whether the socket is still
// there. `actions` must outlive it.
[[nodiscard]] boost::asio::awaitable<void> serve_control(config::Control control, std::string name,
                                                         config::Surroundings around,
                                                         const serve::ControlActions& actions,
                                                         Event& ready, Event& reloaded);

}  // namespace keybearer
