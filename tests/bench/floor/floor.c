// The floor: the same requests as keybearer's, and nothing else. What keybearer takes beyond it is its own.
//
//     floor start PORT ROLE_ID SECRET_ID PATH CMD ARG...      connect, log in, read, put the answer into a variable, exec
//     floor start-tls PORT CA ROLE_ID SECRET_ID PATH CMD ...  the same over https, the authority given
//     floor file PORT ROLE_ID SECRET_ID PATH FILE             connect, log in, read, write the file with fsync and rename
//     floor read PORT TOKEN COUNT CONNECTIONS [DIR]           kv/data/s0 ... on so many connections, then into files at once
//     floor poll PORT TOKEN PATH                              once a second on one kept connection, until killed
//
// cc -O2 -static floor.c -lssl -lcrypto -lpthread (with -DNO_TLS: without OpenSSL)
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifndef NO_TLS
#include <openssl/ssl.h>
#else
typedef void SSL;
#endif

struct peer {
  int fd;
  SSL* ssl;
};

static void die(const char* what) {
  perror(what);
  exit(1);
}

static struct peer connect_to(int port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct peer peer = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  int on = 1;
  setsockopt(peer.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(peer.fd, (struct sockaddr*)&at, sizeof at)) die("connect");
  return peer;
}

#ifndef NO_TLS
static void secure(struct peer* peer, const char* ca) {
  OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  if (!SSL_CTX_load_verify_file(context, ca)) die("authority");
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  peer->ssl = SSL_new(context);
  X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(peer->ssl), "127.0.0.1");
  SSL_set_fd(peer->ssl, peer->fd);
  if (SSL_connect(peer->ssl) != 1) die("handshake");
}
#endif

static ssize_t put(struct peer* peer, const char* text, size_t size) {
#ifndef NO_TLS
  if (peer->ssl) return SSL_write(peer->ssl, text, (int)size);
#endif
  return write(peer->fd, text, size);
}

static ssize_t get(struct peer* peer, char* into, size_t size) {
#ifndef NO_TLS
  if (peer->ssl) return SSL_read(peer->ssl, into, (int)size);
#endif
  return read(peer->fd, into, size);
}

// One request and its whole answer; returns the body, at the end of `buffer`'s text.
static char* ask(struct peer* peer, const char* method, const char* path, const char* token, const char* body, char* buffer, size_t room) {
  int n = snprintf(buffer, room, "%s /v1/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Vault-Request: true\r\n%s%s%sContent-Length: %zu\r\n\r\n%s",
                   method, path, token ? "X-Vault-Token: " : "", token ? token : "", token ? "\r\n" : "", strlen(body), body);
  if (put(peer, buffer, (size_t)n) != n) die("write");
  size_t have = 0;
  for (;;) {
    ssize_t more = get(peer, buffer + have, room - 1 - have);
    if (more <= 0) die("read");
    have += (size_t)more;
    buffer[have] = 0;
    char* end = strstr(buffer, "\r\n\r\n");
    if (!end) continue;
    char* length = strcasestr(buffer, "\r\ncontent-length:");
    if (!length) die("length");
    if (have - (size_t)(end + 4 - buffer) >= strtoul(length + 17, NULL, 10)) return end + 4;
  }
}

static const char* text_of(char* json, const char* key) {
  char* at = strstr(json, key);
  if (!at) die(key);
  at += strlen(key);
  *strchr(at, '"') = 0;
  return at;
}

static char* log_in_and_read(struct peer* peer, char** argv, char* buffer, size_t room) {
  char body[512], token[256];
  snprintf(body, sizeof body, "{\"role_id\":\"%s\",\"secret_id\":\"%s\"}", argv[0], argv[1]);
  char* reply = ask(peer, "POST", "auth/approle/login", NULL, body, buffer, room);
  snprintf(token, sizeof token, "%s", text_of(reply, "\"client_token\":\""));
  return ask(peer, "GET", argv[2], token, "", buffer, room);
}

static void write_file(const char* name, const char* text) {
  char temporary[300];
  snprintf(temporary, sizeof temporary, "%s.new", name);
  int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, text, strlen(text)) < 0 || fsync(fd)) die(temporary);
  close(fd);
  if (rename(temporary, name)) die(name);
}

struct share {
  int port, first, step, count;
  const char* token;
  char (*values)[128];
};

static void* read_share(void* given) {
  struct share* share = given;
  struct peer peer = connect_to(share->port);
  static _Thread_local char buffer[65536];
  char path[64];
  for (int i = share->first; i < share->count; i += share->step) {
    snprintf(path, sizeof path, "kv/data/s%d", i);
    char* reply = ask(&peer, "GET", path, share->token, "", buffer, sizeof buffer);
    snprintf(share->values[i], 128, "%s", text_of(reply, "\"value\":\""));
  }
  close(peer.fd);
  return NULL;
}

static void read_all(int argc, char** argv) {
  int count = atoi(argv[2]), connections = atoi(argv[3]);
  char(*values)[128] = calloc((size_t)count, 128);
  pthread_t threads[64];
  struct share shares[64];
  for (int i = 0; i < connections; ++i) {
    shares[i] = (struct share){atoi(argv[0]), i, connections, count, argv[1], values};
    pthread_create(&threads[i], NULL, read_share, &shares[i]);
  }
  for (int i = 0; i < connections; ++i) pthread_join(threads[i], NULL);
  if (argc < 5) return;
  if (chdir(argv[4])) die(argv[4]);
  int dir = open(".", O_RDONLY | O_DIRECTORY);
  char name[32], temporary[40];
  for (int i = 0; i < count; ++i) {
    snprintf(temporary, sizeof temporary, "f%d.new", i);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || write(fd, values[i], strlen(values[i])) < 0) die(temporary);
    close(fd);
  }
  syncfs(dir);
  for (int i = 0; i < count; ++i) {
    snprintf(name, sizeof name, "f%d", i);
    snprintf(temporary, sizeof temporary, "f%d.new", i);
    rename(temporary, name);
  }
  fsync(dir);
}

int main(int argc, char** argv) {
  static char buffer[1 << 20];
  if (argc < 3) return 64;
  const char* verb = argv[1];
  if (!strcmp(verb, "read")) {
    read_all(argc - 2, argv + 2);
    return 0;
  }
  struct peer peer = connect_to(atoi(argv[2]));
  if (!strcmp(verb, "start")) {
    setenv("V0", text_of(log_in_and_read(&peer, argv + 3, buffer, sizeof buffer), "\"value\":\""), 1);
    execvp(argv[6], argv + 6);
    die(argv[6]);
#ifndef NO_TLS
  } else if (!strcmp(verb, "start-tls")) {
    secure(&peer, argv[3]);
    setenv("V0", text_of(log_in_and_read(&peer, argv + 4, buffer, sizeof buffer), "\"value\":\""), 1);
    execvp(argv[7], argv + 7);
    die(argv[7]);
#endif
  } else if (!strcmp(verb, "file")) {
    write_file(argv[6], text_of(log_in_and_read(&peer, argv + 3, buffer, sizeof buffer), "\"value\":\""));
  } else if (!strcmp(verb, "poll")) {
    for (;;) {
      ask(&peer, "GET", argv[4], argv[3], "", buffer, sizeof buffer);
      nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
  }
  return 64;
}
