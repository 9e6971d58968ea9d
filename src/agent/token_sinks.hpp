#pragma once
// [[auto_auth.sink]]: files with the token in force, for other programs. Written by the same writer
// as rendered files (delivery::Files: R2, R10) at each new token, and never for a renewal, which
// changes no token. The program is not started before all of them are there.
//
//     if (auto good = sinks.check(); !good) end(73);   // before a login is spent
//     group.spawn(sinks.run());
//     sinks.token_changed();                           // a login has given another token
//
// One executor, one thread; client, auth, random and the callbacks' captures must outlive it.

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/auth_loop.hpp"
#include "base/backoff.hpp"
#include "base/event.hpp"
#include "config/config.hpp"
#include "delivery/files.hpp"
#include "vault/client.hpp"

namespace keybearer {

// What a sink's file gets; `ttl` in JSON is what is left, 0 where the token has no end.
[[nodiscard]] Secret sink_text(const vault::Token& token, const auth::TokenState& state,
                               config::Sink::Format format, WallTime now);
// Of a wrapping token, as Vault Agent writes it: {"token","accessor","ttl","creation_time",
// "creation_path","wrapped_accessor"}.
[[nodiscard]] Secret wrapped_sink_text(const vault::WrapInfo& wrap, config::Sink::Format format);

class TokenSinks {
 public:
  struct Callbacks {
    std::function<void()> published;  // every sink has the token in force
    // One can't be written, and none was complete yet.
    std::function<void(const Error& reason)> failed_at_start;
    std::function<void(std::string_view event, std::string_view reason)> notify;
  };

  // `removed_by_default`: at the end, where a sink does not say.
  TokenSinks(vault::Client& client, const auth::AuthLoop& auth, std::vector<config::Sink> sinks,
             bool removed_by_default, Random& random, Callbacks callbacks);

  // Can all be written? Error kind io, without writing.
  [[nodiscard]] result<> check() const;
  // Until cancelled.
  [[nodiscard]] boost::asio::awaitable<void> run();
  void token_changed() { changed_.set(); }
  // Every sink has had a token; true when there is none.
  [[nodiscard]] bool published() const { return published_ || sinks_.empty(); }

  // Others, at a reload: what is new or changed is written at once; the file of one that is gone is
  // removed, unless its remove_on_exit says no.
  void configure(std::vector<config::Sink> sinks);
  void remove_on_exit() { files_.remove_on_exit(); }

 private:
  struct Sink {
    config::Sink spec;
    std::shared_ptr<const Secret> content = {};  // for the token `made_of`
    std::uint64_t made_of = 0, written = 0;      // numbers of tokens; 0: none
    std::string failure = {};                    // as logged
  };

  boost::asio::awaitable<bool> publish();
  boost::asio::awaitable<result<Secret>> content_of(config::Sink spec);
  bool on_result(Sink& sink, const delivery::FileResult& result, std::uint64_t number);
  void failed(Sink& sink, const Error& error);
  [[nodiscard]] delivery::FileTarget target_of(const config::Sink& spec) const;

  vault::Client& client_;
  const auth::AuthLoop& auth_;
  std::vector<Sink> sinks_;
  bool removed_by_default_;
  Random& random_;
  Callbacks callbacks_;
  delivery::Files files_;
  Event changed_;               // another token, or other sinks
  std::uint64_t revision_ = 0;  // of `sinks_`
  bool published_ = false;
  Backoff backoff_{{.min = std::chrono::seconds(1), .max = std::chrono::minutes(1)}};
};

[[nodiscard]] delivery::FileTarget target_of(const config::Sink& spec, bool removed_by_default);

}  // namespace keybearer
