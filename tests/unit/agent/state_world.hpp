#pragma once
#include <sys/stat.h>

#include "crypto/aead.hpp"
#include "fixture.hpp"

namespace keybearer {

// A directory and a key that outlive an agent, and a server and a clock that do, too.
struct World {
  std::string directory;
  std::shared_ptr<test::ModelServer> server = std::make_shared<test::ModelServer>();
  Instant now = test::Io::start;
  std::string more;  // beyond [state] and [vault]

  World() {
    std::string name = (std::filesystem::temp_directory_path() / "kb-state-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    directory = name;
    std::filesystem::create_directory(directory + "/keys");
    write_key(random_bytes(32));
    server->kv["kv/app"] = {1, R"({"key":"canary-1","other":"canary-o"})"};
    server->roles["database/creds/app"] = {};
  }
  ~World() { std::filesystem::remove_all(directory); }

  void write_key(const std::string& bytes) const {
    std::ofstream(directory + "/keys/state.key", std::ios::binary) << bytes;
    chmod((directory + "/keys/state.key").c_str(), 0600);
  }
  [[nodiscard]] std::string file() const { return directory + "/data/state"; }
  [[nodiscard]] std::string bytes(const std::string& end = "") const {
    std::stringstream text;
    text << std::ifstream(file() + end, std::ios::binary).rdbuf();
    return text.str();
  }
  void write(const std::string& content, const std::string& end = "") const {
    std::ofstream(file() + end, std::ios::binary | std::ios::trunc) << content;
  }
  [[nodiscard]] std::string toml(const std::string& rest) const {
    return more + "[state]\npath = \"" + file() + "\"\nkey_file = \"" + directory +
           "/keys/state.key\"\n" + rest;
  }

  // One run of keybearer: `live` is what happens in it.
  struct Run {
    explicit Run(World& w) : world(w) {
      Clock::freeze(w.now);
      agent.server = w.server;
    }
    ~Run() { world.now = Clock::now(); }
    World& world;
    AgentFixture agent;
  };
  template <class Live>
  void run(const std::string& rest, Live&& live, Mode mode = Mode::run) {
    Run one(*this);
    one.agent.start(mode, toml(rest));
    one.agent.io.advance(1s);
    live(one.agent);
    if (!one.agent.code) one.agent.finish();
  }
  void run(const std::string& rest) {
    run(rest, [](AgentFixture&) {});
  }
};

}  // namespace keybearer
