#pragma once
// The one owner of what has to be revoked: leases and issued tokens that have a successor or that
// nobody asks for any more. (Login tokens are auth/'s: leases die with their maker, so that these
// live until the exit.)
//
//     revocations.retire({.secret = id, .generation = 3, .path = path, .lease_id = lease, ...});
//     revocations.applied(in_use);           // what the program really has now
//     co_await revocations.revoke_all(deadline);   // at exit
//
// A superseded lease is revoked once nothing in use is as old as it, and its drain is over; never
// before, whatever fails on the way. The drain is never longer than what is left of the lease, less
// a second. One that ends while it is still in use is told to `on_expired` (not before the first
// applied(): a start that still waits has given nothing to anybody). A revocation that gets
// no answer is tried again until the lease ends by itself. One that is on its way when run() is
// cancelled goes on: revoke_all() waits for it and does not send it again. Rules: behaviour sections
// 2 and 7, T5, T8.
//
// One executor, one thread. The client must outlive it.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/backoff.hpp"
#include "base/event.hpp"
#include "base/task_group.hpp"
#include "base/time.hpp"
#include "vault/client.hpp"

namespace keybearer::lease {

// By the id of a secret: the oldest generation of its value that a program, a file or a set on its
// way there has.
using InUse = std::map<std::string, std::uint64_t, std::less<>>;

// A lease, or a token that a secret's answer gave.
struct Superseded {
  std::string secret;            // the id of the secret whose value it belongs to
  std::uint64_t generation = 0;  // of that value
  std::string path;              // for logs
  std::string lease_id;          // empty: `token` itself is revoked
  vault::Token token = {};
  std::optional<Instant> end = {};                  // of the lease; nullopt: none
  Duration drain{};                                 // from when its successor is in use
  std::optional<std::string> vault_namespace = {};  // else the client's
};

enum class Revoked { all, some, timed_out };

// What revoke_all() has done.
struct RevocationRound {
  std::size_t begun = 0, done = 0, failed = 0;
  bool denial_said = false;
};

class Revocations {
 public:
  // `on_expired`: a lease has ended while it was still in use (its path).
  Revocations(boost::asio::any_io_executor executor, vault::Client& client,
              std::function<void(const std::string& path)> on_expired = {});
  ~Revocations();

  // Ignores what has ended already, and what is held.
  void retire(Superseded superseded);
  void applied(const InUse& oldest);
  // The earliest end of what has a successor that is not in use yet; Instant::max(): none.
  [[nodiscard]] Instant earliest_expiry() const;
  // All that is held, for a restart of keybearer.
  [[nodiscard]] std::vector<Superseded> save() const;
  [[nodiscard]] std::size_t size() const { return leases_.size(); }

  // Revokes when it is time, until cancelled.
  [[nodiscard]] boost::asio::awaitable<void> run();
  // All that is held, at once. After run() has been cancelled.
  [[nodiscard]] boost::asio::awaitable<Revoked> revoke_all(Instant deadline);
  // Breaks off what is still on its way; needed where revoke_all() was left out.
  [[nodiscard]] boost::asio::awaitable<void> stop();

 private:
  struct Held {
    Superseded what;
    std::optional<Instant> revoke_at = {};  // set once its successor is in use
    Backoff backoff{{.min = std::chrono::seconds(1), .max = std::chrono::minutes(1)}};
    bool on_its_way = false;  // its revocation
  };
  using Round = RevocationRound;

  [[nodiscard]] Instant next_at() const;
  void drop_expired();
  void begin(std::list<Held>::iterator held);
  boost::asio::awaitable<void> ask(std::list<Held>::iterator held);
  static boost::asio::awaitable<result<>> revoke(vault::Client& client, Superseded what);
  static void conclude(const Superseded& what, const result<>& revoked, Round& round);

  vault::Client& client_;
  std::function<void(const std::string&)> on_expired_;
  std::list<Held> leases_;
  bool anything_applied_ = false;
  Event changed_;
  TaskGroup tasks_;             // what is on its way
  std::optional<Round> round_;  // begun by revoke_all()
};

// A lease in logs: 12 hex digits of the SHA-256 of its id, so that the id itself is nowhere;
// "token" of an issued token, which has none.
[[nodiscard]] std::string lease_hash(std::string_view lease_id);

}  // namespace keybearer::lease
