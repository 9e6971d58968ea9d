#pragma once
// From secrets to files and the child: evaluates the templates when a secret changed, writes what
// differs, and offers each complete change set, which is one value with an id, to verification and
// the supervisor. What the child really has comes back as that id: only then may what it replaced
// be revoked.
//
//     store event -> evaluate (beside the loop) -> files -> verify -> supervisor -> applied(id)
//
// Decides nothing about the start (agent/start_policy) or the end (agent/lifecycle). One executor,
// one thread; everything in Links must outlive run(). Rules: R1 to R3, R7 to R9, S2, P3.

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "agent/agent.hpp"
#include "agent/change_reasons.hpp"
#include "agent/rendering.hpp"
#include "agent/start_policy.hpp"
#include "agent/token_sinks.hpp"
#include "auth/auth_loop.hpp"
#include "base/backoff.hpp"
#include "child/supervisor.hpp"
#include "child/verifier.hpp"
#include "delivery/files.hpp"
#include "delivery/hooks.hpp"
#include "secrets/secret_store.hpp"
#include "vault/session.hpp"

namespace keybearer {

class DeliveryLoop {
 public:
  struct Links {
    vault::Session& session;
    secrets::SecretStore& secrets;
    const auth::AuthLoop& auth;
    delivery::Files& files;
    delivery::Hooks& hooks;
    const TokenSinks& sinks;
    child::Supervisor* supervisor;  // null: no child
    const EnvBlock& environment;    // ours
    Random& random;
  };
  struct Callbacks {
    std::function<void()> ready;          // the first complete set is written; no child is started
    std::function<void()> child_offered;  // ... and the supervisor has it
    std::function<void(int code, const Error& reason)> failed;
    std::function<void(std::string_view event, std::string_view reason)> notify;
  };

  DeliveryLoop(std::shared_ptr<Rendering> rendering, Mode mode, Links links, Callbacks callbacks);

  // All until cancelled.
  [[nodiscard]] boost::asio::awaitable<void> run();
  [[nodiscard]] boost::asio::awaitable<void> verify() { return verifier_.run(); }
  [[nodiscard]] boost::asio::awaitable<void> follow_child();

  // Other templates: evaluated at once. The first pass after it decides what is let go.
  void replace(std::shared_ptr<Rendering> rendering);
  [[nodiscard]] Event& replaced() { return replaced_; }

  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] const Rendering& rendering() const { return *rendering_; }
  [[nodiscard]] StartFacts start_facts() const;  // of the last evaluation
  [[nodiscard]] const StartRules& start_rules() const { return start_rules_; }
  // What became of each file, by destination.
  struct FileStatus {
    unsigned mode = 0;                        // 0: not there yet
    std::optional<WallTime> written_at = {};  // by this run
    std::string error = {};                   // of the last write
    std::uint64_t written = 0, unchanged = 0, failed = 0;
  };
  [[nodiscard]] const std::map<std::string, FileStatus>& file_status() const {
    return file_status_;
  }
  // Ids of what the file's template asked for when it was last rendered. (While it is evaluated, the
  // renderer's own are its thread's.)
  [[nodiscard]] const std::vector<std::string>& asked_by(const std::string& destination) const;
  // Nothing more is begun: what is under way is given up.
  void stop();

 private:
  [[nodiscard]] bool once() const {
    return mode_ == Mode::run_once || mode_ == Mode::render_once || mode_ == Mode::preview;
  }
  [[nodiscard]] bool with_child() const { return links_.supervisor != nullptr; }

  boost::asio::awaitable<void> pass();
  boost::asio::awaitable<render::Evaluation> evaluate(bool use_defaults);
  boost::asio::awaitable<void> gather_first_answers(Instant wake);
  [[nodiscard]] bool start_is_over();
  void report(const std::vector<Error>& errors);
  boost::asio::awaitable<bool> write();
  bool on_file(const render::RenderedFile& file, const delivery::FileResult& result,
               bool changed_beside);
  // One for each: whether what it writes beside its own file changed.
  static boost::asio::awaitable<std::vector<result<bool>>> carry_out_effects(
      const std::vector<const render::RenderedFile*>& files);
  bool carry_out_for_variables();
  void run_command(const render::RenderedFile& file);
  void offer();
  void accepted(child::Desired set);
  void refused(const std::string& reason);
  void in_force(std::uint64_t id);
  [[nodiscard]] child::Items items() const;
  [[nodiscard]] std::string reasons(const std::vector<std::string>& ids) const;

  std::shared_ptr<Rendering> rendering_;
  Mode mode_;
  Links links_;
  Callbacks callbacks_;
  StartRules start_rules_;
  child::Verifier verifier_;

  Instant begun_ = Clock::now();
  bool ready_ = false;
  bool stopping_ = false;
  std::shared_ptr<std::atomic<bool>> break_off_;  // of the last evaluation
  Event replaced_;                                // the templates and the rules, by a reload

  std::uint64_t evaluated_ = 0;  // generation of secrets.changed() at the last evaluation
  render::Evaluation evaluation_;
  LoggedGenerations logged_generations_;
  std::set<std::string> reported_errors_;                  // in force, and logged
  std::map<std::string, std::uint64_t> variable_effects_;  // carried out: fingerprints by name
  std::map<std::string, std::uint64_t> written_;       // destination -> generation of its content
  std::map<std::string, std::string> write_failures_;  // destination -> why, as logged
  std::map<std::string, FileStatus> file_status_;
  std::map<std::string, std::vector<std::string>> asked_;  // destination -> ids
  std::optional<Instant> write_again_;
  Backoff write_backoff_{{.min = std::chrono::seconds(1), .max = std::chrono::minutes(1)}};

  std::uint64_t last_set_ = 0;                         // id
  std::map<std::uint64_t, lease::InUse> set_sources_;  // of sets that the child may have or get
};

}  // namespace keybearer
