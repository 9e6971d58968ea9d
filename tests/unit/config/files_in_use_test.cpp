#include "config/files_in_use.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "fixture.hpp"

namespace keybearer::config {
namespace {

// %D is a directory, %D/link leads to it, %D/alias to a file "a" in it, %D/hard is another name of %D/source. Each text stands in %D/agent.toml.
std::string problems_of(std::string text) {
  Fixture f;
  std::filesystem::create_directory_symlink(f.directory, f.directory + "/link");
  std::filesystem::create_symlink("a", f.directory + "/alias");
  std::ofstream(f.directory + "/source") << "x";
  std::filesystem::create_hard_link(f.directory + "/source", f.directory + "/hard");
  const auto put = [&](std::string into) {
    for (std::size_t at = 0; (at = into.find("%D")) != std::string::npos;)
      into.replace(at, 2, f.directory);
    return into;
  };
  return f.problems(put(std::move(text)));
}

const std::string kTemplate = "[[template]]\ncontents = \"x\"\ndestination = \"%D/";

TEST_CASE("a file has one writer, and is nothing that is read, whatever leads to it") {
  const std::pair<std::string, const char*> rows[] = {
      {kTemplate + "a\"\n" + kTemplate + "./a\"\n", "is a template's destination, at "},
      {kTemplate + "a\"\n" + kTemplate + "link/a\"\n", "is a template's destination"},
      {kTemplate + "a\"\n" + kTemplate + "link/link/../link/a\"\n", "is a template's destination"},
      {kTemplate + "a\"\n" + kTemplate + "alias\"\n", "is a template's destination"},
      {kTemplate + "new/deep/a\"\n" + kTemplate + "link/new/deep/a\"\n",
       "is a template's destination"},
      {kTemplate + "agent.toml\"\n", "is the configuration"},
      {kTemplate + "link/agent.toml\"\n", "is the configuration"},
      {"[[template]]\nsource = \"%D/source\"\ndestination = \"%D/link/source\"\n",
       "is a template's source"},
      {"[env]\nA = { source = \"%D/source\" }\n" + kTemplate + "source\"\n",
       "is the source of env.A"},
      {"[auto_auth.method]\ntype = \"token_file\"\ntoken_file_path = \"%D/source\"\n" + kTemplate +
           "source\"\n",
       "is read by the login (auto_auth.method.token_file_path)"},
      {"log_file = \"%D/a\"\n" + kTemplate + "a\"\n", "is the log_file"},
      {"log_file = \"%D/a\"\npid_file = \"%D/a\"\n", "pid_file: "},
      {"[exec]\ncommand = [\"x\"]\nstderr = \"%D/a\"\n" + kTemplate + "a\"\n", "is exec.stderr"},
      {"[state]\npath = \"%D/a\"\nkey_file = \"%D/source\"\n" + kTemplate + "a\"\n",
       "is state.path"},
      {"[state]\npath = \"%D/a\"\nkey_file = \"%D/source\"\n" + kTemplate + "source\"\n",
       "is state.key_file"},
      {kTemplate + "a\"\n[[auto_auth.sink]]\npath = \"%D/link/a\"\n",
       "auto_auth.sink.path: %D/link/a is a template's destination"},
      // What is kept beside a file has one writer, too.
      {kTemplate + "a\"\nbackup = true\n" + kTemplate + "link/a.bak\"\n",
       "/a.bak is a template's destination"},
      {kTemplate + "new/../a.bak\"\n" + kTemplate + "alias\"\nbackup = true\n",
       "template.backup: "},
      {kTemplate + "a\"\nbackup = true\n" + kTemplate + "a.bak.bak\"\n" + kTemplate +
           "link/a.bak\"\nbackup = true\n",
       "/a.bak.bak is a template's destination"},
      {"log_file = \"%D/a.bak\"\n" + kTemplate + "a\"\nbackup = true\n", "is the log_file"},
      {"pid_file = \"%D/link/a.bak\"\n" + kTemplate + "a\"\nbackup = true\n", "is the pid_file"},
      {kTemplate + "a\"\nbackup = true\n[[auto_auth.sink]]\npath = \"%D/link/a.bak\"\n",
       "auto_auth.sink.path: %D/link/a.bak is a template's backup"},
      {"[[template]]\nsource = \"%D/source.bak\"\ndestination = \"%D/source\"\nbackup = true\n",
       "/source.bak is a template's source"},
      {"[state]\npath = \"%D/a\"\nkey_file = \"%D/source\"\n" + kTemplate + "a.lock\"\n",
       "is kept beside state.path"},
      // What is written in place has another content under its other names, too.
      {"[[template]]\nsource = \"%D/source\"\ndestination = \"%D/hard\"\nin_place = true\n",
       "is a template's source"},
      {kTemplate + "source\"\n" + kTemplate + "hard\"\nin_place = true\n",
       "is a template's destination"},
      {"log_file = \"%D/hard\"\n[env]\nA = { source = \"%D/source\" }\n", "log_file: "},
      {"[[listener]]\ntype = \"unix\"\naddress = \"%D/a\"\n" + kTemplate + "link/a\"\n",
       "is a listener's socket"},
      {"[control]\nsocket = \"%D/a\"\n" + kTemplate + "a\"\n", "is the control socket"},
      {"[control]\nsocket = \"%D/a\"\n[[auto_auth.sink]]\npath = \"%D/a\"\n",
       "is the control socket"},
      {kTemplate + "a\"\nbackup = true\n" + kTemplate + "a.bak\"\n", "is a template's destination"},
      {kTemplate + "a\"\nbackup = true\n[[auto_auth.sink]]\npath = \"%D/link/a.bak\"\n",
       "is a template's backup"},
      {"log_file = \"%D/a.bak\"\n" + kTemplate + "a\"\nbackup = true\n", "is the log_file"},
  };
  for (const auto& [text, says] : rows) {
    CAPTURE(text);
    std::string expected = says;
    if (const auto at = expected.find("%D"); at != std::string::npos) expected.erase(0, at + 2);
    const std::string said = problems_of(text);
    CHECK_MESSAGE(said.contains(expected), said);
  }
}

TEST_CASE("what may be shared: outputs that are appended to, sources, a certificate of our own") {
  const std::string rows[] = {
      "log_file = \"%D/a\"\n[exec]\ncommand = [\"x\"]\nstdout = \"%D/a\"\n"
      "stderr = \"%D/a\"\n",
      "[env]\nA = { source = \"%D/source\" }\nB = { source = \"%D/source\" }\n",
      // A file that is replaced leaves its other names alone.
      "[[template]]\nsource = \"%D/source\"\ndestination = \"%D/hard\"\n",
      kTemplate + "source\"\n" + kTemplate + "hard\"\n",
      kTemplate + "a\"\nbackup = true\n" + kTemplate + "b\"\nbackup = true\n",
      "[auto_auth.method]\ntype = \"cert\"\nclient_cert = \"%D/source\"\n"
      "client_key = \"%D/source\"\n" +
          kTemplate + "source\"\n",
  };
  for (const std::string& text : rows) {
    CAPTURE(text);
    CHECK(problems_of(text).find(" is ") == std::string::npos);
  }
}

}  // namespace
}  // namespace keybearer::config
