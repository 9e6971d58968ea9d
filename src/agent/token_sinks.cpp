#include "agent/token_sinks.hpp"

#include <time.h>

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "base/loop_guard.hpp"
#include "config/scalars.hpp"
#include "json/json.hpp"

namespace keybearer {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using Format = config::Sink::Format;

std::string quoted_list(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out += (out.empty() ? "" : ",") + json::quote(item);
  return "[" + out + "]";
}

std::string utc_text(WallTime time) {
  const time_t seconds = std::chrono::system_clock::to_time_t(time);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[sizeof "2026-11-29T10:00:00Z"];
  return {text, strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

std::string seconds_of(Duration time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(time).count());
}

}  // namespace

Secret sink_text(const vault::Token& token, const auth::TokenState& state, Format format,
                 WallTime now) {
  if (format == Format::token) return token->clone();
  const Duration left = state.expires ? *state.expires - Clock::now() : Duration(0);
  std::string text = R"({"token":)" + json::quote(token->reveal());
  text += R"(,"accessor":)" + json::quote(state.accessor);
  text += R"(,"entity_id":)" + json::quote(state.entity_id);
  text += R"(,"policies":)" + quoted_list(state.policies);
  text += std::string(R"(,"renewable":)") + (state.renewable ? "true" : "false");
  text += R"(,"ttl":)" + seconds_of(left);
  text += R"(,"creation_time":)" + json::quote(utc_text(now)) + "}";
  return Secret(std::move(text));
}

Secret wrapped_sink_text(const vault::WrapInfo& wrap, Format format) {
  if (format == Format::token) return wrap.token->clone();
  std::string text = R"({"token":)" + json::quote(wrap.token->reveal());
  text += R"(,"accessor":)" + json::quote(wrap.accessor);
  text += R"(,"ttl":)" + seconds_of(wrap.ttl);
  text += R"(,"creation_time":)" + json::quote(wrap.creation_time);
  text += R"(,"creation_path":)" + json::quote(wrap.creation_path);
  text += R"(,"wrapped_accessor":)" + json::quote(wrap.wrapped_accessor) + "}";
  return Secret(std::move(text));
}

delivery::FileTarget target_of(const config::Sink& spec, bool removed_by_default) {
  return {.destination = spec.path,
          .perms = spec.mode,
          .perms_given = spec.mode_given,
          .user = spec.user,
          .group = spec.group,
          .remove_on_exit = spec.remove_on_exit.value_or(removed_by_default),
          .command = {}};
}

TokenSinks::TokenSinks(vault::Client& client, const auth::AuthLoop& auth,
                       std::vector<config::Sink> sinks, bool removed_by_default, Random& random,
                       Callbacks callbacks)
    : client_(client),
      auth_(auth),
      removed_by_default_(removed_by_default),
      random_(random),
      callbacks_(std::move(callbacks)) {
  for (config::Sink& spec : sinks) sinks_.push_back({.spec = std::move(spec)});
}

delivery::FileTarget TokenSinks::target_of(const config::Sink& spec) const {
  return keybearer::target_of(spec, removed_by_default_);
}

result<> TokenSinks::check() const {
  for (const Sink& sink : sinks_) {
    if (auto good = delivery::check_destination(target_of(sink.spec)); !good)
      return std::unexpected(std::move(good).error().within("auto_auth.sink"));
  }
  return {};
}

void TokenSinks::configure(std::vector<config::Sink> specs) {
  std::vector<Sink> next;
  for (config::Sink& spec : specs) {
    Sink sink{.spec = std::move(spec)};
    const auto old =
        std::ranges::find(sinks_, sink.spec.path, [](const Sink& each) { return each.spec.path; });
    if (old != sinks_.end()) {
      const bool same_text =
          old->spec.format == sink.spec.format && old->spec.wrap_ttl == sink.spec.wrap_ttl;
      if (same_text) sink.content = old->content, sink.made_of = old->made_of;
      if (old->spec == sink.spec) {
        sink.failure = old->failure;
        // A token is compared with the disk again; a wrapping token may be taken, file and all.
        if (sink.spec.wrap_ttl)
          sink.written = old->written;
        else if (old->content != nullptr)
          sink.content = std::make_shared<const Secret>(old->content->clone());
      }
    }
    next.push_back(std::move(sink));
  }
  for (const Sink& old : sinks_) {
    const bool stays = std::ranges::any_of(
        next, [&](const Sink& each) { return each.spec.path == old.spec.path; });
    if (!stays) files_.remove(old.spec.path);
  }
  sinks_ = std::move(next);
  ++revision_;
  changed_.set();
}

awaitable<void> TokenSinks::run() {
  LoopGuard guard(co_await asio::this_coro::executor, "sinks");
  for (;;) {
    guard.round();
    const auto seen = changed_.generation();
    const bool all = co_await publish();
    if (all) backoff_.reset();
    const Instant again = all ? Instant::max() : Clock::now() + backoff_.next(random_.fraction());
    (void)co_await changed_.wait(seen, again);
  }
}

// True: there is nothing left to do until something changes.
awaitable<bool> TokenSinks::publish() {
  const std::uint64_t number = auth_.state().token_number, revision = revision_;
  if (client_.token() == nullptr || sinks_.empty()) co_return true;
  const auto outdated = [&] {
    return revision != revision_ || number != auth_.state().token_number;
  };
  bool all = true;
  std::vector<std::size_t> indexes;
  std::vector<delivery::FileWrite> writes;
  for (std::size_t i = 0; i < sinks_.size(); ++i) {
    if (sinks_[i].written == number) continue;
    if (sinks_[i].made_of != number) {
      auto content = co_await content_of(sinks_[i].spec);
      if (outdated()) co_return true;  // another round comes at once
      if (!content) {
        failed(sinks_[i], content.error());
        all = false;
        continue;
      }
      sinks_[i].content = std::make_shared<const Secret>(*std::move(content));
      sinks_[i].made_of = number;
    }
    indexes.push_back(i);
    writes.push_back({.target = target_of(sinks_[i].spec), .content = sinks_[i].content});
  }
  const auto results = co_await files_.apply(std::move(writes));
  if (outdated()) co_return true;
  for (std::size_t i = 0; i < results.size(); ++i)
    all = on_result(sinks_[indexes[i]], results[i], number) && all;
  if (all && !std::exchange(published_, true)) callbacks_.published();
  co_return all;
}

awaitable<result<Secret>> TokenSinks::content_of(config::Sink spec) {
  const vault::Token token = client_.token();
  if (!spec.wrap_ttl)
    co_return sink_text(token, auth_.state(), spec.format.value_or(Format::token), wall_now());
  auto wrap = co_await client_.wrap(token, *spec.wrap_ttl);
  if (wrap) co_return wrapped_sink_text(*wrap, spec.format.value_or(Format::json));
  Error error = std::move(wrap).error();
  if (error.kind == ErrorKind::denied)
    error.text +=
        "; wrap_ttl needs update on sys/wrapping/wrap, which the built-in policy "
        "\"default\" has";
  co_return std::unexpected(std::move(error).within(spec.path));
}

bool TokenSinks::on_result(Sink& sink, const delivery::FileResult& result, std::uint64_t number) {
  if (!result.written) {
    failed(sink, result.written.error());
    return false;
  }
  sink.failure.clear();
  sink.written = number;
  if (*result.written) {
    log::info("sink.written", sink.spec.wrap_ttl ? "token wrapped and written" : "token written",
              {{"path", sink.spec.path}, {"mode", config::mode_text(result.mode)}});
  }
  return true;
}

// At the start what no later try can mend ends it; an outage is waited for as any other.
void TokenSinks::failed(Sink& sink, const Error& error) {
  const Error whole = Error(error).within("auto_auth.sink");
  if (!published_ && !is_outage(error.kind)) return callbacks_.failed_at_start(whole);
  if (std::exchange(sink.failure, whole.text) == whole.text) return;
  if (!published_) return log::warn("sink.failed", whole.text, {{"next", "another try"}});
  log::error("sink.failed", whole.text,
             {{"next", "another try; the file keeps what it has until then"}});
  callbacks_.notify("sink.failed", sink.spec.path);
}

}  // namespace keybearer
