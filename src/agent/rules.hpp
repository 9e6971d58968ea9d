#pragma once
// What the configuration and an error mean for a job: pure translations. Internal to agent/.

#include "agent/agent.hpp"

namespace keybearer {

// behaviour.md section 7 and cli.md: 65 template, 69 server, 73 file, 75 not there, 77 not
// permitted, 78 configuration, 126 and 127 of a program that can't be started.
[[nodiscard]] int exit_code(const Error& error);
// What a change of something asks of the program, when nothing else is said of it.
[[nodiscard]] config::OnChange default_action(const config::Exec& exec);
// [auto_auth] with the job's own defaults.
[[nodiscard]] config::AutoAuth auth_settings(const config::Config& config, Mode mode);
// This keybearer among others: name and host.
[[nodiscard]] std::string instance_id(const config::Config& config);

}  // namespace keybearer
