#include "tmpl/funcs/pem_bundle.hpp"

#include <doctest/doctest.h>

#include "json/json.hpp"
#include "tmpl/template.hpp"

namespace keybearer::tmpl {
namespace {

class Nothing final : public DataSource {
  [[nodiscard]] const Value* find(const Dependency&) override { return nullptr; }
};

// CA, certificate and key, made by sprig's functions; in blocks between "|".
std::vector<std::string> made(const std::string& name, const std::string& days) {
  const std::string text =
      R"({{ $ca := sprig_genCA "Test CA" 10 }}{{ $c := sprig_genSignedCert ")" + name +
      R"(" nil (sprig_list ")" + name + R"(") )" + days +
      R"( $ca }}{{ $ca.Cert }}|{{ $c.Cert }}|{{ $c.Key }})";
  Nothing nothing;
  auto parsed = Template::parse("t", text, {});
  REQUIRE(parsed);
  const Execution done = parsed->execute(nothing);
  REQUIRE(done.complete());
  std::vector<std::string> parts;
  std::string rest(done.text.reveal());
  for (std::size_t bar = 0; (bar = rest.find('|')) != std::string::npos;) {
    parts.push_back(rest.substr(0, bar));
    rest.erase(0, bar + 1);
  }
  parts.push_back(rest);
  return parts;
}

std::string bare(std::string pem) {
  while (pem.ends_with('\n')) pem.pop_back();
  return pem;
}

TEST_CASE("certificate, key and CA are told apart, whatever stands around them") {
  const auto parts = made("web.test", "30");
  REQUIRE(parts.size() == 3);
  const auto bundle =
      pem_bundle("# ours\n" + parts[0] + "text\n" + parts[1] + parts[2] + parts[0], "web.test");
  REQUIRE(bundle);
  CHECK(bundle->cert == bare(parts[1]));
  CHECK(bundle->key == bare(parts[2]));
  CHECK(bundle->ca == bare(parts[0]));
  CHECK(bundle->chain == std::vector<std::string>{bare(parts[0])});
  const auto life = bundle->not_after - bundle->not_before;
  CHECK(life >= std::chrono::hours(24 * 30 - 1));
  CHECK(life <= std::chrono::hours(24 * 30 + 1));
}

TEST_CASE("what does not belong together, or is for another name, is none") {
  const auto web = made("web.test", "30"), other = made("other.test", "30");
  CHECK(pem_bundle(web[1], ""));
  CHECK_FALSE(pem_bundle(web[1], "other.test"));
  CHECK_FALSE(pem_bundle(web[1] + other[2], "web.test"));
  CHECK_FALSE(pem_bundle(web[0], ""));
  CHECK_FALSE(pem_bundle("", ""));
  CHECK_FALSE(pem_bundle(web[1].substr(0, 200), ""));
  CHECK_FALSE(pem_bundle("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ""));
}

}  // namespace
}  // namespace keybearer::tmpl
