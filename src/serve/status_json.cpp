#include "serve/status_json.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "config/scalars.hpp"
#include "json/json.hpp"
#include "serve/texts.hpp"

namespace keybearer::serve {
namespace {

Value whole(std::uint64_t number) {
  return Value::uint64(number);
}
Value seconds(Duration time) {
  return Value::number(fmt::format("{}", static_cast<double>(time.count()) / 1000));
}
Value text_or_null(std::string_view text) {
  return text.empty() ? Value() : Value(text);
}

// NAME (a time), and NAME_in: seconds from now, 0 when it has passed.
void set_time(Value& map, const std::string& name, const Snapshot& s, std::optional<Instant> at) {
  map.set(name, at ? Value(rfc3339(s.wall_at(*at))) : Value());
  map.set(name + "_in", at ? seconds(std::max(Duration(0), *at - s.now)) : Value());
}

Value outcomes(const Outcomes& counted) {
  Value map = Value::map();
  map.set("succeeded", whole(counted.succeeded));
  map.set("refused", whole(counted.refused));
  map.set("unanswered", whole(counted.unanswered));
  return map;
}

Value instance(const Snapshot& s) {
  const Snapshot::Instance& i = s.instance;
  Value map = Value::map();
  map.set("name", i.name);
  map.set("version", i.version);
  map.set("pid", Value::integer(i.pid));
  map.set("mode", i.mode);
  map.set("started", rfc3339(s.wall_at(i.started)));
  map.set("uptime", seconds(s.now - i.started));
  map.set("config_reload", i.reload_failed ? "failed" : "ok");
  List files;
  for (const std::string& file : i.config) files.emplace_back(file);
  map.set("config", Value::list(std::move(files)));
  return map;
}

Value token(const Snapshot& s, Audience audience) {
  const Snapshot::Token& t = s.token;
  Value map = Value::map();
  map.set("phase", name_of(t.phase));
  map.set("method", t.method);
  map.set("mount", text_or_null(t.mount));
  if (audience != Audience::anyone) map.set("accessor", text_or_null(t.accessor));
  map.set("ttl", seconds(t.ttl));
  map.set("renewable", t.renewable);
  set_time(map, "expires", s, t.expires);
  set_time(map, "next", s, t.next_at);
  map.set("renewals", outcomes(t.renewals));
  Value attempts = Value::map();
  for (const auto& [method, counted] : t.attempts) attempts.set(method, outcomes(counted));
  map.set("logins", std::move(attempts));
  map.set("error", text_or_null(t.error));
  return map;
}

Value server(const Snapshot& s) {
  Value map = Value::map();
  map.set("address", s.server.address);
  map.set("version", text_or_null(s.server.version));
  map.set("reachable", s.server.reachable_since.has_value());
  const auto since = s.server.reachable_since;
  map.set("reachable_since", since ? Value(rfc3339(s.wall_at(*since))) : Value());
  map.set("error", text_or_null(s.server.error));
  return map;
}

Value secret(const Snapshot& s, const Snapshot::Secret& secret, Audience audience) {
  using State = Snapshot::Secret::State;
  Value map = Value::map();
  map.set("path", secret.path);
  map.set("kind", text_or_null(secret.kind));
  map.set("state", state_of(secret, s.now));
  const auto left = time_left(secret, s.now);
  map.set("ttl", left ? seconds(*left) : Value());
  map.set("lease", text_or_null(secret.lease_hash));
  map.set("lease_id", audience == Audience::owner_ids ? text_or_null(secret.lease_id) : Value());
  map.set("renewable", secret.renewable);
  map.set("next_action", text_or_null(secret.next_action));
  map.set("generation", whole(secret.generation));
  map.set("version", secret.version > 0 ? Value(secret.version) : Value());
  map.set("required", secret.required);
  map.set("defaults", secret.defaults);
  map.set("stale", secret.generation > 0 && !secret.defaults && secret.state != State::fresh);
  map.set("reason", text_or_null(secret.reason));
  map.set("error", text_or_null(secret.error));
  map.set("fetches", outcomes(secret.fetches));
  set_time(map, "lease_ends", s, secret.lease_end);
  set_time(map, "next_refresh", s, secret.next_at);
  const auto last = secret.last_success;
  map.set("last_success", last ? Value(rfc3339(s.wall_at(*last))) : Value());
  return map;
}

Value file(const Snapshot::File& file) {
  Value map = Value::map();
  map.set("path", file.path);
  map.set("mode", file.mode != 0 ? Value(config::mode_text(file.mode)) : Value());
  map.set("last_written", file.written_at ? Value(rfc3339(*file.written_at)) : Value());
  map.set("result", !file.error.empty()  ? "failed"
                    : file.written > 0   ? "written"
                    : file.unchanged > 0 ? "unchanged"
                                         : "pending");
  map.set("written", whole(file.written));
  map.set("error", text_or_null(file.error));
  return map;
}

Value child(const Snapshot& s) {
  if (!s.child) return {};
  const Snapshot::Child& c = *s.child;
  Value map = Value::map();
  map.set("state", c.state);
  map.set("command", c.command);
  map.set("pid", c.pid > 0 ? Value::integer(c.pid) : Value());
  const bool started = c.starts > 0;
  map.set("since", started ? Value(rfc3339(s.wall_at(c.since))) : Value());
  map.set("uptime", c.alive ? seconds(s.now - c.since) : Value());
  map.set("restarts", whole(started ? c.starts - 1 : 0));
  map.set("outdated", c.outdated);
  if (c.last_exit) {
    Value exit = Value::map();
    exit.set("kind", c.last_exit->signaled ? "signal" : "exit");
    exit.set("code", Value::integer(c.last_exit->code));
    map.set("last_exit", std::move(exit));
  } else {
    map.set("last_exit", Value());
  }
  map.set("roll_backs", whole(c.roll_backs));
  return map;
}

Value reasons(const Readiness& readiness) {
  List list;
  for (const Readiness::Reason& reason : readiness.reasons) {
    Value map = Value::map();
    map.set("subject", reason.subject);
    map.set("reason", reason.text);
    list.push_back(std::move(map));
  }
  return Value::list(std::move(list));
}

Value event(const log::Event& event) {
  Value map = Value::map();
  map.set("time", rfc3339(event.at));
  map.set("level", log::name_of(event.level));
  map.set("event", event.event);
  map.set("message", event.message);
  map.set("fields", event.fields);
  return map;
}

Value requests(const Snapshot::Requests& r) {
  Value map = Value::map();
  map.set("succeeded", whole(r.succeeded));
  map.set("refused", whole(r.refused));
  map.set("failed", whole(r.failed));
  map.set("unanswered", whole(r.unanswered));
  map.set("throttled", whole(r.throttled));
  return map;
}

template <class Items, class One>
Value list_of(const Items& items, One&& one) {
  List list;
  for (const auto& item : items) list.push_back(one(item));
  return Value::list(std::move(list));
}

}  // namespace

std::string status_json(const Snapshot& s, Audience audience) {
  const Readiness health = readiness(s);
  Value map = Value::map();
  map.set("schema", 1);
  map.set("time", rfc3339(s.wall));
  map.set("ready", health.ready());
  map.set("reasons", reasons(health));
  map.set("instance", instance(s));
  map.set("token", token(s, audience));
  map.set("server", server(s));
  map.set("secrets",
          list_of(s.secrets, [&](const auto& each) { return secret(s, each, audience); }));
  map.set("files", list_of(s.files, file));
  map.set("child", child(s));
  map.set("requests", requests(s.requests));
  map.set("listeners", list_of(s.listeners, [](const auto& each) { return Value(each); }));
  map.set("events", list_of(s.events, event));
  return json::write(map) + "\n";
}

std::string readiness_json(const Snapshot& s, const Readiness& health) {
  Value map = Value::map();
  map.set("ready", health.ready());
  map.set("reasons", reasons(health));
  map.set("secrets", list_of(s.secrets, [&s](const Snapshot::Secret& each) {
            const std::string trouble = trouble_of(each, s.now);
            Value one = Value::map();
            one.set("path", each.path);
            one.set("ready", trouble.empty());
            one.set("state", state_of(each, s.now));
            one.set("required", each.required);
            one.set("reason", text_or_null(trouble));
            return one;
          }));
  return json::write(map) + "\n";
}

}  // namespace keybearer::serve
