#include "tmpl/funcs/pem_bundle.hpp"

#include <doctest/doctest.h>

#include "json/json.hpp"
#include "tmpl/template.hpp"

// Rules: S6 (src/RULES.md).
namespace keybearer::tmpl {
namespace {

class Nothing final : public DataSource {
  [[nodiscard]] const Value* find(const Dependency&) override { return nullptr; }
};

struct Pair {
  std::string ca, cert, key;
};

// Made by sprig's functions; `names`: DNS names besides the common name, `ips`: addresses.
Pair made(const std::string& name, const std::string& names = "", const std::string& ips = "",
          const std::string& days = "30") {
  const std::string text =
      R"({{ $ca := sprig_genCA "Test CA" 10 }}{{ $c := sprig_genSignedCert ")" + name +
      R"(" (sprig_list )" + ips + R"() (sprig_list ")" + name + R"(" )" + names + ") " + days +
      R"( $ca }}{{ $ca.Cert }}|{{ $c.Cert }}|{{ $c.Key }})";
  Nothing nothing;
  auto parsed = Template::parse("t", text, {});
  REQUIRE(parsed);
  const Execution done = parsed->execute(nothing);
  REQUIRE(done.complete());
  const std::string all(done.text.reveal());
  const auto one = all.find('|'), two = all.rfind('|');
  return {all.substr(0, one), all.substr(one + 1, two - one - 1), all.substr(two + 1)};
}

CertificateRequest asked(std::vector<std::pair<std::string, std::string>> args) {
  return certificate_request(args);
}

TEST_CASE("certificate, key and CA are told apart, whatever stands around them") {
  const Pair web = made("web.test");
  const auto bundle = pem_bundle("# ours\n" + web.ca + "text\n" + web.cert + web.key + web.ca,
                                 asked({{"common_name", "web.test"}}));
  REQUIRE(bundle);
  CHECK(bundle->cert == web.cert);
  CHECK(bundle->key == web.key);
  CHECK(bundle->ca == web.ca);
  CHECK(bundle->chain == std::vector<std::string>{web.ca});
  const auto life = bundle->not_after - bundle->not_before;
  CHECK(life >= std::chrono::hours(24 * 30 - 1));
  CHECK(life <= std::chrono::hours(24 * 30 + 1));
}

TEST_CASE("of a bundle the certificate is taken alone: the file of a key has no readers") {
  const Pair web = made("web.test");
  for (const std::string& text : {web.cert, web.key + web.cert + web.ca, web.ca + web.cert,
                                  web.cert + "\n" + web.ca, "text\n" + web.key + web.cert})
    CHECK(certificate_text(text) == web.cert);
  CHECK(certificate_text(web.ca) == web.ca);  // of an intermediate
  CHECK(certificate_text(web.key) == web.key);
  CHECK(certificate_text("MIIB") == "MIIB");  // format=der
  CHECK(certificate_text("") == "");
}

TEST_CASE("a certificate is what was asked for when its names are these, no more and no less") {
  const Pair web = made("web.test", R"("x.test" "Y.test")", R"("10.0.0.1" "::1")");
  const struct {
    std::vector<std::pair<std::string, std::string>> args;
    bool fits;
  } rows[] = {
      {{{"common_name", "web.test"}, {"alt_names", "x.test,y.test"}, {"ip_sans", "10.0.0.1,::1"}},
       true},
      {{{"common_name", "WEB.test"},
        {"alt_names", "y.test , x.test"},
        {"ip_sans", "0:0::1,10.0.0.1"}},
       true},  // as names and addresses are compared
      {{{"common_name", "web.test"},
        {"alt_names", "x.test,y.test"},
        {"ip_sans", "10.0.0.1,::1"},
        {"ttl", "1h"}},
       true},
      {{{"common_name", "web.test"}}, false},
      {{{"common_name", "web.test"}, {"alt_names", "x.test"}, {"ip_sans", "10.0.0.1,::1"}}, false},
      {{{"common_name", "web.test"},
        {"alt_names", "x.test,y.test,z.test"},
        {"ip_sans", "10.0.0.1,::1"}},
       false},
      {{{"common_name", "web.test"}, {"alt_names", "x.test,y.test"}, {"ip_sans", "10.0.0.2,::1"}},
       false},
      {{{"common_name", "x.test"}, {"alt_names", "web.test,y.test"}, {"ip_sans", "10.0.0.1,::1"}},
       false},
      {{{"common_name", "web.test"},
        {"alt_names", "x.test,y.test"},
        {"ip_sans", "10.0.0.1,::1"},
        {"uri_sans", "spiffe://a"}},
       false},
      {{{"common_name", "web.test"},
        {"alt_names", "x.test,y.test,a@b.test"},
        {"ip_sans", "10.0.0.1,::1"}},
       false},
      {{{"common_name", "web.test"},
        {"alt_names", "x.test,y.test"},
        {"ip_sans", "10.0.0.1,::1"},
        {"exclude_cn_from_sans", "true"}},
       false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.args.size());
    CAPTURE(row.args.back().second);
    CHECK(pem_bundle(web.cert + web.key, asked(row.args)).has_value() == row.fits);
  }
}

TEST_CASE("of several in one file each is found by its names, with its own key and CA") {
  const Pair one = made("one.test"), two = made("two.test");
  const std::string all = one.cert + two.cert + two.ca + one.ca + two.key + one.key;
  for (const auto& [name, pair] : {std::pair{"one.test", &one}, std::pair{"two.test", &two}}) {
    const auto found = pem_bundle(all, asked({{"common_name", name}}));
    REQUIRE(found);
    CHECK(found->cert == pair->cert);
    CHECK(found->key == pair->key);
    CHECK(found->ca == pair->ca);
  }
}

TEST_CASE("of several of one name each is found by its time") {
  const Pair month = made("web.test"), week = made("web.test", "", "", "7");
  const Pair keyless = made("web.test", "", "", "1");
  const std::string all =
      month.cert + month.ca + week.cert + keyless.cert + week.ca + week.key + month.key;
  for (const auto& [ttl, pair] : {std::pair{"720h", &month},
                                  {"168h", &week},
                                  {"604800", &week},
                                  {"24h", &week},
                                  {"10000h", &month},
                                  {"", &month},
                                  {"30d", &month},
                                  {"soon", &month}}) {
    CAPTURE(ttl);
    const auto found = pem_bundle(all, asked({{"common_name", "web.test"}, {"ttl", ttl}}));
    REQUIRE(found);
    CHECK(found->cert == pair->cert);
    CHECK(found->key == pair->key);
    CHECK(found->ca == pair->ca);
  }
}

TEST_CASE("what does not belong together is none") {
  const Pair web = made("web.test"), other = made("other.test");
  const auto request = asked({{"common_name", "web.test"}});
  CHECK_FALSE(pem_bundle(web.cert, request));  // its key is not there
  CHECK(pem_bundle(web.cert, asked({{"common_name", "web.test"}, {"csr", "PEM"}})));
  CHECK_FALSE(pem_bundle(other.cert + other.key, request));
  CHECK_FALSE(pem_bundle(web.cert + other.key, request));
  CHECK_FALSE(pem_bundle(web.ca + web.key, request));
  CHECK_FALSE(pem_bundle("", request));
  CHECK_FALSE(pem_bundle(web.cert.substr(0, 200) + web.key, request));
  CHECK_FALSE(
      pem_bundle("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", request));
  const bool pkcs8 = web.key.starts_with("-----BEGIN PRIVATE KEY");
  CHECK(pem_bundle(web.cert + web.key,
                   asked({{"common_name", "web.test"}, {"private_key_format", "pkcs8"}}))
            .has_value() == pkcs8);
}

TEST_CASE("who issued a certificate is told by the signature, not by the name alone") {
  const Pair web = made("web.test"), other = made("web.test");  // two CAs of one name
  CHECK(is_issued_by(web.cert, web.ca));
  CHECK_FALSE(is_issued_by(web.cert, other.ca));
  CHECK_FALSE(is_issued_by(web.cert, web.cert));
  CHECK_FALSE(is_issued_by(web.cert, ""));
  CHECK_FALSE(is_issued_by("", web.ca));
}

TEST_CASE("PEM is written as Go writes it") {
  const std::string body(100, 'A');
  const std::string block =
      "-----BEGIN X-----\n" + body.substr(0, 64) + "\n" + body.substr(64) + "\n-----END X-----\n";
  const std::string odd[] = {
      block,
      block.substr(0, block.size() - 1),                           // as a server gives it
      "-----BEGIN X-----\r\n" + body + "\r\n-----END X-----\r\n",  // lines of another length
      "text\n" + block + "more\n",
  };
  for (const std::string& text : odd) {
    CAPTURE(text);
    CHECK(pem_text(text) == block);
  }
  CHECK(pem_text(block + "\n" + block) == block + block);
  CHECK(pem_text("no PEM") == "no PEM");
  CHECK(pem_text("") == "");
  const std::string old =
      "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: X,1\n\nAAAA\n"
      "-----END RSA PRIVATE KEY-----";
  CHECK(pem_text(old) == old + "\n");
}

}  // namespace
}  // namespace keybearer::tmpl
