#include "tmpl/sprig/certificate.hpp"

#include <arpa/inet.h>
#include <openssl/dsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <memory>

#include "tmpl/funcs/base64.hpp"
#include "tmpl/go/format.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/object.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl::sprig {
namespace {

template <auto free>
struct Deleter {
  void operator()(auto* pointer) const { free(pointer); }
};
template <class T, auto free>
using Owned = std::unique_ptr<T, Deleter<free>>;
using Key = Owned<EVP_PKEY, EVP_PKEY_free>;
using Certificate = Owned<X509, X509_free>;
using Bio = Owned<BIO, BIO_free_all>;

// For what only a lack of memory or of an algorithm lets fail.
template <class T>
T there(T value) {
  if (!value) throw CallError{"error creating certificate: OpenSSL refuses"};
  return value;
}

// --- the object ---

class CertificateObject final : public Struct {
 public:
  CertificateObject(std::string cert_pem, std::string key_pem)
      : cert(std::move(cert_pem)), key(std::move(key_pem)) {}
  const std::string cert, key;

  [[nodiscard]] std::string_view type_name() const override { return "sprig.certificate"; }
  [[nodiscard]] std::vector<Field> fields() const override {
    return {{"Cert", Value(cert)}, {"Key", Value(key)}};
  }
  [[nodiscard]] std::optional<Value> field(std::string_view name) const override {
    if (name == "Cert") return Value(cert);
    if (name == "Key") return Value(key);
    return std::nullopt;
  }
  [[nodiscard]] bool equals(const Object& other) const override {
    if (type_name() != other.type_name()) return false;
    const auto& theirs = static_cast<const CertificateObject&>(other);
    return cert == theirs.cert && key == theirs.key;
  }
  void print(std::string& out) const override { out += "{" + cert + " " + key + "}"; }
};

// --- PEM ---

Bio reader(std::string_view text) {
  return there(Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))));
}
template <class Write>
std::string written(Write write) {
  const Bio bio = there(Bio(BIO_new(BIO_s_mem())));
  there(write(bio.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

// The first block of a PEM text.
struct Block {
  std::string type, bytes;
};
std::optional<Block> first_block(std::string_view text) {
  char *name = nullptr, *header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  const Bio bio = reader(text);
  if (PEM_read_bio(bio.get(), &name, &header, &data, &size) != 1) return std::nullopt;
  Block block{name, std::string(reinterpret_cast<char*>(data), static_cast<std::size_t>(size))};
  OPENSSL_free(name);
  OPENSSL_free(header);
  OPENSSL_clear_free(data, static_cast<std::size_t>(size));
  return block;
}

Key decoded(int type, const std::string& bytes) {
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  return Key(d2i_PrivateKey(type, nullptr, &at, static_cast<long>(bytes.size())));
}
Key decoded_pkcs8(const std::string& bytes) {
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  const Owned<PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free> info(
      d2i_PKCS8_PRIV_KEY_INFO(nullptr, &at, static_cast<long>(bytes.size())));
  return Key(info == nullptr ? nullptr : EVP_PKCS82PKEY(info.get()));
}
Key parsed_key(std::string_view pem) {
  const auto block = first_block(pem);
  if (!block) throw CallError{"no PEM data in input"};
  if (block->type == "PRIVATE KEY") {
    if (Key key = decoded_pkcs8(block->bytes)) return key;
    throw CallError{"decoding PEM as PKCS#8: not a private key"};
  }
  constexpr std::string_view kEnd = " PRIVATE KEY";
  if (!block->type.ends_with(kEnd))
    throw CallError{"no private key data in PEM block of type " + block->type};
  const std::string kind = block->type.substr(0, block->type.size() - kEnd.size());
  const int type = kind == "RSA"   ? EVP_PKEY_RSA
                   : kind == "EC"  ? EVP_PKEY_EC
                   : kind == "DSA" ? EVP_PKEY_DSA
                                   : EVP_PKEY_NONE;
  if (type == EVP_PKEY_NONE) throw CallError{"invalid private key type " + block->type};
  if (Key key = decoded(type, block->bytes)) return key;
  throw CallError{"parsing " + kind + " private key from PEM: not a private key"};
}
// RSA, EC and DSA in their own old forms, others as PKCS#8: what Go's sprig writes.
std::string key_pem(EVP_PKEY* key) {
  return written([key](BIO* bio) {
    const int type = EVP_PKEY_get_base_id(key);
    const bool old = type == EVP_PKEY_RSA || type == EVP_PKEY_EC || type == EVP_PKEY_DSA;
    return old ? PEM_write_bio_PrivateKey_traditional(bio, key, nullptr, nullptr, 0, nullptr,
                                                      nullptr)
               : PEM_write_bio_PKCS8PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

Certificate parsed_certificate(const std::string& bytes) {
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  return Certificate(d2i_X509(nullptr, &at, static_cast<long>(bytes.size())));
}

// --- keys ---

using Context = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;

// OpenSSL asks at each candidate for a prime whether it may go on.
void watch(EVP_PKEY_CTX* context) {
  constexpr std::size_t kCandidate = 50'000;
  EVP_PKEY_CTX_set_cb(context, [](EVP_PKEY_CTX*) { return may_go_on(kCandidate) ? 1 : 0; });
}
void there_unless_stopped(bool done) {
  if (!done) spend(0);  // says why, when that is the reason
  there(done);
}

Key new_rsa_key(std::size_t bits) {
  const Context make(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  there(make != nullptr && EVP_PKEY_keygen_init(make.get()) == 1 &&
        EVP_PKEY_CTX_set_rsa_keygen_bits(make.get(), static_cast<int>(bits)) == 1);
  watch(make.get());
  EVP_PKEY* raw = nullptr;
  there_unless_stopped(EVP_PKEY_keygen(make.get(), &raw) == 1);
  return Key(raw);
}
Key new_dsa_key() {
  const Context make(EVP_PKEY_CTX_new_from_name(nullptr, "DSA", nullptr));
  EVP_PKEY* raw = nullptr;
  there(make != nullptr && EVP_PKEY_paramgen_init(make.get()) == 1 &&
        EVP_PKEY_CTX_set_dsa_paramgen_bits(make.get(), 2048) == 1 &&
        EVP_PKEY_CTX_set_dsa_paramgen_q_bits(make.get(), 256) == 1);
  watch(make.get());
  there_unless_stopped(EVP_PKEY_paramgen(make.get(), &raw) == 1);
  const Key parameters(raw);
  const Context context(EVP_PKEY_CTX_new_from_pkey(nullptr, parameters.get(), nullptr));
  raw = nullptr;
  there(context != nullptr && EVP_PKEY_keygen_init(context.get()) == 1 &&
        EVP_PKEY_keygen(context.get(), &raw) == 1);
  return Key(raw);
}
Key key_of(Arguments a, std::size_t at) {
  constexpr std::size_t kBits = 2048;
  if (a.size() <= at) return new_rsa_key(kBits);
  try {
    return parsed_key(a[at].as_text());
  } catch (const CallError& error) {
    throw CallError{"parsing private key: " + error.text};
  }
}

// --- certificates ---

// Go's texts, with the value in them: who shows them hides what is secret.
[[noreturn]] void no_string(const std::string& what, const Value& value) {
  throw CallError{what + ": " + sprint({&value, 1}) + " is not a string"};
}

struct Request {
  std::string_view name;
  std::int64_t days = 0;
  std::vector<std::string> addresses;  // 4 or 16 bytes each
  std::vector<std::string> names;
  bool is_ca = false;
};

std::string address_bytes(const Value& value) {
  if (value.type() != Type::string) no_string("error parsing ip", value);
  const std::string text(value.as_text());
  std::array<char, 16> bytes{};
  if (inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) return {bytes.data(), 4};
  if (inet_pton(AF_INET6, text.c_str(), bytes.data()) != 1)
    throw CallError{"error parsing ip: " + text};
  const std::string all(bytes.data(), bytes.size());
  constexpr std::string_view kMapped("\0\0\0\0\0\0\0\0\0\0\xFF\xFF", 12);
  return all.starts_with(kMapped) ? all.substr(kMapped.size()) : all;
}
// name, IPs, DNS names, days
Request request_of(Arguments a) {
  Request request{a[0].as_text(), a[3].as_int(), {}, {}};
  for (const Value& ip : a[1].items()) request.addresses.push_back(address_bytes(ip));
  for (const Value& name : a[2].items()) {
    if (name.type() != Type::string) no_string("error processing alternate dns name", name);
    if (std::ranges::any_of(name.as_text(), [](char c) { return (c & 0x80) != 0; }))
      throw CallError{"error creating certificate: x509: " + quote(name.as_text()) +
                      " cannot be encoded as an IA5String"};
    request.names.emplace_back(name.as_text());
  }
  return request;
}

void add_extension(X509* certificate, int nid, void* value, bool critical) {
  there(X509_add1_ext_i2d(certificate, nid, value, critical ? 1 : 0, X509V3_ADD_DEFAULT) == 1);
}
void add_usage(X509* certificate, bool is_ca) {
  constexpr int kDigitalSignature = 0, kKeyEncipherment = 2, kCertSign = 5;
  const Owned<ASN1_BIT_STRING, ASN1_BIT_STRING_free> usage(there(ASN1_BIT_STRING_new()));
  ASN1_BIT_STRING_set_bit(usage.get(), kDigitalSignature, 1);
  ASN1_BIT_STRING_set_bit(usage.get(), kKeyEncipherment, 1);
  if (is_ca) ASN1_BIT_STRING_set_bit(usage.get(), kCertSign, 1);
  add_extension(certificate, NID_key_usage, usage.get(), true);

  const Owned<EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free> extended(
      there(EXTENDED_KEY_USAGE_new()));
  sk_ASN1_OBJECT_push(extended.get(), OBJ_nid2obj(NID_server_auth));
  sk_ASN1_OBJECT_push(extended.get(), OBJ_nid2obj(NID_client_auth));
  add_extension(certificate, NID_ext_key_usage, extended.get(), false);

  const Owned<BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free> constraints(
      there(BASIC_CONSTRAINTS_new()));
  constraints->ca = is_ca ? 0xFF : 0;
  add_extension(certificate, NID_basic_constraints, constraints.get(), true);
}
void add_key_ids(X509* certificate, const X509* signer, bool is_ca) {
  if (is_ca) {  // RFC 7093: the first 20 bytes of the key's SHA-256
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    there(X509_pubkey_digest(certificate, EVP_sha256(), digest.data(), &size) == 1);
    const Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> id(there(ASN1_OCTET_STRING_new()));
    ASN1_OCTET_STRING_set(id.get(), digest.data(), 20);
    add_extension(certificate, NID_subject_key_identifier, id.get(), false);
  }
  if (signer == nullptr) return;
  const ASN1_OCTET_STRING* id = X509_get0_subject_key_id(const_cast<X509*>(signer));
  const bool own =
      X509_NAME_cmp(X509_get_subject_name(signer), X509_get_subject_name(certificate)) == 0;
  if (id == nullptr || own) return;
  const Owned<AUTHORITY_KEYID, AUTHORITY_KEYID_free> authority(there(AUTHORITY_KEYID_new()));
  authority->keyid = ASN1_OCTET_STRING_dup(id);
  add_extension(certificate, NID_authority_key_identifier, authority.get(), false);
}
void add_names(X509* certificate, const Request& request) {
  if (request.names.empty() && request.addresses.empty()) return;
  const Owned<GENERAL_NAMES, GENERAL_NAMES_free> all(there(GENERAL_NAMES_new()));
  const auto add = [&all](int type, ASN1_STRING* text, const std::string& bytes) {
    ASN1_STRING_set(text, bytes.data(), static_cast<int>(bytes.size()));
    GENERAL_NAME* name = there(GENERAL_NAME_new());
    GENERAL_NAME_set0_value(name, type, text);
    sk_GENERAL_NAME_push(all.get(), name);
  };
  for (const std::string& name : request.names) add(GEN_DNS, there(ASN1_IA5STRING_new()), name);
  for (const std::string& ip : request.addresses)
    add(GEN_IPADD, there(ASN1_OCTET_STRING_new()), ip);
  add_extension(certificate, NID_subject_alt_name, all.get(), request.name.empty());
}

void set_serial(X509* certificate) {
  std::array<unsigned char, 16> bytes{};
  there(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
  const Owned<BIGNUM, BN_free> number(
      there(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr)));
  there(BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr);
}
void set_validity(X509* certificate, std::int64_t days) {
  // A time.Duration of so many days: nanoseconds, which wrap around after 292 years.
  constexpr std::int64_t kDay = 86'400'000'000'000;
  std::int64_t span = 0;
  (void)__builtin_mul_overflow(days, kDay, &span);
  const std::time_t now = std::time(nullptr);
  there(ASN1_TIME_set(X509_getm_notBefore(certificate), now) != nullptr);
  there(ASN1_TIME_set(X509_getm_notAfter(certificate), now + span / 1'000'000'000) != nullptr);
}
void set_subject(X509* certificate, std::string_view name) {
  if (name.empty()) return;
  // The type by number: OpenSSL then does not cut the name at 64 characters, as Go does not.
  there(X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                   V_ASN1_UTF8STRING,
                                   reinterpret_cast<const unsigned char*>(name.data()),
                                   static_cast<int>(name.size()), -1, 0) == 1);
}

bool can_sign(const EVP_PKEY* key) {
  const int type = EVP_PKEY_get_base_id(key);
  return type == EVP_PKEY_RSA || type == EVP_PKEY_EC || type == EVP_PKEY_ED25519;
}
const EVP_MD* digest_for(const EVP_PKEY* key) {
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519) return nullptr;
  const bool ec = EVP_PKEY_get_base_id(key) == EVP_PKEY_EC;
  const int bits = ec ? EVP_PKEY_get_bits(key) : 0;
  return bits > 384 ? EVP_sha512() : bits > 256 ? EVP_sha384() : EVP_sha256();
}

struct Signer {
  X509* certificate = nullptr;  // nothing: the certificate signs itself
  EVP_PKEY* key = nullptr;
};

Value issued(const Request& request, EVP_PKEY* key, Signer signer) {
  constexpr const char* kCreating = "error creating certificate: x509: ";
  if (!can_sign(signer.key))
    throw CallError{std::string(kCreating) +
                    "certificate private key does not implement crypto.Signer"};
  if (!can_sign(key)) throw CallError{std::string(kCreating) + "unsupported public key type"};
  const Certificate certificate = there(Certificate(X509_new()));
  there(X509_set_version(certificate.get(), X509_VERSION_3) == 1);
  set_serial(certificate.get());
  set_validity(certificate.get(), request.days);
  set_subject(certificate.get(), request.name);
  const X509* parent = signer.certificate != nullptr ? signer.certificate : certificate.get();
  there(X509_set_issuer_name(certificate.get(), X509_get_subject_name(parent)) == 1);
  there(X509_set_pubkey(certificate.get(), key) == 1);
  add_usage(certificate.get(), request.is_ca);
  add_key_ids(certificate.get(), signer.certificate, request.is_ca);
  add_names(certificate.get(), request);
  if (signer.certificate != nullptr && X509_check_private_key(signer.certificate, signer.key) != 1)
    throw CallError{std::string(kCreating) +
                    "provided PrivateKey doesn't match parent's PublicKey"};
  there(X509_sign(certificate.get(), signer.key, digest_for(signer.key)) > 0);
  return Value::object(std::make_shared<CertificateObject>(
      written([&certificate](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); }),
      key_pem(key)));
}

}  // namespace

Value build_custom_cert(Evaluation&, Arguments a) {
  const auto cert = base64_decoded(a[0].as_text());
  if (!cert) throw CallError{"unable to decode base64 certificate"};
  const auto key = base64_decoded(a[1].as_text());
  if (!key) throw CallError{"unable to decode base64 private key"};
  const auto block = first_block(*cert);
  if (!block) throw CallError{"unable to decode certificate"};
  if (!parsed_certificate(block->bytes))
    throw CallError{"error parsing certificate: decodedCert.Bytes: x509: malformed certificate"};
  try {
    (void)parsed_key(*key);
  } catch (const CallError& error) {
    throw CallError{"error parsing private key: " + error.text};
  }
  return Value::object(std::make_shared<CertificateObject>(*cert, *key));
}

Value gen_ca(Evaluation&, Arguments a) {
  const Key key = key_of(a, 2);
  return issued({a[0].as_text(), a[1].as_int(), {}, {}, true}, key.get(), {nullptr, key.get()});
}

Value gen_self_signed_cert(Evaluation&, Arguments a) {
  const Key key = key_of(a, 4);
  return issued(request_of(a), key.get(), {nullptr, key.get()});
}

Value gen_signed_cert(Evaluation&, Arguments a) {
  const Key key = key_of(a, 5);
  const auto& ca = static_cast<const CertificateObject&>(*a[4].as_object());
  const auto block = first_block(ca.cert);
  if (!block) throw CallError{"unable to decode certificate"};
  const Certificate parent = parsed_certificate(block->bytes);
  if (!parent) {
    throw CallError{
        "error parsing certificate: decodedSignerCert.Bytes: x509: malformed certificate"};
  }
  Key signer;
  try {
    signer = parsed_key(ca.key);
  } catch (const CallError& error) {
    throw CallError{"error parsing private key: " + error.text};
  }
  return issued(request_of(a), key.get(), {parent.get(), signer.get()});
}

Value gen_private_key(Evaluation&, Arguments a) {
  const std::string_view kind = a[0].as_text();
  constexpr std::size_t kBits = 4096;
  if (kind.empty() || kind == "rsa") return key_pem(new_rsa_key(kBits).get());
  if (kind == "dsa") return key_pem(new_dsa_key().get());
  if (kind == "ecdsa")
    return key_pem(there(Key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"))).get());
  if (kind == "ed25519")
    return key_pem(there(Key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"))).get());
  return "Unknown type " + std::string(kind);
}

}  // namespace keybearer::tmpl::sprig
