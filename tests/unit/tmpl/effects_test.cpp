// What has an effect outside happens in complete passes only (behaviour.md R7).

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "json/json.hpp"
#include "tmpl/template.hpp"

namespace keybearer::tmpl {
namespace {

class Store final : public DataSource {
 public:
  std::map<std::string, Value> answers;
  std::map<std::string, Absence> absences;
  [[nodiscard]] const Value* find(const Dependency& dependency) override {
    const auto at = answers.find(dependency.path);
    return at == answers.end() ? nullptr : &at->second;
  }
  [[nodiscard]] std::uint64_t generation(const Dependency& dependency) const override {
    return answers.contains(dependency.path) ? 7 : 0;
  }
  [[nodiscard]] Absence absence(const Dependency& dependency) const override {
    const auto at = absences.find(dependency.path);
    return at == absences.end() ? Absence::pending : at->second;
  }
  void put(const std::string& path, const std::string& data) {
    answers[path] = *json::parse(R"({"data":)" + data + "}");
  }
};

Execution execute(const std::string& text, Store& store) {
  auto parsed = Template::parse("t", text, {.allow_plugin = true});
  REQUIRE(parsed);
  return parsed->execute(store);
}

std::vector<std::string> paths(const std::vector<Dependency>& dependencies) {
  std::vector<std::string> out;
  for (const auto& dependency : dependencies) out.push_back(dependency.path);
  return out;
}

// A program that leaves a line in a file for each time it is started.
class Program {
 public:
  Program() {
    std::string pattern = (std::filesystem::temp_directory_path() / "plugin-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    std::ofstream(directory_ + "/run")
        << "#!/bin/sh\necho \"$1\" >> " << log() << "\necho got-$1\n";
    std::filesystem::permissions(directory_ + "/run", std::filesystem::perms::owner_all);
  }
  ~Program() { std::filesystem::remove_all(directory_); }
  [[nodiscard]] std::string path() const { return directory_ + "/run"; }
  [[nodiscard]] std::string log() const { return directory_ + "/log"; }
  [[nodiscard]] std::string calls() const {
    std::stringstream out;
    out << std::ifstream(log()).rdbuf();
    return out.str();
  }

 private:
  std::string directory_;
};

TEST_CASE("writeToFile writes nothing by itself: a complete pass hands its files back, in order") {
  const std::string text =
      "{{ $s := \"nothing\" }}{{ with secret \"kv/a\" }}{{ $s = .Data.x }}{{ end }}"
      "{{ $s | writeToFile \"/no/such/f\" \"ann\" \"staff\" \"0640\" }}\n"
      "{{ \"b\" | writeToFile \"g\" \"\" \"\" \"0600\" \"append,newline\" }}";
  Store store;
  const Execution first = execute(text, store);
  CHECK(first.effects.empty());
  CHECK(paths(first.missing) == std::vector<std::string>{"kv/a"});
  store.put("kv/a", R"({"x":"value"})");
  const Execution second = execute(text, store);
  REQUIRE(second.complete());
  CHECK(second.text.reveal() == "\n");
  REQUIRE(second.used.size() == 1);
  CHECK(second.used[0].generation == 7);
  REQUIRE(second.effects.size() == 2);
  const FileEffect& whole = second.effects[0];
  CHECK(whole.path == "/no/such/f");
  CHECK(whole.user == "ann");
  CHECK(whole.group == "staff");
  CHECK(whole.mode == 0640);
  CHECK_FALSE(whole.append);
  CHECK(whole.content->reveal() == "value");
  CHECK(whole.context.starts_with("template: t:1:80: executing \"t\" at <writeToFile"));
  CHECK(second.effects[1].append);
  CHECK(second.effects[1].content->reveal() == "b\n");
}

TEST_CASE("a pass that fails hands nothing back, wherever it fails") {
  Store store;
  const std::string write = "{{ \"x\" | writeToFile \"f\" \"\" \"\" \"0600\" }}";
  const std::string wrong = "{{ parseInt \"x\" }}";
  for (const std::string& text : {write + wrong, wrong + write,
                                  "{{ define \"t\" }}" + write +
                                      "{{ end }}"
                                      "{{ executeTemplate \"t\" }}{{ template \"t\" }}" +
                                      wrong}) {
    CAPTURE(text);
    const Execution done = execute(text, store);
    CHECK(done.error.has_value());
    CHECK(done.effects.empty());
  }
}

TEST_CASE("a plugin is started only when nothing is missing, wherever what is missing stands") {
  const Program program;
  const std::string call = "{{ plugin \"" + program.path() + "\" \"now\" }}";
  const std::string with = "{{ with secret \"kv/a\" }}{{ .Data.x }}{{ end }}";
  for (const std::string& text :
       {call + with, with + call, "{{ if true }}" + call + "{{ end }}" + with}) {
    CAPTURE(text);
    std::filesystem::remove(program.log());
    Store store;
    const Execution first = execute(text, store);
    CHECK(paths(first.missing) == std::vector<std::string>{"kv/a"});
    CHECK(program.calls() == "");
    store.put("kv/a", R"({"x":"1"})");
    const Execution second = execute(text, store);
    CHECK(second.complete());
    CHECK(program.calls() == "now\n");
    CHECK(second.text.reveal().find("got-now") != std::string_view::npos);
  }
}

TEST_CASE(
    "what a plugin says may name the secret; what only stands there without it is not waited for") {
  const Program program;
  const std::string call = "(plugin \"" + program.path() + "\" \"a\")";
  Store store;
  // Without an answer of the plugin the text fails, or asks for something else.
  const Execution named = execute("{{ (secret " + call + ").Data.x }}", store);
  CHECK(paths(named.missing) == std::vector<std::string>{"got-a"});

  const std::string choice = "{{ if eq " + call +
                             " \"got-a\" }}{{ (secret \"kv/a\").Data.x }}"
                             "{{ else }}{{ (secret \"kv/b\").Data.x }}{{ end }}";
  store.absences["kv/b"] = DataSource::Absence::denied;
  CHECK(paths(execute(choice, store).missing) == std::vector<std::string>{"kv/a"});
  store.put("kv/a", R"({"x":"1"})");
  CHECK(execute(choice, store).text.reveal() == "1");
}

TEST_CASE("a write that is only asked for while a plugin is left out is not asked for") {
  const Program program;
  const std::string text = "{{ if not (plugin \"" + program.path() +
                           "\" \"a\") }}"
                           "{{ secret \"transit/x\" \"a=b\" }}{{ end }}";
  Store store;
  const Execution done = execute(text, store);
  CHECK(done.complete());
  CHECK(done.used.empty());
}

}  // namespace
}  // namespace keybearer::tmpl
