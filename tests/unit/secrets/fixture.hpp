#pragma once
// The secrets in their surroundings: a fake server, a frozen clock, a token that may be lost, and
// the log.

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/log.hpp"
#include "base/task_group.hpp"
#include "secrets/secret_store.hpp"
#include "support/fake_http.hpp"
#include "support/io.hpp"

namespace keybearer::secrets {

using namespace std::chrono_literals;
using State = Status::State;

constexpr auto kDenied = R"({"errors":["permission denied"]})";
constexpr auto kRenewLease = "PUT /v1/sys/leases/renew";
constexpr auto kRevokeLease = "PUT /v1/sys/leases/revoke";
constexpr auto kRevokeSelf = "POST /v1/auth/token/revoke-self";

inline std::string kv2(int version, const std::string& value = "canary-1") {
  return R"({"data":{"data":{"password":")" + value + R"("},"metadata":{"version":)" +
         std::to_string(version) + "}}}";
}
inline std::string metadata(int current, const std::string& deleted = "") {
  const std::string version = std::to_string(current);
  return R"({"data":{"current_version":)" + version + R"(,"versions":{")" + version +
         R"(":{"deletion_time":")" + deleted + R"(","destroyed":false}}}})";
}
inline std::string mount(const std::string& path, const std::string& type,
                         const std::string& options = "null") {
  return R"({"data":{"path":")" + path + R"(","type":")" + type + R"(","options":)" + options +
         "}}";
}
inline std::string lease(const std::string& id, int ttl, const std::string& user,
                         bool renewable = true) {
  return R"({"lease_id":")" + id + R"(","renewable":)" + (renewable ? "true" : "false") +
         R"(,"lease_duration":)" + std::to_string(ttl) + R"(,"data":{"username":")" + user +
         R"(","password":"canary-2"}})";
}
inline std::string renewed(const std::string& id, int ttl) {
  return R"({"lease_id":")" + id + R"(","renewable":true,"lease_duration":)" + std::to_string(ttl) +
         R"(,"data":null})";
}

inline tmpl::Dependency read(const std::string& path) {
  return tmpl::read_dependency(path).value();
}

struct Fixture {
  test::Io io;
  std::string directory;
  test::FakeHttp* http = nullptr;
  vault::Client client;
  config::Config config;
  bool once = false;
  Random random{1};
  bool token_good = true;
  bool token_limited = false;
  std::vector<std::string> alarms;
  std::vector<Error> fatal;
  TaskGroup group{io.context.get_executor()};
  std::optional<lease::Revocations> revocations;
  std::optional<SecretStore> secrets;

  explicit Fixture(vault::SessionOptions options = {})
      : client(
            [this] {
              auto fake = std::make_unique<test::FakeHttp>();
              http = fake.get();
              return fake;
            }(),
            std::move(options)) {
    std::string name = (std::filesystem::temp_directory_path() / "kb-secrets-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    directory = name;
    REQUIRE(log::open({.level = log::Level::debug, .file = directory + "/log", .name = {}}));
    set_token("hvs.1");
  }
  ~Fixture() {
    stop();
    if (revocations) io.start_task(stop_revocations(*this));
    io.run();
    CHECK(log().find("canary") == std::string::npos);
    REQUIRE(log::open({}));
    std::filesystem::remove_all(directory);
  }

  void set_token(const std::string& token) {
    client.set_token(std::make_shared<const Secret>(token));
  }
  static boost::asio::awaitable<bool> ask(Fixture& fixture) { co_return fixture.token_good; }

  void start(const std::vector<tmpl::Dependency>& dependencies) {
    revocations.emplace(io.context.get_executor(), client, [this](const std::string& path) {
      alarms.emplace_back("lease.expired " + path);
    });
    secrets.emplace(io.context.get_executor(), client, *revocations, settings_of(config, once),
                    random,
                    Callbacks{.token_is_good = [this] { return ask(*this); },
                              .alarm = [this](std::string_view event,
                                              std::string_view) { alarms.emplace_back(event); },
                              .token_is_limited = [this] { return token_limited; },
                              .fatal = [this](const Error& error) { fatal.push_back(error); }});
    group.spawn(revocations->run());
    group.spawn(secrets->run());
    for (const auto& each : dependencies) secrets->require(each);
    io.run();
  }
  void stop() {
    group.cancel();
    io.run();
    REQUIRE(group.live() == 0);
  }

  static boost::asio::awaitable<void> stop_revocations(Fixture& fixture) {
    co_await fixture.revocations->stop();
  }

  // As at the exit, with 5 s for it.
  void revoke_all() { io.start_task(ask_revocations(*this)); }
  static boost::asio::awaitable<void> ask_revocations(Fixture& fixture) {
    fixture.revoked = co_await fixture.secrets->revoke_all(Clock::now() + 5s);
  }
  std::optional<lease::Revoked> revoked;

  const Status& status(const tmpl::Dependency& of) const {
    const Status* status = secrets->status(of.id);
    REQUIRE(status != nullptr);
    return *status;
  }
  static const Value* find(Snapshot snapshot, const tmpl::Dependency& of) {
    return snapshot.find(of);
  }
  bool has_value(const tmpl::Dependency& of) const {
    return find(secrets->snapshot(), of) != nullptr;
  }
  // All that templates see now is in use.
  void apply_all() {
    InUse in_use;
    for (const auto& [id, item] : secrets->snapshot().items()) in_use[id] = item.generation;
    secrets->applied(in_use);
  }
  // data.NAME, or data.data.NAME of KV 2; "" when there is no value.
  std::string value(const tmpl::Dependency& of, std::string_view name = "password") {
    const Snapshot snapshot = secrets->snapshot();
    const Value* found = find(snapshot, of);
    if (found == nullptr) return "";
    const Value& data = value_at(*found, "data");
    const Value& inner = value_at(data, "data");
    return std::string(text_at(inner.is_map() ? inner : data, name));
  }
  // Of the first secret that is given up for this start.
  std::optional<Error> start_failure() const {
    for (const Status* status : secrets->all()) {
      if (secrets->start_failed(status->id)) return status->error;
    }
    CHECK_FALSE(secrets->any_start_failed());
    return std::nullopt;
  }
  std::vector<Duration> times(const std::string& route) const {
    std::vector<Duration> out;
    for (const auto& each : http->asked) {
      if (each.route == route) out.push_back(each.at - test::Io::start);
    }
    return out;
  }
  std::string log() const {
    std::stringstream text;
    text << std::ifstream(directory + "/log").rdbuf();
    return text.str();
  }
  int lines(std::string_view part) const {
    int count = 0;
    std::stringstream text(log());
    for (std::string line; std::getline(text, line);) count += line.contains(part) ? 1 : 0;
    return count;
  }
};

}  // namespace keybearer::secrets
