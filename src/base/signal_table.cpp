#include "base/signal_table.hpp"

#include <signal.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace keybearer {
namespace {

constexpr auto ours = SignalRole::ours;
constexpr auto forwarded = SignalRole::forwarded;
constexpr auto never = SignalRole::never;
constexpr std::string_view kFault = "a fault of keybearer itself";
constexpr std::string_view kJobControl = "job control: suspends keybearer";

constexpr std::array<SignalRow, 31> kTable{{
    {SIGHUP, "HUP", ours, "reload; with exec.hup = \"forward\" to the program too"},
    {SIGINT, "INT", ours, "stop"},
    {SIGQUIT, "QUIT", ours, "stop"},
    {SIGILL, "ILL", never, kFault},
    {SIGTRAP, "TRAP", never, kFault},
    {SIGABRT, "ABRT", never, kFault},
    {SIGBUS, "BUS", never, kFault},
    {SIGFPE, "FPE", never, kFault},
    {SIGKILL, "KILL", never, "can't be caught; the whole tree is ended"},
    {SIGUSR1, "USR1", forwarded, {}},
    {SIGSEGV, "SEGV", never, kFault},
    {SIGUSR2, "USR2", forwarded, {}},
    {SIGPIPE, "PIPE", never, "ignored: nobody reads the log"},
    {SIGALRM, "ALRM", forwarded, {}},
    {SIGTERM, "TERM", ours, "stop"},
    {SIGSTKFLT, "STKFLT", forwarded, {}},
    {SIGCHLD, "CHLD", ours, "a process of the program ended"},
    {SIGCONT, "CONT", forwarded, {}},
    {SIGSTOP, "STOP", never, "can't be caught; suspends keybearer alone"},
    {SIGTSTP, "TSTP", never, kJobControl},
    {SIGTTIN, "TTIN", never, kJobControl},
    {SIGTTOU, "TTOU", never, kJobControl},
    {SIGURG, "URG", forwarded, {}},
    {SIGXCPU, "XCPU", never, "a limit of keybearer itself"},
    {SIGXFSZ, "XFSZ", never, "ignored: a limit of keybearer itself"},
    {SIGVTALRM, "VTALRM", forwarded, {}},
    {SIGPROF, "PROF", forwarded, {}},
    {SIGWINCH, "WINCH", forwarded, {}},
    {SIGIO, "IO", forwarded, {}},
    {SIGPWR, "PWR", forwarded, {}},
    {SIGSYS, "SYS", never, kFault},
}};

std::vector<int> with_role(SignalRole role) {
  std::vector<int> signals;
  for (const SignalRow& row : kTable) {
    if (row.role == role) signals.push_back(row.number);
  }
  return signals;
}

std::optional<int> whole_number(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// "RTMIN", "RTMIN+3", "RTMAX-1".
std::optional<int> real_time_number(std::string_view name) {
  int number = 0;
  if (name.starts_with("RTMIN")) {
    number = SIGRTMIN;
  } else if (name.starts_with("RTMAX")) {
    number = SIGRTMAX;
  } else {
    return std::nullopt;
  }
  name.remove_prefix(5);
  if (!name.empty()) {
    const char sign = name.front();
    const auto offset = whole_number(name.substr(1));
    if (!offset || *offset < 0 || (sign != '+' && sign != '-')) return std::nullopt;
    number += sign == '+' ? *offset : -*offset;
  }
  return number >= SIGRTMIN && number <= SIGRTMAX ? std::optional(number) : std::nullopt;
}

}  // namespace

std::span<const SignalRow> signal_table() {
  return kTable;
}

SignalRole role_of(int signal) {
  if (signal >= SIGRTMIN && signal <= SIGRTMAX) return forwarded;
  const auto row = std::ranges::find(kTable, signal, &SignalRow::number);
  return row == kTable.end() ? never : row->role;
}

std::vector<int> forwarded_signals() {
  std::vector<int> signals = with_role(forwarded);
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) signals.push_back(signal);
  return signals;
}

std::vector<int> own_signals() {
  std::vector<int> signals = with_role(ours);
  std::erase(signals, SIGCHLD);
  return signals;
}

std::string signal_name(int signal) {
  const auto row = std::ranges::find(kTable, signal, &SignalRow::number);
  if (row != kTable.end()) return "SIG" + std::string(row->name);
  if (signal == SIGRTMIN) return "SIGRTMIN";
  if (signal > SIGRTMIN && signal <= SIGRTMAX)
    return "SIGRTMIN+" + std::to_string(signal - SIGRTMIN);
  return "signal " + std::to_string(signal);
}

std::optional<int> signal_number(std::string_view text) {
  std::string name(text);
  std::ranges::transform(name, name.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  });
  if (name.starts_with("SIG")) name.erase(0, 3);
  const auto row = std::ranges::find(kTable, name, &SignalRow::name);
  if (row != kTable.end()) return row->number;
  if (name == "POLL") return SIGIO;
  if (const auto number = real_time_number(name)) return number;
  const auto number = whole_number(name);
  return number && *number >= 1 && *number < NSIG ? number : std::nullopt;
}

}  // namespace keybearer
