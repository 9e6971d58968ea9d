// What sprig's keys, certificates and hashes are worth: OpenSSL reads and checks them.

#include <doctest/doctest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>

#include "tmpl/sprig/bcrypt.hpp"
#include "unit/tmpl/render.hpp"

namespace keybearer::tmpl {
namespace {

using Certificate = std::shared_ptr<X509>;
using Key = std::shared_ptr<EVP_PKEY>;

std::shared_ptr<BIO> reader(const std::string& text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free_all};
}
Certificate certificate(const std::string& pem) {
  return {PEM_read_bio_X509(reader(pem).get(), nullptr, nullptr, nullptr), X509_free};
}
Key private_key(const std::string& pem) {
  return {PEM_read_bio_PrivateKey(reader(pem).get(), nullptr, nullptr, nullptr), EVP_PKEY_free};
}
bool is_trusted(const Certificate& one, const Certificate& root) {
  const std::shared_ptr<X509_STORE> store(X509_STORE_new(), X509_STORE_free);
  X509_STORE_add_cert(store.get(), root.get());
  const std::shared_ptr<X509_STORE_CTX> context(X509_STORE_CTX_new(), X509_STORE_CTX_free);
  X509_STORE_CTX_init(context.get(), store.get(), one.get(), nullptr);
  X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_SERVER);
  return X509_verify_cert(context.get()) == 1;
}
// The PEM blocks that a template separated by '|'.
std::vector<std::string> parts(const std::string& text) {
  std::vector<std::string> out(1);
  for (const char c : text) {
    if (c == '|')
      out.emplace_back();
    else
      out.back() += c;
  }
  return out;
}

// As RFC 1950 defines it: byte by byte.
std::uint32_t adler32(std::string_view text) {
  std::uint32_t low = 1, high = 0;
  for (const char c : text) {
    low = (low + static_cast<unsigned char>(c)) % 65521;
    high = (high + low) % 65521;
  }
  return high << 16 | low;
}

TEST_CASE("Adler-32 of texts shorter and longer than what is summed up at once") {
  AppSecret source;
  for (const std::size_t size : {0, 1, 15, 16, 17, 5551, 5552, 5553, 5568, 50'000}) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i) text += i % 7 == 0 ? "\xc3\xbf" : "~";
    source.answer = *json::parse(R"({"data":{"data":{"t":")" + text + R"("}}})");
    CHECK(render(R"({{ with secret "kv/data/app" }}{{ sprig_adler32sum .Data.data.t }}{{ end }})",
                 source) == std::to_string(adler32(text)));
  }
}

TEST_CASE("an authority and what it signs: read, matching, trusted, with their names") {
  const auto all = parts(
      render("{{ $ca := sprig_genCA \"my-ca\" 365 }}"
             "{{ $c := sprig_genSignedCert \"web\" (sprig_list \"10.0.0.1\" \"::1\") (sprig_list "
             "\"web.example\" \"*.web.example\") 30 $ca }}"
             "{{ $ca.Cert }}|{{ $ca.Key }}|{{ $c.Cert }}|{{ $c.Key }}"));
  REQUIRE(all.size() == 4);
  const Certificate ca = certificate(all[0]), web = certificate(all[2]);
  REQUIRE(ca != nullptr);
  REQUIRE(web != nullptr);
  CHECK(X509_check_private_key(ca.get(), private_key(all[1]).get()) == 1);
  CHECK(X509_check_private_key(web.get(), private_key(all[3]).get()) == 1);
  CHECK(X509_check_ca(ca.get()) == 1);
  CHECK(X509_check_ca(web.get()) == 0);
  CHECK(is_trusted(web, ca));
  CHECK(X509_check_host(web.get(), "web.example", 0, 0, nullptr) == 1);
  CHECK(X509_check_host(web.get(), "a.web.example", 0, 0, nullptr) == 1);
  CHECK(X509_check_host(web.get(), "other.example", 0, 0, nullptr) == 0);
  CHECK(X509_check_ip_asc(web.get(), "10.0.0.1", 0) == 1);
  CHECK(X509_check_ip_asc(web.get(), "::1", 0) == 1);
  CHECK(all[1].starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
  int days = 0, seconds = 0;
  ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(web.get()), X509_get0_notAfter(web.get()));
  CHECK(days == 30);
}

TEST_CASE("a key of one's own, of each kind that signs") {
  for (const std::string kind : {"ecdsa", "ed25519"}) {
    CAPTURE(kind);
    const auto all =
        parts(render("{{ $k := sprig_genPrivateKey \"" + kind +
                     "\" }}{{ $c := sprig_genSelfSignedCertWithKey \"me\" nil (sprig_list \"h\") "
                     "1 $k }}{{ $k }}|{{ $c.Cert }}|{{ $c.Key }}"));
    REQUIRE(all.size() == 3);
    CHECK(all[0] == all[2]);
    const Certificate self = certificate(all[1]);
    REQUIRE(self != nullptr);
    CHECK(X509_check_private_key(self.get(), private_key(all[0]).get()) == 1);
    CHECK(is_trusted(self, self));
  }
}

TEST_CASE("an authority from a key in PKCS#8 form") {
  const auto all = parts(
      render("{{ $ca := sprig_genCAWithKey \"ca\" 1 (sprig_genPrivateKey \"ed25519\") }}{{ $c := "
             "sprig_genSignedCertWithKey \"x\" (sprig_list) (sprig_list) 1 $ca "
             "(sprig_genPrivateKey \"ecdsa\") }}{{ $ca.Cert }}|{{ $c.Cert }}|{{ $c.Key }}"));
  REQUIRE(all.size() == 3);
  CHECK(is_trusted(certificate(all[1]), certificate(all[0])));
  CHECK(all[2].starts_with("-----BEGIN EC PRIVATE KEY-----\n"));
}

TEST_CASE("a certificate from outside: read, or the reason why not") {
  CHECK(render("{{ $c := sprig_genCA \"a\" 1 }}{{ $d := sprig_buildCustomCert (sprig_b64enc "
               "$c.Cert) (sprig_b64enc $c.Key) }}{{ eq $c.Cert $d.Cert }} {{ eq $c.Key $d.Key }} "
               "{{ printf \"%T\" $d }}") == "true true sprig.certificate");
  const auto why = [](const char* call) {
    const std::string error = render(std::string("{{ ") + call + " }}");
    return error.substr(error.find("error calling "));
  };
  CHECK(why("sprig_buildCustomCert \"!\" \"\"") ==
        "error calling sprig_buildCustomCert: unable to decode base64 certificate");
  CHECK(why("sprig_buildCustomCert \"aGk=\" \"!\"") ==
        "error calling sprig_buildCustomCert: unable to decode base64 private key");
  CHECK(why("sprig_buildCustomCert \"aGk=\" \"aGk=\"") ==
        "error calling sprig_buildCustomCert: unable to decode certificate");
  CHECK(why("sprig_genCAWithKey \"a\" 1 \"hunter2\"") ==
        "error calling sprig_genCAWithKey: parsing private key: no PEM data in input");
  CHECK(why("sprig_genSelfSignedCert \"a\" (sprig_list \"hunter2\") nil 1") ==
        "error calling sprig_genSelfSignedCert: error parsing ip: hunter2");
  CHECK(render("{{ sprig_genSignedCert \"a\" nil nil 1 \"x\" }}")
            .ends_with("can't handle \"x\" for arg of type sprig.certificate"));
}

TEST_CASE("private keys: each kind in the form that Go writes") {
  CHECK(
      render("{{ sprig_genPrivateKey \"ecdsa\" }}").starts_with("-----BEGIN EC PRIVATE KEY-----"));
  CHECK(render("{{ sprig_genPrivateKey \"ed25519\" }}").starts_with("-----BEGIN PRIVATE KEY-----"));
  CHECK(render("{{ sprig_genPrivateKey \"x\" }}") == "Unknown type x");
}

TEST_CASE("bcrypt: published results") {
  // Of the algorithm's public test set; salts are what the hashes begin with.
  const auto salt_of = [](std::string_view coded) {
    constexpr std::string_view kAlphabet =
        "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    std::array<unsigned char, 16> salt{};
    for (std::size_t bit = 0; bit < 128; ++bit) {
      const auto digit = kAlphabet.find(coded[bit / 6]);
      if ((digit >> (5 - bit % 6) & 1) != 0)
        salt[bit / 8] = static_cast<unsigned char>(salt[bit / 8] | 128 >> bit % 8);
    }
    return salt;
  };
  const auto hashed = [&](std::string_view password, std::string_view wanted) {
    const int cost = (wanted[4] - '0') * 10 + (wanted[5] - '0');
    return sprig::bcrypt(password, cost, salt_of(wanted.substr(7)));
  };
  for (const auto& [password, wanted] : std::initializer_list<std::pair<const char*, const char*>>{
           {"", "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s."},
           {"a", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe"},
           {"abc", "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i"},
           {"abcdefghijklmnopqrstuvwxyz",
            "$2a$06$.rCVZVOThsIa97pEDOxvGuRRgzG64bvtJ0938xuqzv18d3ZpQhstC"}}) {
    CHECK(hashed(password, wanted) == wanted);
  }
}

TEST_CASE("bcrypt and htpasswd: a new salt each time, the password's limit, no colon in a name") {
  const std::string one = render("{{ sprig_bcrypt \"p\" }}"),
                    two = render("{{ sprig_bcrypt \"p\" }}");
  CHECK(one.starts_with("$2a$10$"));
  CHECK(one.size() == 60);
  CHECK(one != two);
  CHECK(render("{{ sprig_htpasswd \"u\" \"p\" }}").starts_with("u:$2a$10$"));
  CHECK(render("{{ sprig_htpasswd \"u:x\" \"p\" }}") == "invalid username: u:x");
  CHECK(render("{{ sprig_bcrypt (sprig_repeat 73 \"x\") }}") ==
        "failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes");
}

TEST_CASE("what is encrypted is decrypted, by the same password only") {
  for (const std::string text : {"a", "exactly sixteen.", "more than one block of sixteen"}) {
    CAPTURE(text);
    CHECK(render("{{ sprig_encryptAES \"key\" \"" + text + "\" | sprig_decryptAES \"key\" }}") ==
          text);
  }
  CHECK(render("{{ sprig_encryptAES \"key\" \"\" }}").empty());
  CHECK(render("{{ ne (sprig_encryptAES \"k\" \"t\") (sprig_encryptAES \"k\" \"t\") }}") == "true");
  CHECK(render("{{ sprig_decryptAES \"k\" \"aGk=\" }}").find("slice bounds out of range") !=
        std::string::npos);
}

}  // namespace
}  // namespace keybearer::tmpl
