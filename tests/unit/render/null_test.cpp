// A null of a secret in variables and formats, what templates write beside
// their output, and what of the configuration is a path (behaviour.md R5, R6,
// R7, S7).

#include <doctest/doctest.h>

#include <map>

#include "json/json.hpp"
#include "render/renderer.hpp"

using namespace keybearer;
using namespace keybearer::render;

namespace {

class Store final : public tmpl::DataSource {
 public:
  void put(const std::string& path, const std::string& data) {
    answers_[path] = json::parse(R"({"data":)" + data + "}").value();
    ++generation_;
  }
  const Value* find(const tmpl::Dependency& dependency) override {
    const auto found = answers_.find(dependency.path);
    return found == answers_.end() ? nullptr : &found->second;
  }
  std::uint64_t generation(const tmpl::Dependency& dependency) const override {
    return answers_.contains(dependency.path) ? generation_ : 0;
  }

 private:
  std::map<std::string, Value> answers_;
  std::uint64_t generation_ = 0;
};

config::EnvFrom all_of(const std::string& secret) {
  config::EnvFrom out;
  out.secret = secret;
  return out;
}

config::EnvVar key_of(const std::string& name, const std::string& secret, const std::string& key,
                      std::optional<std::string> fallback = {}) {
  config::EnvVar out;
  out.name = name;
  out.value.secret = secret;
  out.value.key = key;
  out.value.default_value = std::move(fallback);
  return out;
}

config::EnvVar text_of(const std::string& name, const std::string& contents,
                       std::optional<std::string> fallback = {}) {
  config::EnvVar out;
  out.name = name;
  out.value.contents = contents;
  out.value.default_value = std::move(fallback);
  return out;
}

std::string environment(const Renderer& renderer) {
  std::string out;
  for (const auto& v : renderer.variables())
    out += (out.empty() ? "" : " ") + v.name + "=" + std::string(v.value->reveal());
  return out;
}

config::NamedValue named(const std::string& name, const std::string& key) {
  config::NamedValue out;
  out.name = name;
  out.node.value.secret = "kv/a";
  out.node.value.key = key;
  return out;
}

}  // namespace

TEST_CASE("a null is left out of what env_from makes, with one note while it lasts") {
  config::Config config;
  config.env_from.push_back(all_of("kv/a"));
  auto renderer = Renderer::make(config).value();
  Store store;
  store.put("kv/a", R"({"a":"1","b":null,"c":null})");
  const auto first = renderer.evaluate(store, false);
  CHECK(first.complete);
  CHECK(environment(renderer) == "A=1");
  CHECK(first.notes == std::vector<Note>{{Note::Kind::null_left_out, "env_from kv/a", "b, c"}});
  store.put("kv/a", R"({"a":"2","b":null,"c":null})");
  CHECK(renderer.evaluate(store, false).notes.empty());
  store.put("kv/a", R"({"a":"2","b":"3","c":null})");
  CHECK(renderer.evaluate(store, false).notes.size() == 1);
  CHECK(environment(renderer) == "A=2 B=3");
  // Also a key that is asked for by name.
  config.env_from[0].keys = {"c"};
  auto one = Renderer::make(config).value();
  CHECK(one.evaluate(store, false).complete);
  CHECK(environment(one).empty());
}

TEST_CASE(
    "a key that env_from asks for and is not there is named, with those "
    "that are") {
  config::Config config;
  config.env_from.push_back(all_of("kv/a"));
  config.env_from[0].keys = {"api_kee"};
  auto renderer = Renderer::make(config).value();
  Store store;
  store.put("kv/a", R"({"api_key":"1","b":"2"})");
  const auto evaluation = renderer.evaluate(store, false);
  REQUIRE(evaluation.errors.size() == 1);
  CHECK(evaluation.errors[0].text ==
        "env_from kv/a: no key \"api_kee\" in kv/a; it has api_key, b; did you "
        "mean \"api_key\"?");
}

TEST_CASE("a null of one variable is an error, or its default") {
  config::Config config;
  config.env = {key_of("A", "kv/a", "void"), key_of("B", "kv/a", "void", "default"),
                text_of("C", R"({{ (secret "kv/a").Data.void }})", "default"),
                text_of("D", R"({{ index (secret "kv/a").Data "nope" }})", "default"),
                text_of("E", R"({{ (secret "kv/a").Data.void }})")};
  auto renderer = Renderer::make(config).value();
  Store store;
  store.put("kv/a", R"({"void":null,"x":"1"})");
  const auto evaluation = renderer.evaluate(store, false);
  CHECK_FALSE(evaluation.complete);
  CHECK(environment(renderer) == "B=default C=default D=default");
  REQUIRE(evaluation.errors.size() == 2);
  CHECK(evaluation.errors[0].kind == ErrorKind::not_found);
  CHECK(evaluation.errors[0].text == "env.A: key \"void\" in kv/a is null");
  CHECK(evaluation.errors[1].kind == ErrorKind::not_found);
  CHECK(evaluation.errors[1].text.find("key \"void\" in kv/a is null") != std::string::npos);
  CHECK(evaluation.notes.size() == 3);
  // What is in force is not replaced by a null that comes later.
  store.put("kv/a", R"({"void":"v","x":"1"})");
  CHECK_FALSE(renderer.evaluate(store, false).complete == false);
  store.put("kv/a", R"({"void":null,"x":"1"})");
  CHECK(renderer.evaluate(store, false).errors.size() == 4);
  CHECK(environment(renderer) == "A=v B=v C=v D=default E=v");
}

TEST_CASE("a null of a format: null where there is one, else left out") {
  const std::pair<config::Format, std::string> cases[] = {
      {config::Format::json, "{\n  \"s\": {\n    \"a\": \"1\",\n    \"void\": null\n  }\n}\n"},
      {config::Format::yaml, "\"s\":\n  \"a\": \"1\"\n  \"void\": null\n"},
      {config::Format::toml, "\"s\".\"a\" = \"1\"\n"},
      {config::Format::properties, "s.a=1\n"},
      {config::Format::ini, "[s]\na = 1\n"}};
  for (const auto& [format, expected] : cases) {
    CAPTURE(static_cast<int>(format));
    config::Config config;
    config::Template spec;
    spec.destination = "out";
    spec.format = format;
    config::NamedValue section;
    section.name = "s";
    section.node.children = {named("a", "a"), named("void", "void")};
    spec.values = {section};
    config.templates.push_back(spec);
    auto renderer = Renderer::make(config).value();
    Store store;
    store.put("kv/a", R"({"a":"1","void":null})");
    const auto evaluation = renderer.evaluate(store, false);
    CHECK(evaluation.complete);
    CHECK(renderer.files()[0].content->reveal() == expected);
    const bool left_out = format != config::Format::json && format != config::Format::yaml;
    CHECK(evaluation.notes.size() == (left_out ? 1 : 0));
  }
  for (const auto format :
       {config::Format::env, config::Format::docker_env, config::Format::shell}) {
    config::Config config;
    config::Template spec;
    spec.destination = "out";
    spec.format = format;
    spec.values = {named("VOID", "void"), named("A", "a")};
    config.templates.push_back(spec);
    auto renderer = Renderer::make(config).value();
    Store store;
    store.put("kv/a", R"({"a":"1","void":null})");
    CHECK(renderer.evaluate(store, false).complete);
    CHECK(renderer.files()[0].content->reveal().find("VOID") == std::string_view::npos);
    CHECK(renderer.files()[0].content->reveal().find("A=") != std::string_view::npos);
  }
}

TEST_CASE(
    "in a path of the configuration each character is itself; a part .. "
    "is refused at load") {
  config::Config config;
  config.env = {key_of("A", "kv/app#2", "k"), key_of("B", "kv/app?version=1", "k"),
                key_of("C", "kv/a%2fb", "k"), key_of("D", " /kv/x/ ", "k")};
  auto renderer = Renderer::make(config).value();
  Store store;
  std::vector<std::string> paths;
  for (const auto& dependency : renderer.evaluate(store, false).missing)
    paths.push_back(dependency.path);
  CHECK(paths == std::vector<std::string>{"kv/app#2", "kv/app?version=1", "kv/a%2fb", "kv/x"});
  for (const char* path : {"kv/data/../metadata/x", "..", "kv/./x"}) {
    config.env = {key_of("A", path, "k")};
    CHECK_FALSE(Renderer::make(config));
  }
}

TEST_CASE(
    "what a template writes beside its output belongs to it, and to "
    "complete passes") {
  config::Config config;
  config::Template spec;
  spec.destination = "out";
  spec.contents = R"({{ (secret "kv/a").Data.x | writeToFile "f" "" "" "0600" }}text)";
  config.templates.push_back(spec);
  config.env = {text_of("A", R"({{ (secret "kv/a").Data.x | writeToFile "g" "" "" "0600" }}a)")};
  auto renderer = Renderer::make(config).value();
  Store store;
  (void)renderer.evaluate(store, false);
  CHECK(renderer.files()[0].effects.empty());
  store.put("kv/a", R"({"x":"1"})");
  CHECK(renderer.evaluate(store, false).complete);
  REQUIRE(renderer.files()[0].effects.size() == 1);
  CHECK(renderer.files()[0].effects[0].content->reveal() == "1");
  CHECK(renderer.files()[0].generation == 1);
  REQUIRE(renderer.variables().at(0).effects.size() == 1);
  store.put("kv/a", R"({"x":"2"})");
  CHECK(renderer.evaluate(store, false).complete);
  CHECK(renderer.files()[0].effects[0].content->reveal() == "2");
  CHECK(renderer.files()[0].generation == 2);
  // The pass that fails leaves what is in force.
  store.put("kv/a", R"({"y":"3"})");
  CHECK(renderer.evaluate(store, false).errors.size() == 2);
  CHECK(renderer.files()[0].effects[0].content->reveal() == "2");
  CHECK(renderer.files()[0].generation == 2);
}

TEST_CASE(
    "one write after another: none goes out while something before it is "
    "missing") {
  config::Config config;
  config::Template spec;
  spec.destination = "out";
  spec.contents = R"({{ $x := "none" }}{{ with secret "w/one" "a=b" }}{{ $x = .Data.x }}{{ end }})"
                  R"({{ with secret "w/two" (print "x=" $x) }}{{ .Data.y }}{{ end }})";
  config.templates.push_back(spec);
  auto renderer = Renderer::make(config).value();
  Store store;
  const auto missing = [&] {
    std::vector<std::string> out;
    for (const auto& dependency : renderer.evaluate(store, false).missing)
      out.push_back(dependency.path + " " + dependency.args.at(0).second);
    return out;
  };
  CHECK(missing() == std::vector<std::string>{"w/one b"});
  store.put("w/one", R"({"x":"1"})");
  CHECK(missing() == std::vector<std::string>{"w/two 1"});
}

TEST_CASE("the same text in two places is two templates") {
  config::Config config;
  for (const char* name : {"one", "two"}) {
    config::Template spec;
    spec.destination = name;
    spec.contents =
        R"({{ scratch.SetX "n" "first" }}{{ scratch.Get "n" }} {{ (secret "kv/a").Data.x }})";
    config.templates.push_back(spec);
  }
  config.templates[1].error_on_missing_key = false;
  auto renderer = Renderer::make(config).value();
  Store store;
  store.put("kv/a", R"({"y":"1"})");
  const auto evaluation = renderer.evaluate(store, false);
  CHECK(evaluation.errors.size() == 1);
  CHECK(renderer.files()[0].generation == 0);
  CHECK(renderer.files()[1].content->reveal() == "first <no value>");
}
