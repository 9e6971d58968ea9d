#include "config/sections.hpp"

namespace keybearer::config {
namespace {

void read_log_rotation(Reader& r, Config::LogRotate& rotate) {
  const toml::node* const size = r.find("log_rotate_bytes");
  const bool never = size == nullptr || size->value<std::int64_t>() == 0;  // as Vault Agent has it
  if (!never) r.read_size("log_rotate_bytes", rotate.bytes.emplace());
  if (never) r.describe_default("log_rotate_bytes", "never by size");
  r.read("log_rotate_duration", rotate.duration);
  if (rotate.duration && *rotate.duration < 1s)
    r.problem("log_rotate_duration", "must be at least 1s");
  r.describe_default("log_rotate_duration", "never by age");
  r.read("log_rotate_max_files", rotate.max_files, -1);
}

}  // namespace

void read_general(Reader& r, Config& config) {
  r.read("name", config.name);
  r.read("pid_file", config.pid_file);
  r.read("exit_after_auth", config.exit_after_auth);
  if (r.has("log_level")) {
    auto level = log::Level::info;
    r.read_choice("log_level", level,
                  {{"trace", log::Level::trace},
                   {"debug", log::Level::debug},
                   {"info", log::Level::info},
                   {"warn", log::Level::warn},
                   {"error", log::Level::error}});
    config.log_level = level;
  } else {
    (void)r.find("log_level");
    r.describe_default("log_level", "info");
  }
  if (r.has("log_format")) {
    auto format = log::Format::text;
    r.read_choice("log_format", format,
                  {{"text", log::Format::text},
                   {"json", log::Format::json},
                   {"journal", log::Format::journal}});
    config.log_format = format;
  } else {
    (void)r.find("log_format");
    r.describe_default("log_format", "text on a terminal and with --once, else journal or json");
  }
  r.read("log_file", config.log_file);
  r.describe_default("log_file", "standard error");
  r.read("hardening", config.hardening);
  read_log_rotation(r, config.log_rotate);
}

void read_notify(Context& context, Reader& top, Notify& notify) {
  Reader r(context, top.table("notify"), "notify");
  r.read("command", notify.command);
  r.read("timeout", notify.timeout);
}

void read_metrics(Context& context, Reader& top, Metrics& metrics) {
  Reader r(context, top.table("metrics"), "metrics");
  r.read("enabled", metrics.enabled);
  r.describe_default("enabled", "true with a listener");
}

void read_control(Context& context, Reader& top, Control& control) {
  Reader r(context, top.table("control"), "control");
  r.read("enabled", control.enabled);
  r.read("socket", control.socket);
  r.describe_default("socket",
                     "control.sock in $RUNTIME_DIRECTORY, or <name>.sock in /run/keybearer"
                     " or $XDG_RUNTIME_DIR/keybearer");
}

}  // namespace keybearer::config
