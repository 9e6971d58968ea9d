#pragma once
// The state on the disk: PATH holds the newest sealed state, PATH.counter how new it is at least,
// PATH.lock says that an instance uses them.
//
//     auto file = StateFile::open(config.state, key, binding);   // error kind config: 78
//     auto loaded = file->load();        // what was saved, or why it is refused (and set aside)
//     co_await file->save(state);        // beside the loop: nothing waits for the disk
//
// Written by delivery's writer: at every moment PATH is the old state or the new one, complete. The
// counter follows its state, so that a kill in between leaves a state that is newer than it. Its
// numbers are times in milliseconds, or one more than the last where the clock was set back: what
// was written before the counter was lost is older than all that comes after. What is refused is kept as PATH.refused, PATH.refused-2 ...; the next save makes a new one.
//
// One executor, one thread. Rules: section 5 of RULES.md (state).

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "lease/saved.hpp"
#include "process/pid_file.hpp"
#include "state/records.hpp"
#include "state/sealed.hpp"

namespace keybearer::state {

class StateFile {
 public:
  // `key`: 32 bytes. Error kind config: another instance uses it, or its directory can't be used.
  [[nodiscard]] static result<StateFile> open(std::string path, Secret key, Binding binding);

  struct Loaded {
    std::optional<Restored> restored;  // nullopt: there is none that can be used
    std::optional<Refusal> refusal;
    std::string kept_as;  // where a refused one is now
  };
  [[nodiscard]] Loaded load();

  // Errors are of kind io; what is on the disk is as it was then.
  [[nodiscard]] boost::asio::awaitable<result<>> save(lease::SavedState state);
  // Whose the states are that are saved from now on. False: as before.
  bool bind(Binding binding);
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  StateFile(std::string path, std::shared_ptr<const Secret> key, Binding binding, PidFile lock);
  [[nodiscard]] std::expected<Restored, Refusal> read();
  [[nodiscard]] std::expected<std::optional<std::uint64_t>, Refusal> read_counter();
  [[nodiscard]] std::string set_aside(const std::string& path) const;

  std::string path_;
  std::shared_ptr<const Secret> key_;
  Binding binding_;
  PidFile lock_;
  std::uint64_t counter_ = 0;  // of the newest that was written or read
  bool has_counter_ = false;   // it is on the disk
};

}  // namespace keybearer::state
