#include "cli/watch.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <optional>

#include "base/exit_code.hpp"
#include "base/fd.hpp"
#include "cli/status_view.hpp"
#include "cli/terminal.hpp"
#include "config/scalars.hpp"
#include "json/json.hpp"

namespace keybearer::cli {
namespace {

using namespace std::chrono_literals;

constexpr Duration kRefresh = 1s;
constexpr Duration kPatience = 2s;  // of one answer

void put(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

// Keys come one by one and unechoed, on the other screen; undone when it goes.
class Screen {
 public:
  Screen() {
    raw_ = tcgetattr(STDIN_FILENO, &before_) == 0;
    if (raw_) {
      termios now = before_;
      now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
      now.c_cc[VMIN] = 0;
      now.c_cc[VTIME] = 0;
      tcsetattr(STDIN_FILENO, TCSANOW, &now);
    }
    put("\x1b[?1049h\x1b[?25l");
    std::fflush(stdout);
  }
  ~Screen() {
    put("\x1b[?25h\x1b[?1049l");
    std::fflush(stdout);
    if (raw_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

 private:
  termios before_{};
  bool raw_ = false;
};

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH}) sigaddset(&set, signal);
  return set;
}

struct State {
  std::optional<Value> status = {};
  Instant at{};
  std::string trouble = {};
};

void refresh(const Instance& instance, State& state) {
  const auto answer = ask(instance, "GET", "/status", "", kPatience);
  if (!answer || answer->status != 200) {
    state.trouble = answer ? "answered " + std::to_string(answer->status)
                           : config::escaped(answer.error().text);
    return;
  }
  auto parsed = json::parse(answer->body);
  if (!parsed) return;
  state.status = std::move(*parsed);
  state.at = Clock::now();
  state.trouble.clear();
}

void draw(const State& state) {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
    size = {.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
  std::vector<std::string> lines;
  if (state.status) {
    lines = status_lines(*state.status, {.width = size.ws_col,
                                         .height = size.ws_row - 1,
                                         .colour = colour_on(STDOUT_FILENO),
                                         .later = Clock::now() - state.at});
  }
  const auto room = static_cast<std::size_t>(size.ws_row - 1);
  if (lines.size() > room) lines.resize(room);
  std::string out = "\x1b[H";
  for (const std::string& line : lines) out += line + "\x1b[K\n";
  out += "\x1b[J";
  const std::string foot = state.trouble.empty() ? "q: quit" : "q: quit   " + state.trouble;
  out += "\x1b[" + std::to_string(size.ws_row) + ";1H" + foot.substr(0, size.ws_col) + "\x1b[K";
  put(out);
  std::fflush(stdout);
}

// False: it is to end.
bool obey(int signals, int& resized) {
  pollfd ready[2] = {{STDIN_FILENO, POLLIN, 0}, {signals, POLLIN, 0}};
  const int n = poll(ready, 2, static_cast<int>(kRefresh.count()));
  resized = 0;
  if (n <= 0) return true;
  if ((ready[1].revents & POLLIN) != 0) {
    signalfd_siginfo info{};
    if (read(signals, &info, sizeof info) == sizeof info && info.ssi_signo != SIGWINCH)
      return false;
    resized = 1;
  }
  if ((ready[0].revents & (POLLIN | POLLHUP)) != 0) {
    char key = 0;
    if (read(STDIN_FILENO, &key, 1) <= 0) return false;
    if (key == 'q' || key == 'Q' || key == '\x1b' || key == '\x03') return false;
  }
  return true;
}

}  // namespace

int watch(const Instance& instance) {
  if (isatty(STDOUT_FILENO) == 0) {
    complain("status --watch: standard output is no terminal; use status, or status --json");
    return kUsage;
  }
  const sigset_t signals = watched_signals();
  sigset_t before;
  sigprocmask(SIG_BLOCK, &signals, &before);
  const UniqueFd events(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  State state;
  refresh(instance, state);
  if (!state.status) {
    complain(state.trouble);
    return kUnavailable;
  }
  {
    const Screen screen;
    Instant next = Clock::now() + kRefresh;
    for (int resized = 0;;) {
      draw(state);
      if (!obey(events.get(), resized)) break;
      if (resized == 0 || Clock::now() >= next) {
        refresh(instance, state);
        next = Clock::now() + kRefresh;
      }
    }
  }
  sigprocmask(SIG_SETMASK, &before, nullptr);
  return kOk;
}

}  // namespace keybearer::cli
