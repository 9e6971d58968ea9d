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

#include "crypto/aead.hpp"
#include "state/key.hpp"
#include "support/temp_directory.hpp"

namespace keybearer::state {
namespace {

using namespace std::chrono_literals;

struct Directory : test::TempDirectory {
  [[nodiscard]] std::string file() const { return *this / "data/state"; }
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
  for (const auto& entry : std::filesystem::directory_iterator(directory / "data"))
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
  std::filesystem::rename(directory.file(), directory / "elsewhere");
  std::filesystem::create_symlink(directory / "elsewhere", directory.file());
  StateFile file = open(directory, key);
  CHECK(file.load().refusal);
  REQUIRE(mkfifo(directory.file().c_str(), 0600) == 0);
  CHECK(file.load().refusal);
}

void put(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  chmod(path.c_str(), 0600);
}

// The state and the counter after one save and after two more, and what is found of them then.
struct Replay {
  const char* name;
  void (*apply)(const std::string& state, const std::string& old_state,
                const std::string& old_counter, const std::string& key);
  std::optional<Reason> refused;
  int round = 0;  // of the state that is believed; 0: none
};

TEST_CASE("an older copy put back: with its counter, without it, with another") {
  const Replay rows[] = {
      {"the state alone",
       [](const std::string& file, const std::string& state, const std::string&,
          const std::string&) { put(file, state); },
       Reason::replayed},
      {"the state, and no counter",
       [](const std::string& file, const std::string& state, const std::string&,
          const std::string&) {
         put(file, state);
         std::filesystem::remove(file + ".counter");
       },
       Reason::replayed},
      {"the newest state, and no counter",
       [](const std::string& file, const std::string&, const std::string&, const std::string&) {
         std::filesystem::remove(file + ".counter");
       },
       Reason::replayed},
      {"the state, and another key's counter",
       [](const std::string& file, const std::string& state, const std::string&,
          const std::string&) {
         put(file, state);
         put(file + ".counter", seal_counter(random_bytes(32), 1));
       },
       Reason::replayed},
      {"the state, and a counter that was changed",
       [](const std::string& file, const std::string& state, const std::string& counter,
          const std::string&) {
         put(file, state);
         std::string changed = counter;
         changed[15] = static_cast<char>(changed[15] ^ 1);
         put(file + ".counter", changed);
       },
       Reason::replayed},
      {"the state, and a counter that is a link",
       [](const std::string& file, const std::string& state, const std::string& counter,
          const std::string&) {
         put(file, state);
         put(file + ".elsewhere", counter);
         std::filesystem::remove(file + ".counter");
         std::filesystem::create_symlink(file + ".elsewhere", file + ".counter");
       },
       Reason::unreadable},
      {"the state, and a counter that others can write",
       [](const std::string& file, const std::string& state, const std::string& counter,
          const std::string&) {
         put(file, state);
         put(file + ".counter", counter);
         chmod((file + ".counter").c_str(), 0666);
       },
       Reason::readable},
      {"the state, and a counter that is not the next one's but a later one's",
       [](const std::string& file, const std::string& state, const std::string& counter,
          const std::string& key) {
         put(file, state);
         put(file + ".counter", seal_counter(key, *unseal_counter(key, counter) + 1));
       },
       Reason::replayed},
      // What can't be told: both are as they were then.
      {"the state and its counter",
       [](const std::string& file, const std::string& state, const std::string& counter,
          const std::string&) {
         put(file, state);
         put(file + ".counter", counter);
       },
       std::nullopt, 1},
      // Nor does it matter: the newest is the newest.
      {"the counter alone",
       [](const std::string& file, const std::string&, const std::string& counter,
          const std::string&) { put(file + ".counter", counter); },
       std::nullopt, 3},
      {"no state: a first start",
       [](const std::string& file, const std::string&, const std::string&, const std::string&) {
         std::filesystem::remove(file);
       },
       std::nullopt},
  };
  for (const Replay& row : rows) {
    CAPTURE(row.name);
    const Directory directory;
    const std::string key = random_bytes(32), path = directory.file();
    std::string old_state, old_counter;
    for (int round = 1; round <= 3; ++round) {
      StateFile file = open(directory, key);
      (void)file.load();
      REQUIRE(save(file, round));
      if (round > 1) continue;
      old_state = directory.read("data/state");
      old_counter = directory.read("data/state.counter");
    }
    row.apply(path, old_state, old_counter, key);
    {
      StateFile file = open(directory, key);
      const auto loaded = file.load();
      CHECK(loaded.refusal.has_value() == row.refused.has_value());
      if (row.refused && loaded.refusal) {
        CHECK(loaded.refusal->reason == *row.refused);
        CHECK(loaded.refusal->text.contains("count") + loaded.refusal->text.contains("older") >= 1);
        CHECK(std::filesystem::exists(loaded.kept_as));
      }
      REQUIRE(loaded.restored.has_value() == (row.round > 0));
      if (row.round > 0) CHECK(loaded.restored->record.state.secrets.at(0).kv_version == row.round);
      REQUIRE(save(file, 4));
    }
    CHECK(open(directory, key).load().restored);  // and the next start resumes
    // Whatever was lost or refused: once a state is written again, none of before is newer.
    put(path, old_state);
    StateFile file = open(directory, key);
    const auto again = file.load();
    REQUIRE(again.refusal);
    CHECK(again.refusal->reason == Reason::replayed);
  }
}

TEST_CASE("both files gone, and an old state put back later: it is older") {
  const Directory directory;
  const std::string key = random_bytes(32), path = directory.file();
  std::string old;
  for (int round = 1; round <= 20; ++round) {
    StateFile file = open(directory, key);
    (void)file.load();
    REQUIRE(save(file, round));
    old = directory.read("data/state");
  }
  std::filesystem::remove(path);
  std::filesystem::remove(path + ".counter");
  {
    StateFile file = open(directory, key);
    CHECK_FALSE(file.load().restored);
    REQUIRE(save(file, 21));
  }
  put(path, old);
  StateFile file = open(directory, key);
  CHECK(file.load().refusal);
}

TEST_CASE("whose states are saved from now on: another address after a reload") {
  const Directory directory;
  const std::string key = random_bytes(32);
  {
    StateFile file = open(directory, key);
    CHECK_FALSE(file.bind({"app", {"http://a"}, ""}));
    CHECK(file.bind({"app", {"http://b"}, ""}));
    REQUIRE(save(file, 1));
  }
  {
    auto file = StateFile::open(directory.file(), Secret(key), {"app", {"http://b"}, ""});
    REQUIRE(file);
    CHECK(file->load().restored);
  }
  StateFile file = open(directory, key);
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
  std::ofstream(directory / "state-key", std::ios::binary) << key;
  chmod((directory / "state-key").c_str(), 0440);  // as systemd mounts it
  const auto read = read_key(state, [&](const std::string& name) -> std::optional<std::string> {
    return name == "CREDENTIALS_DIRECTORY" ? std::optional(directory.path()) : std::nullopt;
  });
  REQUIRE(read);
  CHECK(read->reveal() == key);
}

}  // namespace
}  // namespace keybearer::state
