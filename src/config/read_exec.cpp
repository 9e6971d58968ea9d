#include "config/read_child.hpp"
#include "config/sections.hpp"

namespace keybearer::config {
namespace {

void read_inherit(Context& context, Reader& r, Exec& exec) {
  const toml::node* inherit = r.find("inherit_env");
  if (inherit == nullptr) return r.describe_default("inherit_env", "all");
  const auto* text = inherit->as_string();
  if (inherit->as_array() != nullptr) {
    exec.inherit_env = Exec::Inherit::listed;
    r.read("inherit_env", exec.inherit_names);
  } else if (text != nullptr && (text->get() == "all" || text->get() == "none")) {
    exec.inherit_env = text->get() == "all" ? Exec::Inherit::all : Exec::Inherit::none;
    context.origin("exec.inherit_env", text->get(), place_of(*inherit));
  } else {
    r.problem("inherit_env", "expected \"all\", \"none\" or an array of names");
  }
}

void read_verify(Context& context, Reader& exec, Exec::Verify& verify) {
  Reader r(context, exec.table("verify"), "exec.verify");
  r.read("command", verify.command);
  r.read("attempts", verify.attempts, 1, 100);
  r.read("backoff", verify.backoff);
  r.read("timeout", verify.timeout);
  if (r.raw() != nullptr && verify.command.argv.empty() && !r.has("command"))
    r.problem("command", "required");
}

}  // namespace

void read_exec(Context& context, Reader& top, Exec& exec) {
  Reader r(context, top.table("exec"), "exec");
  r.read("command", exec.command);
  r.read_choice("restart_on_secret_changes", exec.restart_on_secret_changes,
                {{"always", RestartOnSecretChanges::always},
                 {"signal", RestartOnSecretChanges::signal},
                 {"never", RestartOnSecretChanges::never}});
  r.read_signal("restart_stop_signal", exec.restart_stop_signal);
  r.read_signal("reload_signal", exec.reload_signal);
  r.read("stop_timeout", exec.stop_timeout);
  r.read("debounce", exec.debounce);
  r.read("debounce_max", exec.debounce_max);
  r.read("splay", exec.splay);
  r.read_choice("restart_on_exit", exec.restart_on_exit,
                {{"never", RestartOnExit::never},
                 {"on-failure", RestartOnExit::on_failure},
                 {"always", RestartOnExit::always}});
  r.read("max_restarts", exec.max_restarts);
  r.read("restart_window", exec.restart_window);
  r.read("restart_backoff", exec.restart_backoff);
  r.read("restart_backoff_max", exec.restart_backoff_max);
  r.read("success_codes", exec.success_codes);
  r.read("fatal_codes", exec.fatal_codes);
  r.read("working_directory", exec.working_directory);
  r.read("allow_reserved_env", exec.allow_reserved_env);
  r.read("pass_credentials", exec.pass_credentials);
  read_inherit(context, r, exec);
  read_verify(context, r, exec.verify);
  read_child(context, r, exec);
  r.unsupported({"ready", "rollback", "overlap", "sockets", "mask_output", "watchdog",
                 "change_window", "resolve_env"});
}

void read_outage(Context& context, Reader& top, Outage& outage) {
  Reader r(context, top.table("outage"), "outage");
  r.read_choice("on_start", outage.on_start,
                {{"wait", Outage::OnStart::wait},
                 {"fail", Outage::OnStart::fail},
                 {"default", Outage::OnStart::use_default},
                 {"state", Outage::OnStart::use_state}});
  r.read("start_timeout", outage.start_timeout);
  r.describe_default("start_timeout", "none; 1m with --once");
}

void read_state(Context& context, Reader& top, State& state) {
  Reader r(context, top.table("state"), "state");
  state.place = r.place();
  r.read("path", state.path);
  r.describe_default("path", "none");
  r.read("key_file", state.key_file);
  const bool from = r.has("key_from");
  r.read_choice("key_from", state.key_from,
                {{"file", State::KeyFrom::file}, {"systemd", State::KeyFrom::systemd}});
  if (r.raw() == nullptr) return;
  const bool systemd = state.key_from == State::KeyFrom::systemd;
  if (state.path.empty()) r.problem("path", "required");
  if (state.path.ends_with('/')) r.problem("path", "expected a file, not a directory");
  if (systemd && !state.key_file.empty()) r.problem("key_file", "excludes key_from = \"systemd\"");
  if (!systemd && state.key_file.empty())
    r.problem(from ? "key_from" : "key_file",
              "the key is missing: key_file = \"PATH\" (32 bytes, in another directory), or "
              "key_from = \"systemd\"");
}

}  // namespace keybearer::config
