#include "state/state_file.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "crypto/aead.hpp"
#include "state/key.hpp"

namespace keybearer::state {
namespace {

using namespace std::chrono_literals;

struct Directory {
  std::string path;
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "kb-file-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Directory() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::string file() const { return path + "/data/state"; }
};

StateFile open(const Directory& directory, const std::string& key) {
  auto file = StateFile::open(directory.file(), Secret(key), {"app", {"http://a"}, ""});
  REQUIRE(file);
  return std::move(*file);
}

// A large value, all of it of one letter, so that a mixture would show.
lease::SavedState filled(int round) {
  lease::SavedState state;
  lease::SavedSecret secret;
  secret.ids = {"vault.read(kv/data/app)"};
  secret.kv_version = round;
  secret.value =
      std::make_shared<const Value>(std::string(20'000, static_cast<char>('a' + round % 26)));
  state.secrets = {secret};
  return state;
}

boost::asio::awaitable<void> save_one(StateFile& file, int round, bool& good) {
  good = (co_await file.save(filled(round))).has_value();
}
bool save(StateFile& file, int round) {
  boost::asio::io_context context;
  bool good = false;
  boost::asio::co_spawn(context, save_one(file, round, good), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  context.run();
  return good;
}

// Saves until it is killed, and tells each one by a byte.
[[noreturn]] void write_forever(const Directory& directory, const std::string& key, int from,
                                int told) {
  Clock::freeze(Instant(1000h));  // no threads: the writing is this process's own
  StateFile file = open(directory, key);
  (void)file.load();
  for (int round = from + 1;; ++round) {
    if (!save(file, round) || write(told, "", 1) != 1) _exit(1);
  }
}

// What the killed one left is a whole state, no older than the one before.
TEST_CASE("killed at any moment, the state is the old one or the new one") {
  const Directory directory;
  const std::string key = random_bytes(32);
  std::mt19937 random(7);
  const int kills = std::getenv("KEYBEARER_LONG") != nullptr ? 1000 : 50;
  int newest = 0, moved = 0, waited = 0;
  for (int kill_number = 0; kill_number < kills; ++kill_number) {
    int saves[2];
    REQUIRE(pipe2(saves, O_CLOEXEC) == 0);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) write_forever(directory, key, newest, saves[1]);
    close(saves[1]);
    char byte = 0;
    const auto whole = random() % 3;  // saves before the one that is struck
    for (auto save = 0u; save < whole; ++save) REQUIRE(read(saves[0], &byte, 1) == 1);
    waited += whole > 0 ? 1 : 0;
    usleep(random() % 10'000);
    REQUIRE(kill(child, SIGKILL) == 0);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    close(saves[0]);
    StateFile file = open(directory, key);
    const auto loaded = file.load();
    if (loaded.refusal) FAIL(loaded.refusal->text);
    if (!loaded.restored) continue;  // killed before the first
    const lease::SavedSecret& secret = loaded.restored->record.state.secrets.at(0);
    REQUIRE(secret.kv_version >= newest);
    const auto text = secret.value->as_text();
    REQUIRE(text.size() == 20'000);
    REQUIRE(text.find_first_not_of(static_cast<char>('a' + secret.kv_version % 26)) ==
            std::string_view::npos);
    moved += secret.kv_version > newest ? 1 : 0;
    newest = secret.kv_version;
  }
  CHECK(moved >= waited);
  // No debris: the state, its counter, and the lock of nobody.
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory.path + "/data"))
    files += entry.path().filename().string().starts_with(".") ? 0 : 1;
  CHECK(files <= 3);
}

TEST_CASE("a second instance is refused while the first runs") {
  const Directory directory;
  const std::string key = random_bytes(32);
  std::optional<StateFile> first = open(directory, key);
  const auto second = StateFile::open(directory.file(), Secret(key), {"app", {"http://a"}, ""});
  REQUIRE(!second);
  CHECK(second.error().kind == ErrorKind::config);
  first.reset();
  CHECK(StateFile::open(directory.file(), Secret(key), {"app", {"http://a"}, ""}));
}

TEST_CASE("what is refused is kept under a name of its own each time") {
  const Directory directory;
  const std::string key = random_bytes(32);
  for (int round = 1; round <= 25; ++round) {
    StateFile file = open(directory, key);
    REQUIRE(save(file, round));
    std::ofstream(directory.file(), std::ios::binary) << "spoiled " << round;
    StateFile::Loaded loaded = file.load();
    REQUIRE(loaded.refusal);
    CHECK(loaded.kept_as.starts_with(directory.file() + ".refused"));
    CHECK(std::filesystem::exists(loaded.kept_as));
    CHECK(!std::filesystem::exists(directory.file()));
  }
}

TEST_CASE("a link, a pipe, a directory in its place is refused") {
  const Directory directory;
  const std::string key = random_bytes(32);
  {
    StateFile file = open(directory, key);
    REQUIRE(save(file, 1));
  }
  std::filesystem::rename(directory.file(), directory.path + "/elsewhere");
  std::filesystem::create_symlink(directory.path + "/elsewhere", directory.file());
  StateFile file = open(directory, key);
  CHECK(file.load().refusal);
  REQUIRE(mkfifo(directory.file().c_str(), 0600) == 0);
  CHECK(file.load().refusal);
}

TEST_CASE("systemd's credential is the key, and its absence an error that says what to add") {
  const Directory directory;
  const std::string key = random_bytes(32);
  config::State state;
  state.path = directory.file();
  state.key_from = config::State::KeyFrom::systemd;
  const auto none = read_key(state, [](const std::string&) { return std::nullopt; });
  REQUIRE(!none);
  CHECK(none.error().text.find("LoadCredential=state-key:") != std::string::npos);
  std::ofstream(directory.path + "/state-key", std::ios::binary) << key;
  chmod((directory.path + "/state-key").c_str(), 0440);  // as systemd mounts it
  const auto read = read_key(state, [&](const std::string& name) -> std::optional<std::string> {
    return name == "CREDENTIALS_DIRECTORY" ? std::optional(directory.path) : std::nullopt;
  });
  REQUIRE(read);
  CHECK(read->reveal() == key);
}

}  // namespace
}  // namespace keybearer::state
