#include "render/dependency_growth.hpp"

#include <doctest/doctest.h>

namespace keybearer::render {
namespace {

std::set<std::string> ids(int from, int until) {
  std::set<std::string> out;
  for (int i = from; i < until; ++i) out.insert("id " + std::to_string(i));
  return out;
}

TEST_CASE("what is asked for and given up again, evaluation after evaluation, comes to an end") {
  for (const int per_evaluation : {1, 3, 50, 1000}) {
    CAPTURE(per_evaluation);
    DependencyGrowth growth;
    int evaluations = 0;
    while (growth.incomplete(ids(evaluations * per_evaluation, (evaluations + 1) * per_evaluation)))
      REQUIRE(++evaluations <= 101);
    CHECK(evaluations <= 100 / per_evaluation + 1);
  }
}

TEST_CASE("many dependencies, level after level, are no growth") {
  DependencyGrowth growth;
  for (int level = 1; level <= 20; ++level) CHECK(growth.incomplete(ids(0, level * 100)));
}

TEST_CASE("a complete evaluation forgets what was given up") {
  DependencyGrowth growth;
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(growth.incomplete(ids(i, i + 1)));
    if (i % 90 == 89) growth.complete();
  }
}

TEST_CASE("the error names the function and what changes its argument") {
  using Of = tmpl::Dependency::Kind;
  const struct {
    const char* text;
    tmpl::Dependency asked;
    std::vector<const char*> named;
  } rows[] = {
      {"{{ secret \"pki/issue/web\" (printf \"ttl=%s\" timestamp) }}",
       {.kind = Of::write, .path = "pki/issue/web"},
       {"a.conf", "secret \"pki/issue/web\"", "(timestamp)"}},
      {"{{ secret (printf \"kv/%s\" (sprig_uuidv4)) }}",
       {.kind = Of::read, .path = "kv/1"},
       {"secret \"kv/1\"", "(uuidv4)"}},
      {"{{ pkiCert \"p\" (randAlpha 3) }}{{ now }}",
       {.kind = Of::pki, .path = "p"},
       {"pkiCert \"p\"", "now, randAlpha)"}},
      {"{{ secrets (env \"X\") }}{{ .now }}{{ nowhere }}",
       {.kind = Of::list, .path = "kv"},
       {"secrets \"kv\"", "evaluation; give"}},
  };
  for (const auto& row : rows) {
    const Error error = growth_error("a.conf", row.text, row.asked);
    CHECK(error.kind == ErrorKind::render);
    for (const char* part : row.named) {
      CAPTURE(error.text);
      CHECK(error.text.contains(part));
    }
  }
}

}  // namespace
}  // namespace keybearer::render
