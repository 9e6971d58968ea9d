#include "state/records.hpp"

#include <algorithm>
#include <utility>

#include "base/file.hpp"
#include "state/codec.hpp"

namespace keybearer::state {
namespace {

using namespace std::chrono_literals;
using lease::SavedSecret;
using lease::SavedToken;

constexpr Duration kClocksDiffer = 1min;  // an earlier wall time within it is taken for the same
constexpr std::int64_t kNever = INT64_MAX;
constexpr Duration kLongest = 24h * 366 * 200;

// --- parts ---

void put(Writer& out, Instant at) {
  out.signed_number(at == Instant::max() ? kNever : at.time_since_epoch().count());
}
void put(Writer& out, Duration time) {
  out.signed_number(time.count());
}
void put(Writer& out, const std::optional<Instant>& at) {
  out.flag(at.has_value());
  if (at) put(out, *at);
}
void put(Writer& out, const std::optional<std::string>& text) {
  out.flag(text.has_value());
  if (text) out.text(*text);
}
void put(Writer& out, const vault::Token& token) {
  out.text(token ? token->reveal() : "");
}

Duration duration(Reader& in) {
  const Duration time(in.signed_number());
  if (time > kLongest || time < -kLongest) in.fail();
  return in.ok() ? time : Duration::zero();
}
Instant instant(Reader& in) {
  const std::int64_t at = in.signed_number();
  if (at == kNever) return Instant::max();
  if (at > kLongest.count() || at < -kLongest.count()) in.fail();
  return in.ok() ? Instant(Duration(at)) : Instant{};
}
std::optional<Instant> maybe_instant(Reader& in) {
  return in.flag() ? std::optional(instant(in)) : std::nullopt;
}
vault::Token token(Reader& in) {
  const std::string_view text = in.text();
  return text.empty() ? nullptr : std::make_shared<const Secret>(text);
}
std::string text(Reader& in) {
  return std::string(in.text());
}
std::optional<std::string> maybe_text(Reader& in) {
  return in.flag() ? std::optional(text(in)) : std::nullopt;
}
template <class Enum>
Enum choice(Reader& in, Enum last) {
  const std::uint64_t value = in.number();
  if (value > static_cast<std::uint64_t>(last)) in.fail();
  return in.ok() ? static_cast<Enum>(value) : Enum{};
}
void put_texts(Writer& out, const std::vector<std::string>& texts) {
  out.number(texts.size());
  for (const std::string& each : texts) out.text(each);
}
std::vector<std::string> texts(Reader& in) {
  std::vector<std::string> all;
  for (std::size_t n = in.count(); n > 0 && in.ok(); --n) all.push_back(text(in));
  return all;
}

// --- schedules ---

void put(Writer& out, const lease::TokenSchedule::Saved& saved) {
  put(out, saved.end);
  put(out, saved.ttl);
  put(out, saved.max_granted);
  out.flag(saved.ending);
  put(out, saved.due);
}
lease::TokenSchedule::Saved token_schedule(Reader& in) {
  lease::TokenSchedule::Saved saved;
  saved.end = maybe_instant(in);
  saved.ttl = duration(in);
  saved.max_granted = duration(in);
  saved.ending = in.flag();
  saved.due = instant(in);
  return saved;
}

void put(Writer& out, const lease::SecretSchedule::Saved& saved) {
  const lease::Lifetime& life = saved.lifetime;
  out.number(static_cast<std::uint64_t>(life.kind));
  put(out, life.ttl);
  out.flag(life.renewable);
  put(out, life.to_rotation);
  put(out, life.period);
  out.flag(life.rotated.has_value());
  if (life.rotated) out.signed_number(life.rotated->time_since_epoch().count());
  put(out, saved.end);
  put(out, saved.granted_at);
  put(out, saved.granted);
  put(out, saved.max_granted);
  out.number(static_cast<std::uint64_t>(saved.pending.what));
  put(out, saved.pending.at);
  out.number(static_cast<std::uint64_t>(saved.pending.cause));
  put(out, saved.rotation);
}
lease::SecretSchedule::Saved secret_schedule(Reader& in) {
  lease::SecretSchedule::Saved saved;
  lease::Lifetime& life = saved.lifetime;
  life.kind = choice(in, lease::Kind::written_once);
  life.ttl = duration(in);
  life.renewable = in.flag();
  life.to_rotation = duration(in);
  life.period = duration(in);
  if (in.flag()) life.rotated = WallTime(WallTime::duration(in.signed_number()));
  saved.end = maybe_instant(in);
  saved.granted_at = instant(in);
  saved.granted = duration(in);
  saved.max_granted = duration(in);
  saved.pending.what = choice(in, lease::Step::Do::lookup);
  saved.pending.at = instant(in);
  saved.pending.cause = choice(in, lease::Cause::rotation);
  saved.rotation = instant(in);
  return saved;
}

// --- records ---

void put(Writer& out, const SavedToken& saved) {
  out.text(saved.login);
  put(out, saved.token);
  out.text(saved.accessor);
  out.text(saved.entity_id);
  out.text(saved.type);
  put_texts(out, saved.policies);
  out.flag(saved.renewable);
  out.flag(saved.limited);
  put(out, saved.schedule);
}
SavedToken saved_token(Reader& in) {
  SavedToken saved;
  saved.login = text(in);
  saved.token = token(in);
  saved.accessor = text(in);
  saved.entity_id = text(in);
  saved.type = text(in);
  saved.policies = texts(in);
  saved.renewable = in.flag();
  saved.limited = in.flag();
  saved.schedule = token_schedule(in);
  if (!saved.token) in.fail();
  return saved;
}

bool put(Writer& out, const SavedSecret& saved) {
  const std::size_t before = out.size();
  put_texts(out, saved.ids);
  out.text(saved.request);
  out.signed_number(saved.kv_version);
  out.text(saved.data_path);
  out.text(saved.mount);
  out.flag(saved.wrapped);
  out.flag(saved.metadata_denied);
  put(out, saved.vault_namespace);
  out.text(saved.lease_id);
  put(out, saved.token);
  put(out, saved.issued_token);
  out.flag(saved.orphan);
  put(out, saved.last_success);
  put(out, saved.schedule);
  if (saved.value && out.value(*saved.value)) return true;
  out.truncate(before);
  return false;
}
SavedSecret saved_secret(Reader& in) {
  SavedSecret saved;
  saved.ids = texts(in);
  saved.request = text(in);
  saved.kv_version = static_cast<int>(std::clamp<std::int64_t>(in.signed_number(), 0, INT32_MAX));
  saved.data_path = text(in);
  saved.mount = text(in);
  saved.wrapped = in.flag();
  saved.metadata_denied = in.flag();
  saved.vault_namespace = maybe_text(in);
  saved.lease_id = text(in);
  saved.token = token(in);
  saved.issued_token = token(in);
  saved.orphan = in.flag();
  saved.last_success = maybe_instant(in);
  saved.schedule = secret_schedule(in);
  saved.value = std::make_shared<const Value>(in.value());
  if (saved.ids.empty()) in.fail();
  return saved;
}

void put(Writer& out, const lease::Superseded& saved) {
  out.text(saved.secret);
  out.text(saved.path);
  out.text(saved.lease_id);
  put(out, saved.token);
  put(out, saved.end);
  put(out, saved.drain);
  put(out, saved.vault_namespace);
}
lease::Superseded superseded(Reader& in) {
  lease::Superseded saved;
  saved.secret = text(in);
  saved.path = text(in);
  saved.lease_id = text(in);
  saved.token = token(in);
  saved.end = maybe_instant(in);
  saved.drain = duration(in);
  saved.vault_namespace = maybe_text(in);
  return saved;
}

// --- clocks ---

void shift(Instant& at, Duration by) {
  if (at == Instant::max()) return;
  at = Instant(std::clamp<Duration>(at.time_since_epoch() + by, -kLongest, kLongest));
}
void shift(std::optional<Instant>& at, Duration by) {
  if (at) shift(*at, by);
}
void shift(lease::SavedState& state, Duration by) {
  if (state.token) {
    shift(state.token->schedule.end, by);
    shift(state.token->schedule.due, by);
  }
  for (SavedSecret& secret : state.secrets) {
    shift(secret.last_success, by);
    shift(secret.schedule.end, by);
    shift(secret.schedule.granted_at, by);
    shift(secret.schedule.pending.at, by);
    shift(secret.schedule.rotation, by);
  }
  for (lease::Superseded& each : state.superseded) shift(each.end, by);
}

void drop_what_has_an_end(lease::SavedState& state) {
  state.token.reset();
  state.superseded.clear();
  std::erase_if(state.secrets, [](const SavedSecret& secret) {
    return secret.leased() || secret.schedule.end.has_value();
  });
}

void place_in_time(Restored& restored, const Now& saved, const Now& now) {
  const bool same_boot =
      !now.boot_id.empty() && now.boot_id == saved.boot_id && now.boot >= saved.boot;
  if (same_boot) {
    restored.age = now.boot - saved.boot;
    return;
  }
  const auto passed = std::chrono::duration_cast<Duration>(now.wall - saved.wall);
  restored.clock_went_back = passed < -kClocksDiffer;
  restored.age = std::clamp<Duration>(passed, 0ms, kLongest);
  shift(restored.record.state, now.boot - saved.boot - restored.age);
  if (restored.clock_went_back) drop_what_has_an_end(restored.record.state);
}

}  // namespace

Now now_here() {
  std::string id =
      read_file("/proc/sys/kernel/random/boot_id", {.limit = 256}).value_or(std::string{});
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return {Clock::now(), wall_now(), std::move(id)};
}

std::string encode(const Record& record, const Now& saved) {
  Writer out;
  out.number(record.counter);
  put(out, saved.boot);
  out.signed_number(std::chrono::duration_cast<Duration>(saved.wall.time_since_epoch()).count());
  out.text(saved.boot_id);
  out.flag(record.state.token.has_value());
  if (record.state.token) put(out, *record.state.token);
  for (const SavedSecret& secret : record.state.secrets) {
    const std::size_t before = out.size();
    out.flag(true);
    if (!put(out, secret)) out.truncate(before);
  }
  out.flag(false);
  out.number(record.state.superseded.size());
  for (const lease::Superseded& each : record.state.superseded) put(out, each);
  return out.bytes();
}

std::expected<Restored, Refusal> decode(std::string_view bytes, const Now& now) {
  Reader in(bytes);
  Restored restored;
  Now saved;
  restored.record.counter = in.number();
  saved.boot = instant(in);
  saved.wall = WallTime(std::chrono::duration_cast<WallTime::duration>(duration(in)));
  saved.boot_id = text(in);
  lease::SavedState& state = restored.record.state;
  if (in.flag()) state.token = saved_token(in);
  while (in.ok() && in.flag()) state.secrets.push_back(saved_secret(in));
  for (std::size_t n = in.count(); n > 0 && in.ok(); --n)
    state.superseded.push_back(superseded(in));
  if (!in.at_end())
    return std::unexpected(Refusal{Reason::malformed, "what is in it is not understood"});
  place_in_time(restored, saved, now);
  return restored;
}

}  // namespace keybearer::state
