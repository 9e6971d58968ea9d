#pragma once
// The small languages inside configuration values. Pure; each error says what was expected.

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/closest_match.hpp"
#include "base/error.hpp"
#include "config/config.hpp"

namespace keybearer::config {

[[nodiscard]] result<std::size_t> parse_size(std::string_view text);  // "10MiB", "64KB", bytes
[[nodiscard]] result<unsigned> parse_mode(std::string_view text);     // "0640"
[[nodiscard]] std::string mode_text(unsigned mode);
[[nodiscard]] result<OnChange> parse_on_change(
    std::string_view text);  // "restart", "none", "signal", "signal:HUP"
// ${NAME}, ${NAME:-default} and $$.
[[nodiscard]] result<std::string> expand(
    std::string_view text,
    const std::function<std::optional<std::string>(const std::string&)>& env);
// As it may be printed: control characters as \n or \u001b, so that no name forges a line.
[[nodiscard]] std::string escaped(std::string_view text);
[[nodiscard]] bool has_control(std::string_view text);  // a control character other than a tab
// Without KV v2's data/: "kv/app" of "kv/data/app", which are one secret.
[[nodiscard]] std::string plain_path(std::string_view path);
[[nodiscard]] bool valid_variable_name(std::string_view name);
// LD_PRELOAD, PATH, IFS ...: names that change what a program is.
[[nodiscard]] bool reserved_variable_name(std::string_view name);
// Of families that steer interpreters, libraries and clients (_JAVA_OPTIONS, PYTHON*, GIT_*,
// *_PROXY ...): fine when the configuration names them, not when a secret's key does.
[[nodiscard]] bool steering_variable_name(std::string_view name);
using keybearer::closest_match;
[[nodiscard]] std::string duration_text(Duration duration);  // "1h30m", "250ms"

}  // namespace keybearer::config
