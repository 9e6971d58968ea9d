#include "render/value_check.hpp"

#include <doctest/doctest.h>

#include "json/json.hpp"
#include "render/renderer.hpp"

namespace keybearer::render {
namespace {

using Type = config::ValueRule::Type;

bool fits(Type type, std::string_view value, const std::string& pattern = "") {
  const auto check = ValueCheck::make({.type = type, .pattern = pattern});
  REQUIRE(check);
  const std::string fault = (*check)->fault(value);
  if (value.size() > 5) CHECK_FALSE(fault.contains(value));
  return fault.empty();
}

TEST_CASE("types: what fits and what does not") {
  struct {
    Type type;
    std::vector<std::string> good, bad;
  } rows[] = {
      {Type::string, {"", "x", "a\nb", std::string(1, '\0')}, {}},
      {Type::integer,
       {"0", "-1", "+5", "007", "9223372036854775807", "-9223372036854775808"},
       {"", " 1", "1 ", "1\n", "1.0", "1e3", "0x10", "ten", "+-1", "--1", "9223372036854775808",
        "1_000"}},
      {Type::boolean,
       {"true", "false", "1", "0", "t", "F", "TRUE", "False"},
       {"", "yes", "no", "on", "2", "true\n", "tRUE", " true"}},
      {Type::port,
       {"1", "80", "8200", "65535", "0080"},
       {"", "0", "65536", "-1", "+80", "80/tcp", "80 ", "http", "99999999999999999999"}},
      {Type::url,
       {"https://a", "http://a:80/x?y#z", "postgres://u:p@h:5432/db?sslmode=disable",
        "jdbc:postgresql://h/db", "redis://[::1]:6379", "unix:///run/x.sock"},
       {"", "a", "localhost:8080", "//h/x", "http://", "://h", "http://a b", "http://h/%zz",
        "1http://h", "http://h\n", "mailto:x"}},
      {Type::json,
       {"{}", "[]", "1", "\"x\"", "null", " {\"a\": [1]} "},
       {"", "{", "{a:1}", "'x'", "{} {}", "nul"}},
      {Type::pem,
       {"-----BEGIN X-----\nAAAA\n-----END X-----\n",
        "text before\n-----BEGIN A B-----\r\nAAAA\r\nAA==\r\n-----END A B-----\r\n-----BEGIN "
        "C-----\nAAAA\n-----END C-----",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: A,B\n\nAAAA\n-----END "
        "RSA PRIVATE KEY-----"},
       {"", "AAAA", "-----BEGIN X-----\nAAAA\n", "-----BEGIN X-----\nAAAA\n-----END Y-----\n",
        "-----BEGIN X-----\n-----END X-----\n", "-----BEGIN X-----\n????\n-----END X-----\n",
        "-----BEGIN X-----\nAAAA\n-----END X-----\n-----BEGIN X-----\nAA"}},
  };
  for (const auto& row : rows) {
    CAPTURE(static_cast<int>(row.type));
    for (const std::string& value : row.good) CHECK_MESSAGE(fits(row.type, value), value);
    for (const std::string& value : row.bad) CHECK_MESSAGE(!fits(row.type, value), value);
  }
}

TEST_CASE("a pattern is searched for; with ^ and $ it is the whole value") {
  CHECK(fits(Type::string, "postgres://h", "^postgres://"));
  CHECK_FALSE(fits(Type::string, "mysql://h", "^postgres://"));
  CHECK(fits(Type::string, "abc", "^[a-z]+$"));
  CHECK_FALSE(fits(Type::string, "abc1", "^[a-z]+$"));
  CHECK_FALSE(fits(Type::string, "abc\n", "^[a-z]+$"));
  CHECK_FALSE(fits(Type::integer, "12", "^1$"));
}

TEST_CASE("a pattern that is none is an error of the configuration") {
  const auto check = ValueCheck::make({.type = Type::string, .pattern = "a["});
  REQUIRE_FALSE(check);
  CHECK(check.error().kind == ErrorKind::config);
  CHECK(check.error().text.contains("missing closing ]"));
}

class Store final : public tmpl::DataSource {
 public:
  void put(const std::string& data) {
    answer_ = json::parse(R"({"data":)" + data + "}").value();
    ++generation_;
  }
  const Value* find(const tmpl::Dependency&) override {
    return generation_ == 0 ? nullptr : &answer_;
  }
  std::uint64_t generation(const tmpl::Dependency&) const override { return generation_; }
  Absence absence(const tmpl::Dependency&) const override {
    return absent ? Absence::absent : Absence::pending;
  }
  bool absent = false;

 private:
  Value answer_;
  std::uint64_t generation_ = 0;
};

config::Config with(config::ValueRule rule, bool required = true,
                    std::optional<std::string> fallback = {}) {
  config::Config config;
  config::EnvVar variable;
  variable.name = "A";
  variable.value.secret = "kv/a";
  variable.value.key = "a";
  variable.value.default_value = std::move(fallback);
  variable.rule = std::move(rule);
  variable.required = required;
  config.env.push_back(std::move(variable));
  return config;
}

TEST_CASE("a value that does not fit is an error without it, and the last good one stays") {
  const config::Config config = with({.type = Type::port, .pattern = ""});
  auto renderer = Renderer::make(config);
  REQUIRE(renderer);
  Store store;
  store.put(R"({"a":"canary-not-a-port"})");
  const auto first = renderer->evaluate(store, false);
  CHECK_FALSE(first.complete);
  REQUIRE(first.errors.size() == 1);
  CHECK(first.errors[0].kind == ErrorKind::render);
  CHECK(first.errors[0].text == "env.A: the value is not a port (1 to 65535)");
  store.put(R"({"a":8080})");
  CHECK(renderer->evaluate(store, false).complete);
  store.put(R"({"a":"canary"})");
  const auto later = renderer->evaluate(store, false);
  CHECK(later.errors.size() == 1);
  REQUIRE(renderer->variables().size() == 1);
  CHECK(renderer->variables()[0].value->reveal() == "8080");
}

TEST_CASE("a default that does not fit is found at once, with its place and without its text") {
  const auto renderer =
      Renderer::make(with({.type = Type::integer, .pattern = ""}, true, "canary"));
  REQUIRE_FALSE(renderer);
  CHECK(renderer.error()[0].text == "env.A.default: is not a whole number");
  CHECK_FALSE(Renderer::make(with({.type = Type::string, .pattern = "("})));
}

TEST_CASE("what is not required is left out where it is missing, and comes when it is there") {
  const config::Config config = with({}, false);
  auto renderer = Renderer::make(config);
  REQUIRE(renderer);
  Store store;
  CHECK_FALSE(renderer->evaluate(store, false).complete);  // it may still come
  store.absent = true;
  const auto without = renderer->evaluate(store, false);
  CHECK(without.complete);
  CHECK(without.errors.empty());
  CHECK(renderer->variables().empty());
  REQUIRE(without.notes.size() == 1);
  CHECK(static_cast<int>(without.notes[0].kind) == static_cast<int>(Note::Kind::left_out));
  store.put(R"({"b":"other key"})");
  CHECK(renderer->evaluate(store, false).complete);
  CHECK(renderer->variables().empty());
  store.put(R"({"a":"x"})");
  CHECK(renderer->evaluate(store, false).complete);
  REQUIRE(renderer->variables().size() == 1);
  CHECK(renderer->variables()[0].value->reveal() == "x");
}

}  // namespace
}  // namespace keybearer::render
