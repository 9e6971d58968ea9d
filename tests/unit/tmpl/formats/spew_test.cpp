#include "tmpl/formats/spew.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include "json/json.hpp"
#include "tmpl/object.hpp"
#include "tmpl/template.hpp"

namespace keybearer::tmpl {
namespace {

std::string dumped(const Value& value) {
  return spew::dump({&value, 1});
}

TEST_CASE("a dump shows types and lengths") {
  Value map = Value::map();
  map.set("k", Value::list({Value(), Value("v")}));
  CHECK(dumped(map) ==
        "(map[string]interface {}) (len=1) {\n (string) (len=1) \"k\": ([]interface {}) (len=2 "
        "cap=2) {\n  (interface {}) <nil>,\n  (string) (len=1) \"v\"\n }\n}\n");
  CHECK(dumped(duration_object(90'000'000'000)) == "(time.Duration) 1m30s\n");
}

TEST_CASE("a pointer is shown without an address, its fields as Go's") {
  const std::string dump = dumped(secret_object(*json::parse(R"({"data":{"a":"b"}})")));
  CHECK(dump.starts_with("(*dependency.Secret)({\n RequestID: (string) \"\",\n"));
  CHECK(dump.find(" Auth: (*dependency.SecretAuth)(<nil>),\n") != std::string::npos);
  CHECK(dump.find("0x") == std::string::npos);
}

TEST_CASE("formats: v is spew's, other verbs are fmt's") {
  const Value values[] = {Value::list({1, Value("a")}), Value(5)};
  CHECK(spew::sprintf("%#v %d", values) == "([]interface {})[(int)1 (string)a] 5");
  CHECK(spew::sprintf("%[2]v %[1]v", values) == "5 [1 a]");
  CHECK(spew::sprintf("%v", values) == "[1 a]%!(EXTRA *spew.formatState=5)");
  CHECK(spew::sprintf("%*d|%v %v", values) == "%!(BADWIDTH)5|%!v(MISSING) %!v(MISSING)");
  CHECK(spew::sprintf("100%% %", {}) == "100% %!(NOVERB)");
}

// What the process's standard output gets while `work` runs.
template <class Work>
std::string standard_output(Work work) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  std::fflush(stdout);
  const int kept = dup(1);
  dup2(ends[1], 1);
  work();
  std::fflush(stdout);
  dup2(kept, 1);
  close(kept);
  close(ends[1]);
  std::string out(4096, '\0');
  out.resize(static_cast<std::size_t>(std::max<ssize_t>(0, read(ends[0], out.data(), out.size()))));
  close(ends[0]);
  return out;
}

class NoData final : public DataSource {
 public:
  [[nodiscard]] const Value* find(const Dependency&) override { return nullptr; }
};

TEST_CASE("spew_dump and spew_printf print to standard output and give nothing") {
  auto parsed = Template::parse("t", "<{{ spew_dump 1 \"a\" }}{{ spew_printf \"%v|\" 2 }}>", {});
  REQUIRE(parsed);
  NoData source;
  std::string text;
  const std::string out =
      standard_output([&] { text = std::string(parsed->execute(source).text.reveal()); });
  CHECK(text == "<>");
  CHECK(out == "(int) 1\n(string) (len=1) \"a\"\n2|");
}

}  // namespace
}  // namespace keybearer::tmpl
