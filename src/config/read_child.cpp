#include "config/read_child.hpp"

#include <algorithm>
#include <array>

#include "base/owner.hpp"
#include "base/signal_table.hpp"
#include "config/load.hpp"

namespace keybearer::config {
namespace {

// [["SIGTERM", "10s"], ["SIGINT", "5s"]]
void read_escalation(Context& context, Reader& r, Exec& exec) {
  const toml::node* node = r.find("stop_escalation");
  if (node == nullptr) return;
  const auto wrong = [&] {
    r.problem(
        "stop_escalation",
        R"(expected pairs of a signal and a time, such as [["SIGTERM", "10s"], ["SIGINT", "5s"]])");
  };
  const toml::array* steps = node->as_array();
  if (steps == nullptr || steps->empty()) return wrong();
  std::string shown;
  for (const toml::node& item : *steps) {
    const toml::array* pair = item.as_array();
    if (pair == nullptr || pair->size() != 2 || !pair->get(0)->is_string() ||
        !pair->get(1)->is_string()) {
      return wrong();
    }
    const auto signal = parse_signal(pair->get(0)->as_string()->get());
    const auto grace = parse_duration(pair->get(1)->as_string()->get());
    if (!signal) return r.problem("stop_escalation", signal.error().text);
    if (!grace) return r.problem("stop_escalation", grace.error().text);
    exec.stop_escalation.push_back({*signal, *grace});
    shown += (shown.empty() ? "" : ", ") + signal_name(*signal) + " " + duration_text(*grace);
  }
  if (r.has("restart_stop_signal") || r.has("stop_timeout"))
    r.problem("stop_escalation", "stands instead of restart_stop_signal and stop_timeout");
  context.origin("exec.stop_escalation", shown, place_of(*node));
}

void read_forward_signals(Context& context, Reader& r, Exec& exec) {
  const toml::node* node = r.find("forward_signals");
  if (node == nullptr) return context.origin("exec.forward_signals", "all but keybearer's own", {});
  const toml::array* names = node->as_array();
  if (names == nullptr) return r.problem("forward_signals", "expected an array of signals");
  std::vector<int> signals;
  std::string shown;
  for (const toml::node& item : *names) {
    const auto* name = item.as_string();
    if (name == nullptr)
      return r.problem("forward_signals", "expected signals, such as \"SIGUSR1\"");
    const auto signal = parse_signal(name->get());
    if (!signal) return r.problem("forward_signals", signal.error().text);
    if (*signal == 1) {
      r.problem("forward_signals", "SIGHUP is keybearer's own: set exec.hup = \"forward\"");
    } else if (role_of(*signal) == SignalRole::ours) {
      r.problem("forward_signals", signal_name(*signal) + " is keybearer's own");
    } else if (role_of(*signal) == SignalRole::never) {
      r.problem("forward_signals", signal_name(*signal) + " can't be forwarded, see keybearer(1)");
    }
    signals.push_back(*signal);
    shown += (shown.empty() ? "" : ", ") + signal_name(*signal);
  }
  exec.forward_signals = std::move(signals);
  context.origin("exec.forward_signals", shown, place_of(*node));
}

constexpr std::array<std::string_view, 15> kLimits{
    "as",     "core",  "cpu", "data",   "fsize",  "memlock",    "msgqueue", "nice",
    "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"};

void read_limits(Context& context, Reader& exec, Exec& out) {
  Reader r(context, exec.table("rlimits"), "exec.rlimits");
  for (const std::string_view name : kLimits) {
    const toml::node* node = r.find(name);
    if (node == nullptr) continue;
    std::optional<std::uint64_t> value;
    std::string shown = "unlimited";
    if (const auto* number = node->as_integer(); number != nullptr && number->get() >= 0) {
      value = static_cast<std::uint64_t>(number->get());
      shown = std::to_string(*value);
    } else if (const auto* text = node->as_string(); text != nullptr) {
      if (text->get() != "unlimited") {
        const auto size = parse_size(text->get());
        if (!size) {
          r.problem(name, "expected a number, a size such as \"64MiB\", or \"unlimited\"");
          continue;
        }
        value = *size;
        shown = text->get();
      }
    } else {
      r.problem(name, "expected a number, a size such as \"64MiB\", or \"unlimited\"");
      continue;
    }
    out.rlimits[std::string(name)] = value;
    context.origin("exec.rlimits." + std::string(name), shown, place_of(*node));
  }
}

}  // namespace

void read_child(Context& context, Reader& r, Exec& exec) {
  read_escalation(context, r, exec);
  r.read("forking", exec.forking);
  r.read("pid_file", exec.pid_file);
  if (!exec.pid_file.empty() && !exec.forking)
    r.problem("pid_file", "is read only with exec.forking = true");
  r.read_choice("hup", exec.hup, {{"reload", Exec::Hup::reload}, {"forward", Exec::Hup::forward}});
  read_forward_signals(context, r, exec);
  r.read("user", exec.user);
  r.read("group", exec.group);
  if (const auto owner = owner_of(exec.user, exec.group); !owner && !context.offline)
    r.problem(owner_of(exec.user, "") ? "group" : "user", owner.error().text);
  if (r.has("umask")) {
    unsigned mask = 0;
    r.read_mode("umask", mask);
    exec.umask = mask;
  } else {
    (void)r.find("umask");
    r.describe_default("umask", "keybearer's own");
  }
  if (r.has("nice")) {
    int nice = 0;
    r.read("nice", nice, -20, 19);
    exec.nice = nice;
  } else {
    (void)r.find("nice");
    r.describe_default("nice", "keybearer's own");
  }
  read_limits(context, r, exec);
  r.read("stdout", exec.stdout_path);
  r.read("stderr", exec.stderr_path);
}

}  // namespace keybearer::config
