#include "agent/settings.hpp"

#include "agent/exit_codes.hpp"

#include <doctest/doctest.h>

namespace keybearer {
namespace {

TEST_CASE("an error's exit code") {
  const std::pair<Error, int> rows[] = {
      {{ErrorKind::denied, ""}, 77},
      {{ErrorKind::refused, ""}, 75},
      {{ErrorKind::not_found, ""}, 75},
      {{ErrorKind::render, ""}, 65},
      {{ErrorKind::io, ""}, 73},
      {{ErrorKind::config, ""}, 78},
      {{ErrorKind::spawn, "", {}, 127}, 127},
      {{ErrorKind::spawn, ""}, 126},
      {{ErrorKind::network, ""}, 69},
      {{ErrorKind::sealed, ""}, 69},
      {{ErrorKind::throttled, ""}, 69},
      {{ErrorKind::tls, ""}, 69},
      {{ErrorKind::timeout, ""}, 69},
  };
  for (const auto& [error, code] : rows) {
    CAPTURE(static_cast<int>(error.kind));
    CHECK(exit_code(error) == code);
  }
}

TEST_CASE("what a change asks for follows exec.restart_on_secret_changes") {
  using Action = config::OnChange::Action;
  config::Exec exec;
  CHECK(default_action(exec).action == Action::restart);
  exec.restart_on_secret_changes = config::RestartOnSecretChanges::signal;
  exec.reload_signal = 10;
  CHECK((default_action(exec).action == Action::signal && default_action(exec).signal == 10));
  exec.restart_on_secret_changes = config::RestartOnSecretChanges::never;
  CHECK(default_action(exec).action == Action::none);
}

TEST_CASE("a single rendering leaves its token alive, all else revokes it unless told otherwise") {
  config::Config config;
  CHECK(auth_settings(config, Mode::run).auto_auth.revoke_on_exit == true);
  CHECK(auth_settings(config, Mode::run_once).auto_auth.revoke_on_exit == true);
  CHECK(auth_settings(config, Mode::render).auto_auth.revoke_on_exit == true);
  CHECK(auth_settings(config, Mode::render_once).auto_auth.revoke_on_exit == false);
  config.auto_auth.revoke_on_exit = true;
  CHECK(auth_settings(config, Mode::render_once).auto_auth.revoke_on_exit == true);
}

}  // namespace
}  // namespace keybearer
