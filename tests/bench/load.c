// Asks an HTTP server as fast as it answers, on kept connections, and says how fast that was.
//
//     load ask WHERE PATH CONNECTIONS SECONDS    one request at a time on each; prints "ANSWERS_PER_SECOND P50_US P99_US"
//     load once WHERE PATH CONNECTIONS           the same request on all at the same time, once; prints its statuses: "200 200 .."
//     load hold WHERE PATH CONNECTIONS           a request on each, then prints "holding" and keeps them until killed
//     load serve PORT BYTES                      the floor: answers every request with the same 200 of so many bytes
//
// WHERE: a port on 127.0.0.1, or the path of a unix socket. In PATH, %d is the number of the connection. $TOKEN goes out as X-Vault-Token.
// An answer other than 200 ends it with 1.
//
// cc -O2 -static load.c
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 65536, EVENTS = 64 };

struct connection {
  int fd;
  char* request;
  long long asked;
  size_t have;
  char buffer[ROOM];
};

static void die(const char* what) {
  perror(what);
  exit(1);
}

static long long now_ns(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (long long)ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int connect_to(const char* where) {
  int on = 1;
  if (strchr(where, '/')) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", where);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr*)&at, sizeof at)) die(where);
    return fd;
  }
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(where)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd, (struct sockaddr*)&at, sizeof at)) die(where);
  return fd;
}

static void send_request(struct connection* c) {
  c->have = 0;
  c->asked = now_ns();
  const size_t size = strlen(c->request);
  if (write(c->fd, c->request, size) != (ssize_t)size) die("write");
}

// The status of an answer that is whole, or 0: more must come.
static int whole_answer(struct connection* c) {
  c->buffer[c->have] = 0;
  char* end = strstr(c->buffer, "\r\n\r\n");
  if (!end) return 0;
  char* length = strcasestr(c->buffer, "\r\ncontent-length:");
  if (!length || length > end) {
    fprintf(stderr, "an answer without a length: %s\n", c->buffer);
    exit(1);
  }
  if (c->have < (size_t)(end + 4 - c->buffer) + strtoul(length + 17, NULL, 10)) return 0;
  return atoi(c->buffer + 9);
}

static int read_some(struct connection* c) {
  ssize_t n = read(c->fd, c->buffer + c->have, ROOM - 1 - c->have);
  if (n <= 0) die("read");
  c->have += (size_t)n;
  return whole_answer(c);
}

static char* request_of(const char* path, int connection) {
  const char* token = getenv("TOKEN");
  const int has = token && *token;
  char* request = malloc(4096);
  int n = sprintf(request, "GET ");
  n += snprintf(request + n, 1024, path, connection);
  snprintf(request + n, 3000, " HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: load\r\nX-Vault-Request: true\r\n%s%s%s\r\n",
           has ? "X-Vault-Token: " : "", has ? token : "", has ? "\r\n" : "");
  return request;
}

static struct connection* open_all(const char* where, const char* path, int count) {
  struct connection* all = calloc((size_t)count, sizeof *all);
  for (int i = 0; i < count; ++i) all[i] = (struct connection){.fd = connect_to(where), .request = request_of(path, i)};
  return all;
}

static void expect_200(const struct connection* c, int status) {
  if (status == 200) return;
  fprintf(stderr, "not a 200: %.*s\n", (int)c->have, c->buffer);
  exit(1);
}

static int by_size(const void* a, const void* b) {
  const unsigned x = *(const unsigned*)a, y = *(const unsigned*)b;
  return x < y ? -1 : x > y;
}

static void ask(const char* where, const char* path, int count, double seconds) {
  struct connection* all = open_all(where, path, count);
  const int poll = epoll_create1(0);
  for (int i = 0; i < count; ++i) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
    epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event);
  }
  const size_t most = 1 << 22;
  unsigned* took = malloc(most * sizeof *took);
  size_t answers = 0;
  const long long begin = now_ns(), end = begin + (long long)(seconds * 1e9);
  for (int i = 0; i < count; ++i) send_request(&all[i]);
  while (now_ns() < end) {
    struct epoll_event events[EVENTS];
    // One connection alone is waited for by its read: no other call in its round trip.
    const int ready = count == 1 ? 1 : epoll_wait(poll, events, EVENTS, 1000);
    if (count == 1) events[0].data.ptr = &all[0];
    for (int i = 0; i < ready; ++i) {
      struct connection* c = events[i].data.ptr;
      const int status = read_some(c);
      if (!status) continue;
      expect_200(c, status);
      if (answers < most) took[answers] = (unsigned)((now_ns() - c->asked) / 1000);
      ++answers;
      send_request(c);
    }
  }
  const double ran = (double)(now_ns() - begin) / 1e9;
  const size_t kept = answers < most ? answers : most;
  if (kept == 0) die("no answer");
  qsort(took, kept, sizeof *took, by_size);
  printf("%.0f %u %u\n", (double)answers / ran, took[kept / 2], took[kept * 99 / 100]);
}

static void once(const char* where, const char* path, int count) {
  struct connection* all = open_all(where, path, count);
  for (int i = 0; i < count; ++i) send_request(&all[i]);
  for (int i = 0; i < count; ++i) {
    int status;
    while (!(status = read_some(&all[i]))) continue;
    printf("%d%c", status, i + 1 < count ? ' ' : '\n');
  }
}

static void hold(const char* where, const char* path, int count) {
  struct connection* all = open_all(where, path, count);
  for (int i = 0; i < count; ++i) {
    send_request(&all[i]);
    int status;
    while (!(status = read_some(&all[i]))) continue;
    expect_200(&all[i], status);
  }
  puts("holding");
  fflush(stdout);
  pause();
}

static void serve(int port, size_t bytes) {
  char* answer = malloc(bytes + 256);
  int head = sprintf(answer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", bytes);
  memset(answer + head, 'x', bytes);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), poll = epoll_create1(0);
  int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr*)&at, sizeof at) || listen(listener, 1024)) die("listen");
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
  epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    struct epoll_event events[EVENTS];
    const int ready = epoll_wait(poll, events, EVENTS, -1);
    for (int i = 0; i < ready; ++i) {
      static char buffer[ROOM];
      int fd = events[i].data.fd;
      if (fd == listener) {
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        event = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
        continue;
      }
      const ssize_t n = read(fd, buffer, sizeof buffer - 1);  // a request comes in one piece
      if (n <= 0 || write(fd, answer, (size_t)head + bytes) < 0) close(fd);
    }
  }
}

int main(int argc, char** argv) {
  if (argc >= 6 && !strcmp(argv[1], "ask")) {
    ask(argv[2], argv[3], atoi(argv[4]), atof(argv[5]));
  } else if (argc >= 5 && !strcmp(argv[1], "once")) {
    once(argv[2], argv[3], atoi(argv[4]));
  } else if (argc >= 5 && !strcmp(argv[1], "hold")) {
    hold(argv[2], argv[3], atoi(argv[4]));
  } else if (argc >= 4 && !strcmp(argv[1], "serve")) {
    serve(atoi(argv[2]), strtoul(argv[3], NULL, 10));
  } else {
    return 64;
  }
  return 0;
}
