// The guard: a program of a few kilobytes that outlives a keybearer killed with SIGKILL (P8). It
// waits for the end of a pipe that keybearer holds, and then kills every process that carries one of
// the marks (process/mark.hpp), again until none is left. It holds no secret: a program of its own,
// embedded in keybearer and started from memory, without libc, so that it costs a few pages.
//
//     keybearer-guard MARK MARK    standard input: the pipe

#include <linux/types.h>
#include <sys/syscall.h>

namespace {

constexpr int kKill = 9;
constexpr int kResource = 10;                   // RLIMIT_LOCKS
constexpr int kSetName = 15;                    // PR_SET_NAME
constexpr int kDirectory = 0200000 | 02000000;  // O_DIRECTORY | O_CLOEXEC, x86-64
constexpr int kCurrentDirectory = -100;
constexpr int kRounds = 500;
constexpr long kInterrupted = -4;
constexpr long kNoSuchProcess = -3;

struct Limit {
  unsigned long now, most;
};
struct Time {
  long seconds, nanoseconds;
};
struct Entry {
  unsigned long inode;
  long offset;
  unsigned short size;
  unsigned char type;
  char name[];
};

long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
#if defined(__x86_64__)
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
               : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
#else
#error "the guard knows the system calls of x86-64 and aarch64"
#endif
}

long address(const void* pointer) {
  return reinterpret_cast<long>(pointer);
}

unsigned long number(const char*& text) {
  unsigned long value = 0;
  while (*text >= '0' && *text <= '9')
    value = value * 10 + static_cast<unsigned long>(*text++ - '0');
  return value;
}

// "/proc/PID/file" below the directory `proc`; how many bytes of it are read, ended by a NUL.
long read_file(long proc, long pid, const char* file, char* text, long size) {
  char path[32];
  char digits[20];
  int count = 0, length = 0;
  for (long rest = pid; rest > 0; rest /= 10) digits[count++] = static_cast<char>('0' + rest % 10);
  while (count > 0) path[length++] = digits[--count];
  path[length++] = '/';
  while (*file != '\0') path[length++] = *file++;
  path[length] = '\0';
  const long fd = call(SYS_openat, proc, address(path), 02000000);  // O_CLOEXEC
  if (fd < 0) return fd;
  long total = 0;
  for (long n; total < size - 1; total += n) {
    n = call(SYS_read, fd, address(text + total), size - 1 - total);
    if (n <= 0) break;
  }
  call(SYS_close, fd);
  text[total] = '\0';
  return total;
}

const char* find(const char* text, const char* word) {
  for (; *text != '\0'; ++text) {
    int i = 0;
    while (word[i] != '\0' && text[i] == word[i]) ++i;
    if (word[i] == '\0') return text + i;
  }
  return nullptr;
}

// The soft limit of file locks. Another user's is only in /proc.
unsigned long mark_of(long proc, long pid) {
  Limit limit{};
  if (call(SYS_prlimit64, pid, kResource, 0, address(&limit)) == 0) return limit.now;
  char text[4096];
  if (read_file(proc, pid, "limits", text, sizeof text) <= 0) return 0;
  const char* at = find(text, "Max file locks");
  if (at == nullptr) return 0;
  while (*at == ' ') ++at;
  return number(at);
}

bool is_zombie(long proc, long pid) {
  char text[512];
  if (read_file(proc, pid, "stat", text, sizeof text) <= 0) return true;
  const char* end = nullptr;
  for (const char* at = text; *at != '\0'; ++at) {
    if (*at == ')') end = at;  // the name before it may hold anything
  }
  return end == nullptr || end[1] == '\0' || end[2] == 'Z' || end[2] == 'X';
}

struct Marks {
  unsigned long one, other;
  [[nodiscard]] bool has(unsigned long mark) const {
    return mark != 0 && (mark == one || mark == other);
  }
};

// False: it is none of those, or gone.
bool kill_marked(long proc, long pid, const Marks& marks) {
  if (!marks.has(mark_of(proc, pid)) || is_zombie(proc, pid)) return false;
  const long pidfd = call(SYS_pidfd_open, pid);
  if (pidfd == kNoSuchProcess) return false;
  if (pidfd < 0) return call(SYS_kill, pid, kKill) == 0;
  // From here on it is one process; is it still the one that was looked at?
  const bool same = marks.has(mark_of(proc, pid));
  if (same) call(SYS_pidfd_send_signal, pidfd, kKill);
  call(SYS_close, pidfd);
  return same;
}

bool kill_all(const Marks& marks) {
#if defined(__aarch64__)
  constexpr int flags = 040000 | 02000000;
#else
  constexpr int flags = kDirectory;
#endif
  const long proc = call(SYS_openat, kCurrentDirectory, address("/proc"), flags);
  if (proc < 0) return false;
  bool some = false;
  alignas(8) char buffer[4096];
  for (long n; (n = call(SYS_getdents64, proc, address(buffer), sizeof buffer)) > 0;) {
    for (long at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const Entry*>(buffer + at);
      at += entry->size;
      const char* name = entry->name;
      const long pid = static_cast<long>(number(name));
      if (pid > 1 && *name == '\0') some |= kill_marked(proc, pid, marks);
    }
  }
  call(SYS_close, proc);
  return some;
}

}  // namespace

extern "C" [[noreturn]] __attribute__((used)) void guard(const long* stack) {
  Marks marks{};
  if (stack[0] >= 3) {
    const char* one = reinterpret_cast<const char*>(stack[2]);
    const char* other = reinterpret_cast<const char*>(stack[3]);
    marks = {number(one), number(other)};
  }
  call(SYS_prctl, kSetName, address("keybearer-guard"));
  char byte;
  for (long n; (n = call(SYS_read, 0, address(&byte), 1)) != 0;) {
    if (n < 0 && n != kInterrupted) break;
  }
  const Time pause{0, 10'000'000};
  for (int round = 0; round < kRounds && kill_all(marks); ++round) {
    call(SYS_nanosleep, address(&pause), 0);
  }
  for (;;) call(SYS_exit_group, 0);
}

#if defined(__x86_64__)
asm(".globl _start\n_start:\n  xor %ebp, %ebp\n  mov %rsp, %rdi\n  and $-16, %rsp\n  call guard\n");
#else
asm(".globl _start\n_start:\n  mov x29, 0\n  mov x0, sp\n  bl guard\n");
#endif

// What a compiler may call although nothing is linked.
extern "C" void* memset(void* to, int value, unsigned long size) {
  auto* bytes = static_cast<volatile char*>(to);
  for (unsigned long i = 0; i < size; ++i) bytes[i] = static_cast<char>(value);
  return to;
}
extern "C" void* memcpy(void* to, const void* from, unsigned long size) {
  auto* bytes = static_cast<volatile char*>(to);
  for (unsigned long i = 0; i < size; ++i) bytes[i] = static_cast<const char*>(from)[i];
  return to;
}
