// The application of the scenarios: appends one JSON line to a run log at its start, at each signal and at its end.
//
//   app RUNLOG [--file F]... [--exit CODE] [--exit-first N CODE] [--life SECONDS] [--on-term CODE|ignore] [--slow-term SECONDS]
//
//   --file F          the line shows the content of F
//   --exit CODE       ends at once with CODE
//   --exit-first N C  ends at once with C when fewer than N starts are in the run log before this one
//   --life SECONDS    ends by itself after this time, with --exit's code or 0; 0 = at once
//   --on-term CODE    ends with CODE at SIGTERM or SIGINT (default 0); "ignore" goes on
//   --slow-term SEC   takes this long to end
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static const char *runlog;
static const char *files[32];
static int file_count;

struct Text { char *at; size_t size, room; };

static void add(struct Text *t, const char *bytes, size_t n) {
  if (t->size + n + 1 > t->room) {
    t->room = (t->size + n + 1) * 2;
    t->at = realloc(t->at, t->room);
    if (t->at == NULL) abort();
  }
  memcpy(t->at + t->size, bytes, n);
  t->size += n;
}

static void addf(struct Text *t, const char *format, ...) {
  char buffer[256];
  va_list args;
  va_start(args, format);
  const int n = vsnprintf(buffer, sizeof buffer, format, args);
  va_end(args);
  add(t, buffer, (size_t)n);
}

// Bytes beyond ASCII become \u00XX: the reader turns Latin-1 back into bytes.
static void add_string(struct Text *t, const char *bytes, size_t n) {
  add(t, "\"", 1);
  for (size_t i = 0; i < n; ++i) {
    const unsigned char c = (unsigned char)bytes[i];
    if (c == '"' || c == '\\') addf(t, "\\%c", c);
    else if (c < 0x20 || c >= 0x7f) addf(t, "\\u%04x", c);
    else add(t, (const char *)&c, 1);
  }
  add(t, "\"", 1);
}

static void add_file(struct Text *t, const char *path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    addf(t, "null");
    return;
  }
  static char content[1 << 20];
  size_t size = 0;
  for (ssize_t n; size < sizeof content && (n = read(fd, content + size, sizeof content - size)) > 0;) size += (size_t)n;
  close(fd);
  add_string(t, content, size);
}

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void append(struct Text *t) {
  add(t, "}\n", 2);
  const int fd = open(runlog, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, t->at, t->size) != (ssize_t)t->size) _exit(99);
  close(fd);
  free(t->at);
}

static struct Text begin(const char *event) {
  struct Text t = {0};
  addf(&t, "{\"event\":\"%s\",\"pid\":%d,\"time\":%.6f", event, (int)getpid(), now());
  return t;
}

static void add_files(struct Text *t) {
  addf(t, ",\"files\":{");
  for (int i = 0; i < file_count; ++i) {
    if (i > 0) addf(t, ",");
    add_string(t, files[i], strlen(files[i]));
    addf(t, ":");
    add_file(t, files[i]);
  }
  addf(t, "}");
}

static void log_start(char **argv) {
  struct Text t = begin("start");
  addf(&t, ",\"uid\":%d,\"argv\":[", (int)getuid());
  for (int i = 0; argv[i] != NULL; ++i) {
    if (i > 0) addf(&t, ",");
    add_string(&t, argv[i], strlen(argv[i]));
  }
  addf(&t, "],\"env\":{");
  for (int i = 0; environ[i] != NULL; ++i) {
    const char *equals = strchr(environ[i], '=');
    if (equals == NULL) continue;
    if (i > 0) addf(&t, ",");
    add_string(&t, environ[i], (size_t)(equals - environ[i]));
    addf(&t, ":");
    add_string(&t, equals + 1, strlen(equals + 1));
  }
  addf(&t, "}");
  add_files(&t);
  append(&t);
}

static void log_signal(int number) {
  struct Text t = begin("signal");
  addf(&t, ",\"signal\":%d", number);
  add_files(&t);
  append(&t);
}

static int finish(int code) {
  struct Text t = begin("exit");
  addf(&t, ",\"code\":%d", code);
  append(&t);
  return code;
}

static int starts_before(void) {
  FILE *f = fopen(runlog, "r");
  if (f == NULL) return 0;
  int count = 0;
  char head[18];
  int at = 0;
  for (int c; (c = getc(f)) != EOF;) {
    if (at < 17) head[at] = (char)c;
    if (at == 16 && memcmp(head, "{\"event\":\"start\",", 17) == 0) ++count;
    at = c == '\n' ? 0 : at + 1;
  }
  fclose(f);
  return count;
}

static void sleep_for(double seconds) {
  struct timespec ts = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
  nanosleep(&ts, NULL);
}

int main(int argc, char **argv) {
  int exit_code = 0, exit_now = 0, term_code = 0, term_ignored = 0, first_count = 0, first_code = 0;
  double life = -1, slow = 0;
  if (argc < 2) return 64;
  runlog = argv[1];
  for (int i = 2; i < argc; ++i) {
    const char *value = i + 1 < argc ? argv[i + 1] : "";
    if (strcmp(argv[i], "--file") == 0 && file_count < 32) files[file_count++] = value, ++i;
    else if (strcmp(argv[i], "--exit") == 0) exit_code = atoi(value), exit_now = 1, ++i;
    else if (strcmp(argv[i], "--exit-first") == 0 && i + 2 < argc) first_count = atoi(value), first_code = atoi(argv[i + 2]), i += 2;
    else if (strcmp(argv[i], "--life") == 0) life = atof(value), ++i;
    else if (strcmp(argv[i], "--slow-term") == 0) slow = atof(value), ++i;
    else if (strcmp(argv[i], "--on-term") == 0) {
      term_ignored = strcmp(value, "ignore") == 0;
      term_code = atoi(value);
      ++i;
    }
  }
  sigset_t all;
  sigemptyset(&all);
  const int watched[] = {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
  for (size_t i = 0; i < sizeof watched / sizeof *watched; ++i) sigaddset(&all, watched[i]);
  sigprocmask(SIG_BLOCK, &all, NULL);

  const int before = starts_before();
  log_start(argv);
  if (before < first_count) return finish(first_code);
  if (exit_now && life < 0) return finish(exit_code);
  const double end = life < 0 ? 0 : now() + life;
  for (;;) {
    siginfo_t info;
    int number = 0;
    if (end == 0) {
      number = sigwaitinfo(&all, &info);
    } else {
      const double left = end - now();
      if (left <= 0) return finish(exit_code);
      struct timespec ts = {(time_t)left, (long)((left - (double)(time_t)left) * 1e9)};
      number = sigtimedwait(&all, &info, &ts);
    }
    if (number <= 0) continue;
    log_signal(number);
    if ((number == SIGTERM || number == SIGINT || number == SIGQUIT) && !term_ignored) {
      sleep_for(slow);
      return finish(term_code);
    }
  }
}
