#pragma once
// The whole agent on fakes: a model of a server, a spawner that starts nothing, a frozen clock,
// signals by hand, files in a temporary directory, and the log.

#include <doctest/doctest.h>
#include <unistd.h>

#include <csignal>
#include <deque>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "agent/agent.hpp"
#include "agent/settings.hpp"
#include "base/log.hpp"
#include "config/load.hpp"
#include "support/fake_spawner.hpp"
#include "support/io.hpp"
#include "support/model_server.hpp"

namespace keybearer {

using namespace std::chrono_literals;

class AgentFixture {
 public:
  test::Io io;
  // Both outlive the agent, so that they can be asked afterwards.
  std::shared_ptr<test::ModelServer> server = std::make_shared<test::ModelServer>();
  std::shared_ptr<test::FakeSpawner> spawner = std::make_shared<test::FakeSpawner>();
  std::string login = R"(
[auto_auth.method]
type = "approle"
role_id = "role"
secret_id = "canary-secret-id"
)";
  int clients_made = 0;
  http::ClientOptions client_options;  // of the last one
  std::optional<int> code;
  std::exception_ptr failure;

  AgentFixture() {
    std::string name = (std::filesystem::temp_directory_path() / "kb-agent-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    directory_ = name;
    parts_.make_http = [this](const config::Config& config) {
      ++clients_made;
      client_options = keybearer::client_options(config);
      return std::make_unique<ForwardingClient>(*server);
    };
    parts_.spawner = spawner;
    parts_.reload = [this] { return load(); };
    parts_.random = Random(1);
    parts_.next_signal = [this] { return next_signal(*this); };
    server->kv["kv/app"] = {1, R"({"key":"canary-1","other":"canary-o"})"};
    server->roles["database/creds/app"] = {};
    REQUIRE(log::open({.level = log::Level::debug, .file = path("log"), .name = {}}));
  }
  AgentFixture(const AgentFixture&) = delete;
  ~AgentFixture() {
    if (running_ && !code) finish();
    CHECK(log_text().find("canary") == std::string::npos);
    REQUIRE(log::open({}));
    std::filesystem::remove_all(directory_);
  }

  [[nodiscard]] std::string path(const std::string& name) const {
    return (directory_ / name).string();
  }
  [[nodiscard]] std::string file(const std::string& name) const {
    std::stringstream text;
    text << std::ifstream(path(name)).rdbuf();
    return text.str();
  }
  [[nodiscard]] bool has_file(const std::string& name) const {
    return std::filesystem::exists(path(name));
  }
  [[nodiscard]] std::string log_text() const { return file("log"); }
  [[nodiscard]] int lines(std::string_view part) const {
    int n = 0;
    std::stringstream text(log_text());
    for (std::string line; std::getline(text, line);) n += line.contains(part) ? 1 : 0;
    return n;
  }

  // `toml`: what is beyond [vault] and AppRole; %D is the temporary directory.
  void configure(std::string toml) {
    toml += login;
    for (std::size_t at = 0; (at = toml.find("%D")) != toml.npos;)
      toml.replace(at, 2, directory_.string());
    std::ofstream(path("agent.toml")) << toml;
  }
  // Before start(): a control socket, and variables of ours.
  void use_control() { parts_.control = config::Surroundings{.env = {}, .uid = geteuid()}; }
  void set_variable(const std::string& name, const std::string& value) {
    parts_.environment.set(name, value);
  }
  void start(Mode mode, const std::string& toml) {
    configure(toml);
    auto rendering = load();
    if (!rendering)
      for (const auto& problem : rendering.error()) FAIL(problem.text);
    running_ = true;
    boost::asio::co_spawn(io.context, run_agent(std::move(parts_), std::move(*rendering), mode),
                          [this](std::exception_ptr e, int result) {
                            failure = e;
                            code = e ? 70 : result;
                            if (e) report(e);
                          });
    io.run();
  }
  void signal(int number) {
    signals_.push_back(number);
    signalled_.set();
    io.run();
  }
  // TERM, and the child obeys.
  int finish() {
    signal(SIGTERM);
    for (int turn = 0; turn < 600 && !code; ++turn) {
      if (!spawner->asked.empty() && !spawner->asked.back().starts_with("spawn"))
        spawner->exit({.signaled = true, .code = SIGTERM});
      io.advance(100ms);
    }
    REQUIRE(code);
    return *code;
  }
  [[nodiscard]] long spawns() const {
    return std::ranges::count_if(spawner->asked,
                                 [](const std::string& each) { return each.starts_with("spawn"); });
  }
  [[nodiscard]] std::string last_spawn() const {
    for (auto at = spawner->asked.rbegin(); at != spawner->asked.rend(); ++at)
      if (at->starts_with("spawn")) return *at;
    return "";
  }
  // The child's answer to a stop: it ends of the signal.
  void child_obeys() {
    spawner->exit({.signaled = true, .code = SIGTERM});
    io.run();
  }
  // Time passes while the child obeys each stop.
  void live(Duration time, Duration step = 1s) {
    const Instant end = Clock::now() + time;
    std::size_t seen = spawner->asked.size();
    if (seen > 0 && spawner->asked.back().starts_with("stop")) child_obeys();  // told just before
    while (Clock::now() < end && !code) {
      io.advance(std::min<Duration>(step, end - Clock::now()), step);
      for (; seen < spawner->asked.size(); ++seen)
        if (spawner->asked[seen].starts_with("stop")) child_obeys();
    }
  }

 private:
  struct ForwardingClient : http::Client {
    explicit ForwardingClient(http::Client& to) : target(to) {}
    boost::asio::awaitable<result<http::Response>> send(http::Request request) override {
      if (request.gate != nullptr) {
        if (auto entered = co_await request.gate->enter(Instant::max()); !entered)
          co_return std::unexpected(std::move(entered).error());
      }
      co_return co_await target.send(std::move(request));
    }
    [[nodiscard]] const http::Url& address() const override { return target.address(); }
    http::Client& target;
  };

  void report(const std::exception_ptr& error) const {
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& e) {
      MESSAGE("internal error: ", std::string(e.what()), "\n", log_text());
    }
  }

  Reloaded load() const {
    config::Input input;
    input.paths = {path("agent.toml")};
    input.env = [](const std::string&) { return std::nullopt; };
    auto loaded = config::load(input);
    if (!loaded) return std::unexpected(std::move(loaded).error());
    auto config = std::make_shared<const config::Config>(std::move(loaded->config));
    auto renderer = render::Renderer::make(*config);
    if (!renderer) return std::unexpected(std::move(renderer).error());
    return std::make_shared<Rendering>(std::move(config), std::move(*renderer));
  }

  static boost::asio::awaitable<int> next_signal(AgentFixture& fixture) {
    while (fixture.signals_.empty())
      co_await fixture.signalled_.wait(fixture.signalled_.generation());
    const int number = fixture.signals_.front();
    fixture.signals_.pop_front();
    co_return number;
  }

  std::filesystem::path directory_;
  Parts parts_;
  std::deque<int> signals_;
  Event signalled_;
  bool running_ = false;
};

inline constexpr const char* kEnv = R"(
[env]
KEY = '{{ with secret "kv/data/app" }}{{ .Data.data.key }}{{ end }}'
[exec]
command = ["app"]
)";
inline constexpr const char* kDatabase = R"(
[env]
USER_NAME = '{{ with secret "database/creds/app" }}{{ .Data.username }}{{ end }}'
KEY = '{{ with secret "kv/data/app" }}{{ .Data.data.key }}{{ end }}'
[exec]
command = ["app"]
)";

}  // namespace keybearer
