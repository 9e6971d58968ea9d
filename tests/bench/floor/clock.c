// Says the time, in nanoseconds of CLOCK_MONOTONIC, at the edges of a process.
//
//   clock exec FILE CMD ARG...   writes the time to FILE and becomes CMD
//   clock child FILE             appends "main TIME" to FILE, at SIGTERM "end TIME", and ends
//   clock once FILE              appends "main TIME" and ends
//   clock moved FILE FOLDER      appends "ready TIME", at the first file that is moved into FOLDER "moved TIME", and ends
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

static void say(const char *path, const char *what) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  char line[64];
  const int n = snprintf(line, sizeof line, "%s %lld\n", what, (long long)ts.tv_sec * 1000000000LL + ts.tv_nsec);
  const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, line, (size_t)n) != n) _exit(99);
  close(fd);
}

int main(int argc, char **argv) {
  if (argc < 3) return 64;
  if (strcmp(argv[1], "exec") == 0) {
    say(argv[2], "exec");
    execv(argv[3], argv + 3);
    return 127;
  }
  if (strcmp(argv[1], "moved") == 0) {
    char event[4096];
    const int fd = inotify_init();
    if (argc < 4 || inotify_add_watch(fd, argv[3], IN_MOVED_TO) < 0) return 66;
    say(argv[2], "ready");
    if (read(fd, event, sizeof event) <= 0) return 74;
    say(argv[2], "moved");
    return 0;
  }
  say(argv[2], "main");
  if (strcmp(argv[1], "once") == 0) return 0;
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigprocmask(SIG_BLOCK, &stop, NULL);
  int number;
  sigwait(&stop, &number);
  say(argv[2], "end");
  return 0;
}
