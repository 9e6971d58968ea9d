#pragma once
// The terminal that is our stdin, if it is one: the program gets its foreground while it runs, so
// that it reads from it and Ctrl-C and Ctrl-Z are the program's alone (tcsetpgrp(3), job control).

#include <sys/types.h>

namespace keybearer {

class Terminal {
 public:
  // Are we in the foreground (by ourselves, or by the program we lent it to)? From then on, writing
  // to the terminal or taking it back from the background does not stop us (SIGTTOU).
  [[nodiscard]] bool ours(pid_t lent_to) const;
  void take_back(pid_t lent_to) const;
  // The program was suspended: so are we, for the shell to see it. Returns when we are resumed,
  // with the terminal lent again if the shell gave it to us.
  void suspend(pid_t lent_to) const;
};

}  // namespace keybearer
