#pragma once
// exec.verify: whether a new set may reach the program. A command tries the set; when it fails,
// leased secrets are fetched again and it is tried again after a pause; after so many attempts in a
// row the set is refused until a newer one comes. Pure: whoever feeds it runs the command.
//
//     idle --offered--> trying --good--> accepted, until another set is offered
//                         |\--bad--> waiting --deadline--> fetching --offered--> trying
//                         \---bad, the last attempt--> refused, until another set is offered

#include <cstdint>
#include <optional>

#include "base/time.hpp"
#include "config/config.hpp"

namespace keybearer::child {

class VerifyFsm {
 public:
  enum class Do {
    nothing,
    run,      // the command, with the newest set; answered() tells how it went
    accept,   // the newest set reaches the program
    wait,     // until deadline()
    refetch,  // leased secrets are fetched again and offered, or refetch_unavailable()
    refuse,   // the program keeps what it has
  };

  explicit VerifyFsm(const config::Exec::Verify& rules)
      : attempts_(rules.attempts), backoff_(rules.backoff) {}

  // Other rules, or another command: what is under way and what was refused by the old ones is
  // forgotten, so that the next offer is tried; what has been accepted stays so.
  void configure(const config::Exec::Verify& rules);

  // `set` stands for its contents: an equal one is the same set. Newest wins.
  [[nodiscard]] Do offered(std::uint64_t set);
  [[nodiscard]] Do answered(bool good, Instant now);
  [[nodiscard]] Do due(Instant now);
  [[nodiscard]] Do refetch_unavailable() { return run(); }

  [[nodiscard]] std::optional<Instant> deadline() const { return again_at_; }
  // The newest set has been accepted.
  [[nodiscard]] bool accepted() const { return newest_ && newest_ == good_; }
  [[nodiscard]] int failures() const { return failures_; }

 private:
  Do run();

  int attempts_;
  Duration backoff_;
  std::optional<std::uint64_t> newest_, trying_, good_, refused_;
  std::optional<Instant> again_at_;
  bool fetching_ = false;
  int failures_ = 0;  // in a row
};

}  // namespace keybearer::child
