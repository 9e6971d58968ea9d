#include "render/renderer.hpp"

#include <doctest/doctest.h>

#include <map>

#include "json/json.hpp"

// Rules: R1, R6 (src/RULES.md).
using namespace keybearer;
using namespace keybearer::render;

namespace {

// Secrets that appear and change when the test says so; counts how often it was asked for their
// content.
class Store final : public tmpl::DataSource {
 public:
  int asked = 0;

  void put(const std::string& path, const std::string& data) {
    Entry& entry = entries_[path];
    entry.answer = json::parse(R"({"data":)" + data + "}").value();
    ++entry.generation;
  }
  void put_kv2(const std::string& path, const std::string& data) {
    put(path, R"({"data":)" + data + R"(,"metadata":{"version":1}})");
  }
  void say(const std::string& path, Absence absence) { absences_[path] = absence; }

  const Value* find(const tmpl::Dependency& dependency) override {
    ++asked;
    const auto found = entries_.find(dependency.path);
    return found == entries_.end() ? nullptr : &found->second.answer;
  }
  std::uint64_t generation(const tmpl::Dependency& dependency) const override {
    const auto found = entries_.find(dependency.path);
    return found == entries_.end() ? 0 : found->second.generation;
  }
  Absence absence(const tmpl::Dependency& dependency) const override {
    const auto found = absences_.find(dependency.path);
    return found == absences_.end() ? Absence::pending : found->second;
  }

 private:
  struct Entry {
    Value answer;
    std::uint64_t generation = 0;
  };
  std::map<std::string, Entry> entries_;
  std::map<std::string, Absence> absences_;
};

using Absence = tmpl::DataSource::Absence;

config::Template file(const std::string& destination, const std::string& contents) {
  config::Template out;
  out.destination = destination;
  out.contents = contents;
  return out;
}

config::EnvVar variable(const std::string& name, const std::string& contents) {
  config::EnvVar out;
  out.name = name;
  out.value.contents = contents;
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

config::NamedValue named(const std::string& name, const std::string& contents) {
  config::NamedValue out;
  out.name = name;
  out.node.value.contents = contents;
  return out;
}

std::string content(const Renderer& renderer, std::size_t i = 0) {
  const auto& made = renderer.files().at(i).content;
  return made ? std::string(made->reveal()) : "";
}

// "A=1 B=2"
std::string environment(const Renderer& renderer) {
  std::string out;
  for (const auto& v : renderer.variables()) {
    out += (out.empty() ? "" : " ") + v.name + "=" + std::string(v.value->reveal());
  }
  return out;
}

const std::string kPassword =
    R"({{ with secret "kv/data/app" }}{{ .Data.data.password }}{{ end }})";

}  // namespace

TEST_CASE("a file has its content once all that it asks for is there") {
  config::Config config;
  config.templates.push_back(file("app.ini", "pw=" + kPassword + "\n"));
  auto renderer = Renderer::make(config).value();
  Store store;
  const auto first = renderer.evaluate(store, false);
  CHECK_FALSE(first.complete);
  REQUIRE(first.missing.size() == 1);
  CHECK(first.missing[0].path == "kv/data/app");
  CHECK(first.required_by.at(first.missing[0].id) == "app.ini");
  CHECK(renderer.files()[0].generation == 0);

  store.put_kv2("kv/data/app", R"({"password":"s3cret"})");
  const auto second = renderer.evaluate(store, false);
  CHECK(second.complete);
  CHECK(second.missing.empty());
  CHECK(content(renderer) == "pw=s3cret\n");
  CHECK(renderer.files()[0].generation == 1);
  CHECK(renderer.files()[0].used == std::vector<std::string>{first.missing[0].id});
}

TEST_CASE("what did not change is not evaluated again") {
  config::Config config;
  config.templates.push_back(file("a", R"({{ with secret "kv/a" }}{{ .Data.v }}{{ end }})"));
  config.templates.push_back(file("b", R"({{ with secret "kv/b" }}{{ .Data.v }}{{ end }})"));
  config.templates.push_back(file("c", "constant"));
  auto renderer = Renderer::make(config).value();
  Store store;
  store.put("kv/a", R"({"v":"1"})");
  store.put("kv/b", R"({"v":"2"})");
  CHECK(renderer.evaluate(store, false).complete);
  const int before = store.asked;
  CHECK(renderer.evaluate(store, false).complete);
  CHECK(store.asked == before);
  store.put("kv/b", R"({"v":"3"})");
  CHECK(renderer.evaluate(store, false).complete);
  CHECK(store.asked == before + 1);
  CHECK(content(renderer, 1) == "3");
  CHECK(renderer.files()[0].generation == 1);
  CHECK(renderer.files()[1].generation == 2);
  CHECK(renderer.files()[2].generation == 1);
}

TEST_CASE("a template that fails stops no other and keeps its last good content") {
  config::Config config;
  config.templates.push_back(file("bad", R"({{ with secret "kv/a" }}{{ .Data.v }}{{ end }})"));
  config.templates.push_back(file("good", R"({{ with secret "kv/b" }}{{ .Data.v }}{{ end }})"));
  auto renderer = Renderer::make(config).value();
  Store store;
  store.put("kv/a", R"({"w":"canary"})");
  store.put("kv/b", R"({"v":"1"})");
  auto evaluation = renderer.evaluate(store, false);
  CHECK_FALSE(evaluation.complete);
  REQUIRE(evaluation.errors.size() == 1);
  CHECK(evaluation.errors[0].kind == ErrorKind::not_found);
  CHECK(evaluation.errors[0].text.find("bad:1:") != std::string::npos);
  CHECK(evaluation.errors[0].text.find("\"v\"") != std::string::npos);
  CHECK(evaluation.errors[0].text.find("canary") == std::string::npos);
  CHECK(content(renderer, 1) == "1");

  store.put("kv/a", R"({"v":"2"})");
  CHECK(renderer.evaluate(store, false).complete);
  CHECK(content(renderer) == "2");
  store.put("kv/a", "{}");
  for (int pass = 0; pass < 2; ++pass) {  // it is said as long as it lasts
    evaluation = renderer.evaluate(store, false);
    CHECK(evaluation.complete);  // everything has a value
    CHECK(evaluation.errors.size() == 1);
    CHECK(evaluation.used.size() == 1);
    CHECK(content(renderer) == "2");
  }
}

TEST_CASE(
    "a template that is wrong by itself says so at once, with line, column and caret; all of "
    "them") {
  config::Config config;
  config.templates.push_back(file("one.ini", "a\nb={{ nonsense }}\n"));
  config.templates.push_back(file("two.ini", "{{ if }}"));
  config.env.push_back(variable("X", "{{ end }}"));
  const auto made = Renderer::make(config);
  REQUIRE_FALSE(made.has_value());
  REQUIRE(made.error().size() == 3);
  CHECK(made.error()[0].text.find("one.ini:2") != std::string::npos);
  CHECK(made.error()[0].text.find("^") != std::string::npos);
  CHECK(made.error()[1].text.find("two.ini:1") != std::string::npos);
  CHECK(made.error()[2].text.find("env.X:1") != std::string::npos);
}

TEST_CASE("an error that every answer brings is the template's own") {
  config::Config config;
  config.templates.push_back(
      file("a", R"({{ with secret "kv/a" }}{{ .Data.v | parseInt }}{{ end }})"));
  auto renderer = Renderer::make(config).value();
  Store store;
  store.put("kv/a", R"({"v":"no number"})");
  const auto evaluation = renderer.evaluate(store, false);
  REQUIRE(evaluation.errors.size() == 1);
  CHECK(evaluation.errors[0].kind == ErrorKind::render);
}

TEST_CASE("a source file that can't be read is named") {
  config::Config config;
  config.templates.push_back(file("a", ""));
  config.templates[0].source = "/nowhere/app.ctmpl";
  const auto made = Renderer::make(config);
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error()[0].text == "a: /nowhere/app.ctmpl can't be read");
}

TEST_CASE("a variable is a template, or a key of a secret of either version") {
  config::Config config;
  config.env.push_back(variable("URL", "db://" + kPassword));
  config.env.push_back(key_of("V2", "kv/data/app", "password"));
  config.env.push_back(key_of("V1", "old/app", "n"));
  config.env.push_back(key_of("NESTED", "old/app", "list"));
  config.env.push_back(key_of("OFF", "old/app", "none"));
  config.env.back().enabled = false;
  auto renderer = Renderer::make(config).value();
  Store store;
  store.put_kv2("kv/data/app", R"({"password":"p"})");
  store.put("old/app", R"({"n":1.50,"list":[1,{"b":true,"a":null}],"data":{"not":"kv2"}})");
  CHECK(renderer.evaluate(store, false).complete);
  CHECK(environment(renderer) == R"(URL=db://p V2=p V1=1.50 NESTED=[1,{"a":null,"b":true}])");
}

TEST_CASE("the name of a [[secret]] stands for its path") {
  config::Config config;
  config.secrets.emplace_back();
  config.secrets[0].name = "db";
  config.secrets[0].path = "database/creds/app";
  config.env.push_back(key_of("DB_USER", "db", "username"));
  auto renderer = Renderer::make(config).value();
  Store store;
  CHECK(renderer.evaluate(store, false).missing.at(0).path == "database/creds/app");
}

TEST_CASE("two [[secret]] of one path and different versions are two secrets") {
  config::Config config;
  config.secrets.resize(2);
  config.secrets[0].name = "latest";
  config.secrets[0].path = "kv/p";
  config.secrets[1].name = "old";
  config.secrets[1].path = "kv/data/p";
  config.secrets[1].version = "1";
  config.env.push_back(key_of("A", "latest", "v"));
  config.env.push_back(key_of("B", "old", "v"));
  auto renderer = Renderer::make(config).value();
  Store store;
  const auto missing = renderer.evaluate(store, false).missing;
  REQUIRE(missing.size() == 2);
  CHECK(missing[0].id == "vault.read(kv/p)");
  CHECK(missing[1].id == "vault.read(kv/data/p.v1)");
  CHECK(missing[1].version == "1");
}

TEST_CASE(
    "a default stands in for what is not there or not permitted, not for what is on its way") {
  config::Config config;
  config.env.push_back(key_of("A", "kv/a", "v", "default"));
  auto renderer = Renderer::make(config).value();
  Store store;
  CHECK_FALSE(renderer.evaluate(store, false).complete);
  SUBCASE("absent") {
    store.say("kv/a", Absence::absent);
  }
  SUBCASE("denied") {
    store.say("kv/a", Absence::denied);
  }
  SUBCASE("a key that is not there") {
    store.put("kv/a", "{}");
  }
  const auto evaluation = renderer.evaluate(store, false);
  CHECK(evaluation.complete);
  CHECK(evaluation.errors.empty());
  CHECK(environment(renderer) == "A=default");
  // The value itself is taken as soon as it is there, and no default replaces it later.
  store.put("kv/a", R"({"v":"real"})");
  CHECK(renderer.evaluate(store, false).complete);
  CHECK(environment(renderer) == "A=real");
  store.put("kv/a", "{}");
  CHECK(renderer.evaluate(store, false).errors.size() == 1);
  CHECK(environment(renderer) == "A=real");
}

TEST_CASE("in an outage at the start defaults are used when so configured") {
  config::Config config;
  config.env.push_back(key_of("A", "kv/a", "v", "default"));
  auto renderer = Renderer::make(config).value();
  Store store;
  CHECK_FALSE(renderer.evaluate(store, false).complete);
  CHECK(renderer.evaluate(store, true).complete);
  CHECK(environment(renderer) == "A=default");
}

TEST_CASE("every key of a secret becomes a variable; a named one beats it") {
  config::Config config;
  config::EnvFrom from;
  from.secret = "kv/data/app";
  from.prefix = "APP_";
  from.names = {{"odd.key", "ODD"}};
  config.env_from.push_back(from);
  config.env.push_back(variable("APP_B", "mine"));
  auto renderer = Renderer::make(config).value();
  Store store;
  CHECK_FALSE(renderer.evaluate(store, false).complete);
  store.put_kv2("kv/data/app", R"({"a-b":"1","b":"2","odd.key":true})");
  CHECK(renderer.evaluate(store, false).complete);
  CHECK(environment(renderer) == "APP_A_B=1 APP_ODD=true APP_B=mine");
  store.put_kv2("kv/data/app", R"({"c":"3"})");
  CHECK(renderer.evaluate(store, false).complete);
  CHECK(environment(renderer) == "APP_C=3 APP_B=mine");
}

TEST_CASE("keys that can't be variables are refused; the last good ones stay") {
  struct {
    std::vector<std::string> keys;
    std::string data;
    ErrorKind kind;
  } const cases[] = {
      {{}, R"({"a.b":"canary","a-b":"2"})", ErrorKind::render},  // two with one name
      {{}, R"({"ld_preload":"canary"})", ErrorKind::render},     // takes over the program
      {{"good"}, R"({"other":"canary"})", ErrorKind::not_found},
  };
  for (const auto& c : cases) {
    config::Config config;
    config.env_from.emplace_back();
    config.env_from[0].secret = "kv/a";
    config.env_from[0].keys = c.keys;
    auto renderer = Renderer::make(config).value();
    Store store;
    store.put("kv/a", R"({"good":"1"})");
    CHECK(renderer.evaluate(store, false).complete);
    store.put("kv/a", c.data);
    for (int pass = 0; pass < 2; ++pass) {  // as long as they are there
      const auto evaluation = renderer.evaluate(store, false);
      REQUIRE(evaluation.errors.size() == 1);
      CHECK(evaluation.errors[0].kind == c.kind);
      CHECK(evaluation.errors[0].text.starts_with("env_from kv/a: "));
      CHECK(evaluation.errors[0].text.find("canary") == std::string::npos);
      CHECK(evaluation.used.size() == 1);
      CHECK(environment(renderer) == "GOOD=1");
    }
  }
}

TEST_CASE("a format writes its values; one that it can't hold keeps the last good file") {
  config::Config config;
  config.templates.push_back(file("app.ini", ""));
  config.templates[0].format = config::Format::ini;
  config::NamedValue section;
  section.name = "db";
  section.node.children = {named("user", "app"),
                           named("password", R"({{ with secret "kv/a" }}{{ .Data.v }}{{ end }})")};
  config.templates[0].values = {section};
  auto renderer = Renderer::make(config).value();
  Store store;
  store.put("kv/a", R"({"v":"1"})");
  CHECK(renderer.evaluate(store, false).complete);
  CHECK(content(renderer) == "[db]\nuser = app\npassword = 1\n");
  store.put("kv/a", R"({"v":"x\n[canary]"})");
  for (int pass = 0; pass < 2; ++pass) {
    const auto evaluation = renderer.evaluate(store, false);
    REQUIRE(evaluation.errors.size() == 1);
    CHECK(evaluation.errors[0].kind == ErrorKind::render);
    CHECK(
        evaluation.errors[0].text.starts_with("app.ini: db.password: its value has a line break"));
    CHECK(content(renderer) == "[db]\nuser = app\npassword = 1\n");
  }
}

TEST_CASE("names and sections that a format can't hold are found before any value is there") {
  config::Config config;
  config.templates.push_back(file("app.x", ""));
  config::NamedValue section;
  section.name = "sec";
  section.node.children = {named("x", "1")};
  section.node.children[0].node.value.place = config::SourceLocation::in_file("agent.toml", 9, 1);
  config::NamedValue bare = named("key", "1");
  bare.node.value.place = config::SourceLocation::in_file("agent.toml", 8, 1);
  const auto problem = [&](config::Format format, std::vector<config::NamedValue> values) {
    config.templates[0].format = format;
    config.templates[0].values = std::move(values);
    const auto made = Renderer::make(config);
    return made ? "" : config::problem_text(made.error()[0]);
  };
  using enum config::Format;
  for (const auto format : {env, docker_env, shell}) {
    CHECK(problem(format, {bare, section}).starts_with("agent.toml:9:1: template.values.sec.x: a"));
    CHECK(problem(format, {bare}).empty());
  }
  CHECK(problem(ini, {section, bare})
            .starts_with("agent.toml:8:1: template.values.key: an ini file needs one section"));
  CHECK(problem(ini, {section}).empty());
  for (const auto format : {json, yaml, toml, properties})
    CHECK(problem(format, {section, bare}).empty());
}

TEST_CASE("a look-up that depends on another's answer is found level by level") {
  config::Config config;
  config.templates.push_back(file(
      "a",
      R"({{ with secret "kv/a" }}{{ with secret .Data.next }}{{ .Data.v }}{{ end }}{{ end }})"));
  auto renderer = Renderer::make(config).value();
  Store store;
  CHECK(renderer.evaluate(store, false).missing.at(0).path == "kv/a");
  store.put("kv/a", R"({"next":"kv/b"})");
  CHECK(renderer.evaluate(store, false).missing.at(0).path == "kv/b");
  store.put("kv/b", R"({"v":"end"})");
  CHECK(renderer.evaluate(store, false).complete);
  CHECK(content(renderer) == "end");
}

TEST_CASE("nothing to render is known") {
  config::Config config;
  CHECK(Renderer::make(config).value().empty());
  config.env.push_back(variable("A", "1"));
  CHECK_FALSE(Renderer::make(config).value().empty());
}

TEST_CASE("a few values that are printed are quick; many, or what is matched, are not") {
  config::Config config;
  const auto is_quick = [&config] { return Renderer::make(config).value().is_quick(); };
  CHECK(is_quick());
  config.templates.push_back(file("app.ini", "pw=" + kPassword + "\n"));  // two actions
  for (int i = 0; i < 29; ++i)
    config.env.push_back(key_of("K" + std::to_string(i), "kv/data/app", "password"));
  config.env.push_back(variable("LAST", "{{ env \"A\" }}"));
  CHECK(is_quick());
  config.env.push_back(variable("TEXT", "no action"));
  CHECK(is_quick());
  config.env.back().rule.pattern = "a+";
  CHECK(!is_quick());
  config.env.back() = variable("ONE_MORE", "{{ env \"A\" }}");
  CHECK(!is_quick());
  config.env.clear();
  CHECK(is_quick());
  config.env_from.emplace_back().secret = "kv/data/app";
  CHECK(!is_quick());
  config.env_from.clear();
  config.templates.push_back(file("loop.ini", "{{ range $i, $x := .x }}{{ end }}"));
  CHECK(!is_quick());
}
