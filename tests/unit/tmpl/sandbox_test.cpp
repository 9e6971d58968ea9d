// sandbox_path, as in consul-template 0.42.1 (its TestFileSandbox), and the swap between check and
// read.

#include "tmpl/sandbox.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tmpl/template.hpp"

namespace keybearer::tmpl {
namespace {

namespace fs = std::filesystem;

// box/ is the sandbox; secret.txt lies beside it.
class Tree {
 public:
  Tree() {
    std::string pattern = (fs::temp_directory_path() / "sandbox-XXXXXX").string();
    base_ = fs::canonical(mkdtemp(pattern.data())).string();
    fs::create_directories(at("box/path/to"));
    write("box/path/to/file", "inside");
    write("box/path/to/other", "inside");
    write("secret.txt", "outside");
    fs::create_directories(at("boxes"));
    write("boxes/file", "outside");
    fs::create_symlink("file", at("box/path/to/ok-link"));
    fs::create_symlink(at("box/path/to/file"), at("box/path/to/absolute-link"));
    fs::create_symlink("../../../secret.txt", at("box/path/to/bad-link"));
    fs::create_symlink("../..", at("box/path/up"));
    fs::create_symlink("../../boxes", at("box/path/beside"));
    fs::create_symlink("gone", at("box/path/to/dangling"));
    fs::create_symlink("loop", at("box/path/to/loop"));
    fs::create_symlink("box/path/to/file", at("into"));
    mkfifo(at("box/fifo").c_str(), 0600);
  }
  ~Tree() { fs::remove_all(base_); }
  [[nodiscard]] std::string at(const std::string& name) const { return base_ + "/" + name; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(at(name)) << text;
  }
  [[nodiscard]] std::string root() const { return resolve_sandbox(at("box")).value(); }

 private:
  std::string base_;
};

std::string read_all(int fd) {
  char buffer[100];
  const ssize_t n = read(fd, buffer, sizeof buffer);
  return {buffer, n > 0 ? static_cast<std::size_t>(n) : 0};
}

TEST_CASE("a path is in the sandbox when it still is after all links") {
  const Tree tree;
  for (const bool old_kernel : {false, true}) {
    CAPTURE(old_kernel);
    for (const char* name : {"box/path/to/file", "box/path/to/../to/file", "box/path/to/ok-link",
                             "box/path/to/absolute-link", "into", "box/../box/path/to/file"}) {
      CAPTURE(name);
      const auto fd = open_beneath(tree.root(), tree.at(name), old_kernel);
      REQUIRE_MESSAGE(fd, fd.error().text);
      CHECK(read_all(fd->get()) == "inside");
    }
    for (const char* name : {"secret.txt", "box/path/../../secret.txt", "box/path/to/bad-link",
                             "box/path/up/secret.txt", "boxes/file", "box/path/beside/file"}) {
      CAPTURE(name);
      const auto fd = open_beneath(tree.root(), tree.at(name), old_kernel);
      REQUIRE_FALSE(fd);
      CHECK(fd.error().text == "'" + tree.at(name) + "' is outside of sandbox");
      CHECK(fd.error().kind == ErrorKind::denied);
    }
    for (const char* name : {"box/gone", "box/path/to/dangling", "box/path/to/file/x"}) {
      CAPTURE(name);
      CHECK(open_beneath(tree.root(), tree.at(name), old_kernel).error().kind ==
            ErrorKind::not_found);
    }
    CHECK(open_beneath(tree.root(), tree.at("box/path/to/loop"), old_kernel).error().text ==
          "EvalSymlinks: too many links");
    CHECK(open_beneath(tree.root(), tree.at("box/fifo"), old_kernel));  // does not block
  }
}

TEST_CASE("the sandbox itself: a directory, without links, at load") {
  const Tree tree;
  fs::create_symlink("box", tree.at("link"));
  CHECK(resolve_sandbox(tree.at("link")).value() == tree.at("box"));
  for (const char* name : {"gone", "secret.txt"}) {
    const auto root = resolve_sandbox(tree.at(name));
    REQUIRE_FALSE(root);
    CHECK(root.error().kind == ErrorKind::config);
    CHECK(root.error().text.starts_with("sandbox_path " + tree.at(name) + ": "));
  }
  CHECK_FALSE(Template::parse("t", "x", {.sandbox_path = tree.at("gone")}));
  // Where it led at load, not where it leads now.
  const std::string root = tree.root();
  fs::rename(tree.at("box"), tree.at("moved"));
  fs::create_symlink("boxes", tree.at("box"));
  CHECK_FALSE(open_beneath(root, tree.at("box/file")));
}

TEST_CASE("who swaps a link between check and read wins nothing") {
  const Tree tree;
  const std::string root = tree.root(), name = tree.at("box/swapped"), next = tree.at("box/next");
  std::atomic<bool> over = false;
  std::thread swapper([&] {
    for (int i = 0; !over; ++i) {
      fs::remove(next);
      if (i % 3 == 0)
        fs::create_symlink("../secret.txt", next);
      else if (i % 3 == 1)
        fs::create_symlink("path/to/file", next);
      else
        tree.write("box/next", "inside");
      fs::rename(next, name);
    }
  });
  int inside = 0, refused = 0;
  constexpr int kLooks = 3000, kMostLooks = 1000 * kLooks;  // a busy machine swaps seldom
  for (int i = 0; i < kLooks || (inside == 0 && i < kMostLooks); ++i) {
    const auto fd = open_beneath(root, name, i % 2 == 0);
    if (!fd) {
      ++refused;
      continue;
    }
    const std::string text = read_all(fd->get());
    REQUIRE(text != "outside");
    ++inside;
  }
  over = true;
  swapper.join();
  CHECK(inside + refused >= kLooks);
  CHECK(inside > 0);
}

class NoData final : public DataSource {
 public:
  [[nodiscard]] const Value* find(const Dependency&) override { return nullptr; }
};

Execution execute(const Tree& tree, const std::string& text) {
  auto parsed = Template::parse("t", text, {.sandbox_path = tree.at("box"), .allow_plugin = true});
  REQUIRE(parsed);
  NoData nothing;
  return parsed->execute(nothing);
}

TEST_CASE("file, writeToFile and plugin are bound to it") {
  const Tree tree;
  const auto file = [&](const std::string& name) {
    return execute(tree, "{{ file \"" + tree.at(name) + "\" }}");
  };
  const Execution inside = file("box/path/to/file");
  REQUIRE(inside.missing.size() == 1);
  CHECK(inside.missing[0].sandbox == tree.root());
  CHECK_FALSE(inside.error);
  CHECK(file("secret.txt").error->text.ends_with("' is outside of sandbox"));
  CHECK(file("box/path/to/bad-link").missing.empty());
  CHECK(file("box/gone").missing.size() == 1);  // it may come

  const Execution wrote =
      execute(tree, "{{ \"x\" | writeToFile \"" + tree.at("box/out") + "\" \"\" \"\" \"0600\" }}");
  REQUIRE(wrote.effects.size() == 1);
  CHECK(wrote.effects[0].sandbox == tree.root());

  CHECK(
      execute(tree, "{{ plugin \"echo\" \"x\" }}").error->text.ends_with("is outside of sandbox"));
  tree.write("box/run", "#!/bin/sh\necho ran\n");
  fs::permissions(tree.at("box/run"), fs::perms::owner_all);
  CHECK(execute(tree, "{{ plugin \"" + tree.at("box/run") + "\" }}").text.reveal() == "ran");
  CHECK(execute(tree, "{{ plugin \"" + tree.at("box/gone") + "\" }}").error.has_value());
}

}  // namespace
}  // namespace keybearer::tmpl
