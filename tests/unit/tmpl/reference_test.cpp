// The table of functions is what is registered, its examples render to what it says, and the page
// is written from it. After a change of the table: KEYBEARER_WRITE_PAGES=1 build/asan/unit_tmpl.

#include "tmpl/reference/reference.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <vector>

#include "json/json.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/template.hpp"

namespace keybearer::tmpl::reference {
namespace {

class Answers final : public DataSource {
 public:
  [[nodiscard]] const Value* find(const Dependency& dependency) override {
    if (dependency.path == "kv/data/app") return &app_;
    if (dependency.path == "kv/metadata") return &names_;
    if (dependency.path == "/etc/site-name") return &file_;
    return dependency.kind == Dependency::Kind::pki ? &pki_ : nullptr;
  }

 private:
  Value app_ = *json::parse(
      R"({"data":{"data":{"user":"ann","api-key":"k1","tags":["a<b"]},"metadata":{}}})");
  Value names_ = Value::strings({"app", "web"});
  Value file_ = "web1";
  Value pki_ = *json::parse(R"({"Cert":"(the certificate)\n","Key":"","CA":"","CAChain":[]})");
};

std::vector<Entry> all_entries() {
  std::vector<Entry> out;
  for (const auto sections : {go_sections(), consul_template_sections(), sprig_text_sections(),
                              sprig_values_sections()}) {
    for (const Section& section : sections)
      out.insert(out.end(), section.entries.begin(), section.entries.end());
  }
  return out;
}

TEST_CASE("the table has each function that is registered, once") {
  std::set<std::string_view> listed;
  for (const Entry& entry : all_entries()) {
    CAPTURE(entry.name);
    CHECK(listed.insert(entry.name).second);
    CHECK(find_function(entry.name) != nullptr);
    CHECK_FALSE(entry.meaning.empty());
    CHECK(entry.example.find(entry.name) != std::string_view::npos);
  }
  for (const Function* function : all_functions()) {
    CAPTURE(function->name);
    CHECK(listed.contains(function->name));
  }
}

TEST_CASE("each example renders to what the table says") {
  Answers answers;
  Options options{.allow_plugin = true};
  options.env = [](const std::string& name) {
    return name == "REGION" ? std::optional<std::string>("north") : std::nullopt;
  };
  for (const Entry& entry : all_entries()) {
    CAPTURE(entry.example);
    auto parsed = Template::parse("example", std::string(entry.example), options);
    REQUIRE(parsed);
    const Execution done = parsed->execute(answers);
    CHECK_MESSAGE(!done.error, done.error.value_or(TemplateError{}).text);
    if (entry.name == "timestamp")
      CHECK(done.text.size() == entry.output.size());  // today
    else
      CHECK(done.text.reveal() == entry.output);
  }
}

TEST_CASE("keybearer-template(7) is what the table says") {
  const std::string path = KEYBEARER_SOURCE_DIR "/packaging/man/keybearer-template.7";
  if (std::getenv("KEYBEARER_WRITE_PAGES") != nullptr) std::ofstream(path) << manual_page();
  std::stringstream page;
  page << std::ifstream(path).rdbuf();
  CHECK(page.str() == manual_page());
}

}  // namespace
}  // namespace keybearer::tmpl::reference
