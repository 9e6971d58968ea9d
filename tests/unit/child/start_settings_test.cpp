// What the program is started with, and the trial of its values.

#include "child/start_settings.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>

#include "base/task_group.hpp"
#include "child/verifier.hpp"

namespace keybearer::child {
namespace {

using namespace std::chrono_literals;

struct Directory {
  std::string path = "/tmp/keybearer-start-XXXXXX";
  Directory() { REQUIRE(mkdtemp(path.data()) != nullptr); }
  ~Directory() { std::filesystem::remove_all(path); }
};

std::vector<std::pair<int, int>> targets(const StartSettings& settings) {
  std::vector<std::pair<int, int>> out;  // index of the file, target
  for (const auto& each : settings.options.descriptors) {
    for (std::size_t i = 0; i < settings.files.size(); ++i)
      if (settings.files[i].get() == each.from) out.emplace_back(static_cast<int>(i), each.to);
  }
  return out;
}

TEST_CASE("what is configured is what the program gets") {
  config::Exec exec;
  exec.working_directory = "/";
  exec.nice = 5;
  exec.umask = 027;
  exec.rlimits = {{"nofile", 64}, {"core", std::nullopt}};
  const auto settings = start_settings(exec);
  REQUIRE(settings);
  const StartOptions& options = settings->options;
  CHECK(options.working_directory == "/");
  CHECK(options.nice == 5);
  CHECK(options.umask == 027u);
  REQUIRE(options.limits.size() == 2);
  CHECK(options.limits[0].resource == RLIMIT_CORE);
  CHECK(options.limits[0].value.rlim_cur == RLIM_INFINITY);
  CHECK(options.limits[1].resource == RLIMIT_NOFILE);
  CHECK(options.limits[1].value.rlim_cur == 64);
  CHECK(options.limits[1].value.rlim_max == 64);
  CHECK(settings->files.empty());
  CHECK_FALSE(options.user);
  CHECK(rlimit_number("stack") == RLIMIT_STACK);
  CHECK_FALSE(rlimit_number("nothing"));
  CHECK_FALSE(rlimit_number(""));
}

TEST_CASE("output files: each its own, or one for both") {
  const Directory directory;
  using Targets = std::vector<std::pair<int, int>>;
  const std::string a = directory.path + "/a", b = directory.path + "/b";
  const struct {
    std::string out, err;
    Targets expected;
  } rows[] = {{"", "", {}},
              {a, "", {{0, 1}}},
              {"", b, {{0, 2}}},
              {a, b, {{0, 1}, {1, 2}}},
              {a, a, {{0, 1}, {0, 2}}}};
  for (const auto& row : rows) {
    config::Exec exec;
    exec.stdout_path = row.out;
    exec.stderr_path = row.err;
    const auto settings = start_settings(exec);
    REQUIRE(settings);
    CHECK(targets(*settings) == row.expected);
  }
  for (const bool out : {true, false}) {
    config::Exec exec;
    (out ? exec.stdout_path : exec.stderr_path) = directory.path + "/none/x";
    const auto settings = start_settings(exec);
    REQUIRE_FALSE(settings);
    CHECK(settings.error().kind == ErrorKind::spawn);
    CHECK(settings.error().status == 73);
    CHECK(settings.error().text.starts_with(out ? "exec.stdout: " : "exec.stderr: "));
  }
}

TEST_CASE("an output that is a pipe without a reader, or behind a link of another user") {
  const Directory directory;
  const std::string pipe = directory.path + "/pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  config::Exec exec;
  exec.stdout_path = pipe;
  const auto settings = start_settings(exec);
  REQUIRE_FALSE(settings);
  CHECK(settings.error().text == "exec.stdout: " + pipe + ": this pipe has no reader");
  const UniqueFd reader(open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  const auto read = start_settings(exec);
  REQUIRE(read);
  CHECK((fcntl(read->files[0].get(), F_GETFL) & (O_NONBLOCK | O_APPEND)) == O_APPEND);
  if (geteuid() != 0) return;  // needs others
  exec.stdout_path = directory.path + "/link";
  REQUIRE(symlink("mine", exec.stdout_path.c_str()) == 0);
  CHECK(start_settings(exec));
  REQUIRE(lchown(exec.stdout_path.c_str(), 65534, 65534) == 0);
  const auto refused = start_settings(exec);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().status == 73);
  CHECK(refused.error().text.contains("is a link of another user"));
}

TEST_CASE("the program's user: with its group, or with the one that is named") {
  config::Exec exec;
  exec.user = "no-such-user";
  const auto unknown = start_settings(exec);
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().status == 126);
  exec.user = "root";
  const auto root = start_settings(exec);
  REQUIRE(root);
  CHECK(root->options.user == 0u);
  CHECK(root->options.group == 0u);
  CHECK(root->options.groups.has_value() == (geteuid() == 0));
  exec.user = "65533";  // of no name, and so of no group
  const auto nameless = start_settings(exec);
  REQUIRE_FALSE(nameless);
  CHECK(nameless.error().text.contains("set exec.group, too"));
  exec.group = "0";
  const auto named = start_settings(exec);
  REQUIRE(named);
  CHECK(named->options.user == 65533u);
  CHECK(named->options.group == 0u);
}

// One set after another, with a command that is /bin/sh's.
struct Trial {
  boost::asio::io_context context;
  config::Exec exec;
  std::vector<std::uint64_t> accepted;
  std::vector<std::string> refused;
  int refetched = 0;
  bool leased = true;
  std::optional<Verifier> verifier;

  explicit Trial(const std::string& command) {
    if (!command.empty()) exec.verify.command.argv = {"/bin/sh", "-c", command};
    exec.verify.attempts = 2;
    exec.verify.backoff = 1ms;
    verifier.emplace(
        exec,
        VerifierCallbacks{.accepted = [this](Desired set) { accepted.push_back(set.id); },
                          .refetch =
                              [this] {
                                ++refetched;
                                return leased;
                              },
                          .refused = [this](const std::string& why) { refused.push_back(why); }});
  }
  void offer(std::uint64_t id, std::uint64_t fingerprint) {
    Desired set{.id = id,
                .items = {{.name = "A", .fingerprint = fingerprint}},
                .environment = {},
                .apply_before = Instant::max()};
    set.environment.set("A", "value");
    EnvBlock rendered;
    rendered.set("A", "value");
    verifier->offer(std::move(set), rendered);
  }
  template <class Done>
  void run_until(Done done) {
    context.restart();
    TaskGroup tasks(context.get_executor());
    tasks.spawn(verifier->run());
    const auto limit = std::chrono::steady_clock::now() + 20s;
    while (!done() && std::chrono::steady_clock::now() < limit) context.run_one_for(1s);
    CHECK(done());
    tasks.cancel();
    while (tasks.live() > 0) context.run_one_for(1s);
  }
};

TEST_CASE("without a command each set is good at once") {
  Trial trial("");
  trial.offer(1, 1);
  trial.offer(2, 2);
  CHECK(trial.accepted == std::vector<std::uint64_t>{1, 2});
}

TEST_CASE("a set is accepted once the command has found it good") {
  Trial trial("[ \"$A\" = value ]");
  trial.offer(1, 1);
  CHECK(trial.accepted.empty());
  trial.run_until([&] { return !trial.accepted.empty(); });
  CHECK(trial.accepted == std::vector<std::uint64_t>{1});
  CHECK(trial.refetched == 0);
  trial.offer(2, 1);  // the same values
  CHECK(trial.accepted == std::vector<std::uint64_t>{1, 2});
}

TEST_CASE("a set that is never good is refused with the reason, and without leases at once") {
  for (const bool leased : {false, true}) {
    Trial trial("exit 3");
    trial.leased = leased;
    trial.exec.verify.attempts = leased ? 1 : 2;
    trial.verifier->configure(trial.exec);
    trial.offer(1, 1);
    trial.run_until([&] { return !trial.refused.empty(); });
    CHECK(trial.accepted.empty());
    REQUIRE(trial.refused.size() == 1);
    CHECK(trial.refused[0].starts_with("exec.verify: "));
    CHECK(trial.refused[0].ends_with(leased ? ", 1 of 1 attempts" : ", 2 of 2 attempts"));
    CHECK(trial.refetched == (leased ? 0 : 1));
  }
}

TEST_CASE("another exec.verify: what the one before refused is tried again, by the new one") {
  Trial trial("exit 3");
  trial.exec.verify.attempts = 1;
  trial.verifier->configure(trial.exec);
  trial.offer(1, 1);
  trial.run_until([&] { return !trial.refused.empty(); });
  trial.verifier->configure(trial.exec);
  trial.offer(2, 1);
  CHECK(trial.refused.size() == 1);  // nothing is another
  trial.exec.verify.command.argv.back() = "exit 0";
  trial.verifier->configure(trial.exec);
  trial.offer(3, 1);
  trial.run_until([&] { return !trial.accepted.empty(); });
  CHECK(trial.accepted == std::vector<std::uint64_t>{3});
}

TEST_CASE("no exec.verify any more: a trial that runs is over, and its answer is dropped") {
  Trial trial("exit 3");
  trial.exec.verify.attempts = 100;
  trial.leased = false;  // it is tried again and again
  trial.verifier->configure(trial.exec);
  trial.offer(1, 1);
  trial.run_until([&] { return trial.refetched > 0; });
  trial.exec.verify = {};
  trial.verifier->configure(trial.exec);
  trial.offer(2, 1);
  CHECK(trial.accepted == std::vector<std::uint64_t>{2});
  const int refetched = trial.refetched;
  bool over = false;
  trial.run_until([&] {
    if (!over) boost::asio::post(trial.context, [&over] { over = true; });
    return over;
  });
  CHECK(trial.refetched == refetched);
  CHECK(trial.refused.empty());
  while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {  // a command that was given up
  }
}

}  // namespace
}  // namespace keybearer::child
