#include "http/resolver.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <nss.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include "base/fd.hpp"

namespace keybearer::http {
namespace {

namespace asio = boost::asio;
using asio::ip::address;
using boost::system::error_code;

// Addresses without a look-up.
Addresses literal(const std::string& host) {
  if (host == "localhost" || host == "localhost.") {
    return {asio::ip::address_v4::loopback(), asio::ip::address_v6::loopback()};
  }
  error_code error;
  const auto numeric = asio::ip::make_address(host, error);
  return error ? Addresses{} : Addresses{numeric};
}

address address_of(const sockaddr& from) {
  if (from.sa_family == AF_INET) {
    sockaddr_in v4;
    memcpy(&v4, &from, sizeof v4);
    return asio::ip::address_v4(ntohl(v4.sin_addr.s_addr));
  }
  sockaddr_in6 v6;
  memcpy(&v6, &from, sizeof v6);
  asio::ip::address_v6::bytes_type bytes;
  std::ranges::copy(v6.sin6_addr.s6_addr, bytes.begin());
  return asio::ip::address_v6(bytes, v6.sin6_scope_id);
}

std::string reason(int code, int error_number) {
  switch (code) {
    case EAI_NONAME:
    case EAI_AGAIN:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
      return "name not found";
    case EAI_SYSTEM:
      return strerrordesc_np(error_number);
    default:
      return gai_strerror(code);
  }
}

// No module of the host's name service is loaded into a static program (it has no dynamic loader).
void use_built_in_services() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (getauxval(AT_BASE) == 0) __nss_configure_lookup("hosts", "files dns");
  });
}

// A thread that no signal is delivered to. Throws std::system_error when there can be no more.
template <class Work>
void start_thread(Work work) {
  struct Masked {
    sigset_t before;
    Masked() {
      sigset_t every;
      sigfillset(&every);
      pthread_sigmask(SIG_SETMASK, &every, &before);
    }
    ~Masked() { pthread_sigmask(SIG_SETMASK, &before, nullptr); }
  };
  const Masked masked;
  std::thread(std::move(work)).detach();
}

}  // namespace

// Shared by the thread and those who wait: whoever is last takes it away.
struct Resolver::Lookup {
  std::string host;
  UniqueFd done;                       // an eventfd: readable from then on
  std::atomic<bool> finished = false;  // what is below is the thread's until then
  Addresses found = {};
  std::string failure = {};

  Lookup(std::string h, UniqueFd d) : host(std::move(h)), done(std::move(d)) {}

  void run() noexcept {
    try {
      ask();
    } catch (const std::bad_alloc&) {
      found.clear();
      failure = "out of memory";  // short enough to need none
    }
    finished.store(true, std::memory_order_release);
    eventfd_write(done.get(), 1);
  }
  void ask() {
    addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;  // AF_UNSPEC is 0
    addrinfo* list = nullptr;
    const int code = getaddrinfo(host.c_str(), nullptr, &wanted, &list);
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, [](addrinfo* all) {
      if (all != nullptr) freeaddrinfo(all);
    });
    if (code != 0) failure = reason(code, errno);
    for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
      if (each->ai_family == AF_INET || each->ai_family == AF_INET6)
        found.push_back(address_of(*each->ai_addr));
    }
    if (found.empty() && failure.empty()) failure = "name not found";
  }
};

result<std::shared_ptr<Resolver::Lookup>> Resolver::join_or_start(const std::string& host) {
  auto& known = look_ups_[host];
  if (auto running = known.lock(); running && !running->finished) return running;
  UniqueFd done(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!done) return fail_errno(ErrorKind::network, "no look-up of the name", errno);
  use_built_in_services();
  auto begun = std::make_shared<Lookup>(host, std::move(done));
  try {
    start_thread([begun] { begun->run(); });
  } catch (const std::system_error& error) {  // a limit on threads: there may be room later
    return fail_errno(ErrorKind::network, "no thread to look up the name", error.code().value());
  }
  known = begun;
  return begun;
}

asio::awaitable<result<Addresses>> Resolver::look_up(std::string host, Limit limit) {
  const auto begun = join_or_start(host);
  if (!begun) co_return std::unexpected(begun.error());
  const auto& shared = *begun;
  const auto executor = co_await asio::this_coro::executor;
  asio::posix::stream_descriptor done(executor);  // one for each who waits
  const int own = fcntl(shared->done.get(), F_DUPFD_CLOEXEC, 0);
  if (own < 0) co_return fail_errno(ErrorKind::network, "no look-up of the name", errno);
  error_code error;
  done.assign(own, error);
  const Deadline guard(executor, limit.at, done);
  // Who is woken by what epoll(7) tells of another that was here before, waits again.
  do {
    co_await done.async_wait(asio::posix::stream_descriptor::wait_read,
                             asio::redirect_error(asio::use_awaitable, error));
  } while (!error && !shared->finished.load(std::memory_order_acquire));
  if (!shared->finished.load(std::memory_order_acquire)) {
    if (guard.passed()) co_return std::unexpected(limit.passed("looking up the name"));
    co_return fail(ErrorKind::network, "looking up the name: " + error.message());
  }
  if (!shared->failure.empty()) co_return fail(ErrorKind::network, shared->failure);
  co_return shared->found;
}

asio::awaitable<result<Addresses>> Resolver::addresses(std::string host, Limit limit) {
  result<Addresses> found = literal(host);
  if (found->empty()) found = co_await look_up(host, limit);
  const auto good = good_.find(host);
  if (found && good != good_.end()) {
    const auto first = std::ranges::find(*found, good->second);
    if (first != found->end()) std::rotate(found->begin(), first, first + 1);
  }
  co_return found;
}

void Resolver::remember_working(const std::string& host, const address& address) {
  good_[host] = address;
}

}  // namespace keybearer::http
