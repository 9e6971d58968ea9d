#include "process/terminal.hpp"

#include <signal.h>
#include <unistd.h>

namespace keybearer {
namespace {

pid_t foreground() {
  return isatty(STDIN_FILENO) != 0 ? tcgetpgrp(STDIN_FILENO) : -1;
}

}  // namespace

bool Terminal::ours(pid_t lent_to) const {
  const pid_t group = foreground();
  if (group < 0 || (group != getpgrp() && group != lent_to)) return false;
  signal(SIGTTOU, SIG_IGN);
  return true;
}

void Terminal::take_back(pid_t lent_to) const {
  if (lent_to > 0 && foreground() == lent_to) tcsetpgrp(STDIN_FILENO, getpgrp());
}

void Terminal::suspend(pid_t lent_to) const {
  take_back(lent_to);
  // Our whole group: a shell's job may be more than us. Without such a shell the kernel ignores it.
  kill(0, SIGTSTP);
  if (foreground() == getpgrp()) tcsetpgrp(STDIN_FILENO, lent_to);
  kill(-lent_to, SIGCONT);
}

}  // namespace keybearer
