#include "config/control_socket.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

namespace keybearer::config {
namespace {

using Variables = std::map<std::string, std::string>;

Surroundings around(uid_t uid, Variables variables = {}) {
  return {.env = [variables](const std::string& name) -> std::optional<std::string> {
            const auto at = variables.find(name);
            return at == variables.end() ? std::nullopt : std::optional(at->second);
          },
          .uid = uid};
}

TEST_CASE("where the control socket of an instance is") {
  struct Case {
    Control control;
    const char* name;
    uid_t uid;
    Variables variables;
    std::vector<std::string> sockets;
  };
  const Case cases[] = {
      {{}, "app", 0, {}, {"/run/keybearer/app.sock", "/tmp/keybearer-0/app.sock"}},
      {{},
       "app",
       1000,
       {{"XDG_RUNTIME_DIR", "/run/user/1000"}},
       {"/run/user/1000/keybearer/app.sock", "/tmp/keybearer-1000/app.sock"}},
      {{},
       "app",
       0,
       {{"XDG_RUNTIME_DIR", "/run/user/0"}},
       {"/run/keybearer/app.sock", "/tmp/keybearer-0/app.sock"}},
      {{}, "app", 1000, {}, {"/tmp/keybearer-1000/app.sock"}},
      {{}, "app", 1000, {{"XDG_RUNTIME_DIR", "relative"}}, {"/tmp/keybearer-1000/app.sock"}},
      {{},
       "app",
       1000,
       {{"RUNTIME_DIRECTORY", "/run/my-app:/run/other"}},
       {"/run/my-app/control.sock", "/tmp/keybearer-1000/app.sock"}},
      {{.socket = "/srv/c.sock"},
       "app",
       0,
       {{"RUNTIME_DIRECTORY", "/run/my-app"}},
       {"/srv/c.sock"}},
      // No name leads out of the directory, or hides its socket.
      {{}, "../../etc/x y", 1000, {}, {"/tmp/keybearer-1000/_._.._etc_x_y.sock"}},
      {{}, ".hidden", 1000, {}, {"/tmp/keybearer-1000/_hidden.sock"}},
  };
  for (const Case& one : cases) {
    CAPTURE(one.name);
    CHECK(control_sockets(one.control, one.name, around(one.uid, one.variables)) == one.sockets);
  }
  CHECK(with_pid("/run/keybearer/app.sock", 812) == "/run/keybearer/app-812.sock");
  CHECK(with_pid("/srv/control", 812) == "/srv/control-812.sock");
}

TEST_CASE("the two keys that lead to an instance, of a file that need not be right otherwise") {
  std::string directory = (std::filesystem::temp_directory_path() / "kb-keys-XXXXXX").string();
  REQUIRE(mkdtemp(directory.data()) != nullptr);
  const std::string file = directory + "/agent.toml";
  std::ofstream(file) << "name = \"${WHO}\"\nunknown = 1\n[control]\nsocket = \"/srv/x.sock\"\n";
  const InstanceKeys keys = instance_keys({file}, around(0, {{"WHO", "app"}}));
  CHECK(keys.name == "app");
  CHECK(keys.socket == "/srv/x.sock");
  CHECK(keys.files == std::vector{absolute_path(file)});
  std::ofstream(file) << "not toml [";
  CHECK(instance_keys({file}, around(0)).files.size() == 1);
  CHECK(instance_keys({file}, around(0)).socket.empty());
  std::filesystem::remove_all(directory);
}

TEST_CASE("a socket and those of other instances beside it") {
  std::string directory = (std::filesystem::temp_directory_path() / "kb-beside-XXXXXX").string();
  REQUIRE(mkdtemp(directory.data()) != nullptr);
  for (const char* name : {"app.sock", "app-1.sock", "app-22.sock", "app-x.sock", "app-1x.sock",
                           "apple.sock", "app-.sock"})
    std::ofstream(directory + "/" + name).put(' ');
  CHECK(sockets_beside(directory + "/app.sock") ==
        std::vector<std::string>{directory + "/app.sock", directory + "/app-1.sock",
                                 directory + "/app-22.sock"});
  CHECK(sockets_beside("").empty());
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace keybearer::config
