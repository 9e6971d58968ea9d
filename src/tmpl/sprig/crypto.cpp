// sprig's crypto.go without its certificates (certificate.cpp).

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <memory>

#include "crypto/digest.hpp"
#include "tmpl/funcs/base64.hpp"
#include "tmpl/sprig/bcrypt.hpp"
#include "tmpl/sprig/certificate.hpp"
#include "tmpl/sprig/convert.hpp"
#include "tmpl/sprig/sprig.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl::sprig {
namespace {

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
void random(std::span<unsigned char> out) {
  if (RAND_bytes(out.data(), static_cast<int>(out.size())) != 1)
    throw CallError{"no random bytes to be had"};
}

Value sha1sum(Evaluation&, Arguments a) {
  return sha1_hex(a[0].as_text());
}
Value sha256sum(Evaluation&, Arguments a) {
  return sha256_hex(a[0].as_text());
}
Value sha512sum(Evaluation&, Arguments a) {
  return sha512_hex(a[0].as_text());
}
Value adler32sum(Evaluation&, Arguments a) {
  constexpr std::uint32_t kPrime = 65521;
  constexpr std::size_t kRun = 5552;  // as many bytes can't overflow 32 bits
  constexpr std::size_t kBlock = 16;  // summed up side by side
  std::uint32_t low = 1, high = 0;
  for (std::string_view text = a[0].as_text(); !text.empty();) {
    std::string_view run = text.substr(0, kRun);
    text.remove_prefix(run.size());
    spend(run.size());
    for (; run.size() >= kBlock; run.remove_prefix(kBlock)) {
      const char* const block = run.data();  // unchecked, so that it becomes vectors
      std::uint32_t sum = 0, weighted = 0;
      for (std::uint32_t i = 0; i < kBlock; ++i) {
        sum += static_cast<unsigned char>(block[i]);
        weighted += (kBlock - i) * static_cast<unsigned char>(block[i]);
      }
      high += kBlock * low + weighted;
      low += sum;
    }
    for (const char c : run) high += low += static_cast<unsigned char>(c);
    low %= kPrime;
    high %= kPrime;
  }
  return std::to_string(high << 16 | low);
}

std::string hashed(std::string_view password) {
  if (password.size() > kMostBcryptBytes) {
    return "failed to encrypt string with bcrypt: bcrypt: password length exceeds " +
           std::to_string(kMostBcryptBytes) + " bytes";
  }
  std::array<unsigned char, 16> salt{};
  random(salt);
  return bcrypt(password, 10, salt);
}
Value bcrypt_(Evaluation&, Arguments a) {
  return hashed(a[0].as_text());
}
Value htpasswd(Evaluation&, Arguments a) {
  const std::string user(a[0].as_text());
  if (user.contains(':')) return "invalid username: " + user;
  return user + ":" + hashed(a[1].as_text());
}

// --- AES-256 in CBC mode: base64 of the IV and what is encrypted, padded to whole blocks ---

constexpr std::size_t kBlock = 16;

// The password itself, cut or filled with zeros to 32 bytes, is the key.
std::string crypt(bool encrypt, std::string_view password, const unsigned char* iv,
                  std::string_view text) {
  std::array<unsigned char, 32> key{};
  std::ranges::copy(password.substr(0, key.size()), key.begin());
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(
      EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  std::string out(text.size(), '\0');
  int size = 0;
  const bool done = context != nullptr &&
                    EVP_CipherInit_ex(context.get(), EVP_aes_256_cbc(), nullptr, key.data(), iv,
                                      encrypt ? 1 : 0) == 1 &&
                    EVP_CIPHER_CTX_set_padding(context.get(), 0) == 1 &&
                    EVP_CipherUpdate(context.get(), reinterpret_cast<unsigned char*>(out.data()),
                                     &size, bytes_of(text), static_cast<int>(text.size())) == 1;
  OPENSSL_cleanse(key.data(), key.size());
  if (!done) throw CallError{"AES is not to be had"};
  return out;
}
Value encrypt_aes(Evaluation&, Arguments a) {
  if (a[1].as_text().empty()) return "";
  std::string text(a[1].as_text());
  const std::size_t padding = kBlock - text.size() % kBlock;
  text.append(padding, static_cast<char>(padding));
  std::array<unsigned char, kBlock> iv{};
  random(iv);
  return base64(std::string(iv.begin(), iv.end()) + crypt(true, a[0].as_text(), iv.data(), text));
}
Value decrypt_aes(Evaluation&, Arguments a) {
  if (a[1].as_text().empty()) return "";
  const auto bytes = base64_decoded(a[1].as_text());
  if (!bytes) throw CallError{"illegal base64 data at input byte " + std::to_string(bytes.error())};
  if (bytes->size() < kBlock) {
    throw CallError{"runtime error: slice bounds out of range [:16] with capacity " +
                    std::to_string(a[1].size() / 4 * 3)};
  }
  const std::string_view text = std::string_view(*bytes).substr(kBlock);
  if (text.size() % kBlock != 0) throw CallError{"crypto/cipher: input not full blocks"};
  if (text.empty()) throw CallError{"runtime error: index out of range [-1]"};
  std::string out = crypt(false, a[0].as_text(), bytes_of(*bytes), text);
  const std::size_t padding = static_cast<unsigned char>(out.back());
  if (padding > out.size()) {
    throw CallError{"runtime error: slice bounds out of range [:-" +
                    std::to_string(padding - out.size()) + "]"};
  }
  out.resize(out.size() - padding);
  return out;
}

// --- the "master password" algorithm: the same password for the same site, kept nowhere ---

struct Kind {
  std::string_view name;
  std::span<const std::string_view> shapes;
};
constexpr std::string_view kMaximum[] = {"anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"};
constexpr std::string_view kLong[] = {
    "CvcvnoCvcvCvcv", "CvcvCvcvnoCvcv", "CvcvCvcvCvcvno", "CvccnoCvcvCvcv", "CvccCvcvnoCvcv",
    "CvccCvcvCvcvno", "CvcvnoCvccCvcv", "CvcvCvccnoCvcv", "CvcvCvccCvcvno", "CvcvnoCvcvCvcc",
    "CvcvCvcvnoCvcc", "CvcvCvcvCvccno", "CvccnoCvccCvcv", "CvccCvccnoCvcv", "CvccCvccCvcvno",
    "CvcvnoCvccCvcc", "CvcvCvccnoCvcc", "CvcvCvccCvccno", "CvccnoCvcvCvcc", "CvccCvcvnoCvcc",
    "CvccCvcvCvccno"};
constexpr std::string_view kMedium[] = {"CvcnoCvc", "CvcCvcno"};
constexpr std::string_view kShort[] = {"Cvcn"};
constexpr std::string_view kBasic[] = {"aaanaaan", "aannaaan", "aaannaaa"};
constexpr std::string_view kPin[] = {"nnnn"};
constexpr Kind kKinds[] = {{"maximum", kMaximum}, {"long", kLong},   {"medium", kMedium},
                           {"short", kShort},     {"basic", kBasic}, {"pin", kPin}};

// The characters that stand for a letter of a shape.
std::string_view characters(char letter) {
  switch (letter) {
    case 'V':
      return "AEIOU";
    case 'C':
      return "BCDFGHJKLMNPQRSTVWXYZ";
    case 'v':
      return "aeiou";
    case 'c':
      return "bcdfghjklmnpqrstvwxyz";
    case 'a':
      return "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
    case 'n':
      return "0123456789";
    case 'o':
      return "@&%?,=[]_:-+*$#!'^~;()/.";
    default:
      return "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()";
  }
}
std::string big_endian(std::uint64_t number) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(number >> shift & 255);
  return out;
}
Value derive_password(Evaluation&, Arguments a) {
  constexpr std::string_view kSeed = "com.lyndir.masterpassword";
  const auto* kind = std::ranges::find(kKinds, a[1].as_text(), &Kind::name);
  if (kind == std::end(kKinds))
    return "cannot find password template " + std::string(a[1].as_text());
  const std::string_view password = a[2].as_text(), user = a[3].as_text(), site = a[4].as_text();
  const std::string salt = std::string(kSeed) + big_endian(user.size()) + std::string(user);
  std::array<unsigned char, 64> key{};
  constexpr std::uint64_t kRounds = 32768, kBlocks = 8, kParallel = 2, kMostMemory = 64u << 20;
  if (EVP_PBE_scrypt(password.data(), password.size(), bytes_of(salt), salt.size(), kRounds,
                     kBlocks, kParallel, kMostMemory, key.data(), key.size()) != 1)
    throw CallError{"failed to derive password: OpenSSL's scrypt failed"};
  const std::string message =
      std::string(kSeed) + big_endian(site.size()) + std::string(site) + big_endian(a[0].as_uint());
  const Secret seed = hmac_sha256({reinterpret_cast<const char*>(key.data()), key.size()}, message);
  OPENSSL_cleanse(key.data(), key.size());
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(seed.reveal()[i]); };
  const std::string_view shape = kind->shapes[byte(0) % kind->shapes.size()];
  std::string out;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const std::string_view choice = characters(shape[i]);
    out += choice[byte(i + 1) % choice.size()];
  }
  return out;
}

constexpr Function kFunctions[] = {
    {"sprig_adler32sum", adler32sum, "s"},
    {"sprig_bcrypt", bcrypt_, "s"},
    {"sprig_buildCustomCert", build_custom_cert, "ss"},
    {"sprig_decryptAES", decrypt_aes, "ss"},
    {"sprig_derivePassword", derive_password, "vssss"},
    {"sprig_encryptAES", encrypt_aes, "ss"},
    {"sprig_genCA", gen_ca, "si"},
    {"sprig_genCAWithKey", gen_ca, "sis"},
    {"sprig_genPrivateKey", gen_private_key, "s"},
    {"sprig_genSelfSignedCert", gen_self_signed_cert, "sAAi"},
    {"sprig_genSelfSignedCertWithKey", gen_self_signed_cert, "sAAis"},
    {"sprig_genSignedCert", gen_signed_cert, "sAAiC"},
    {"sprig_genSignedCertWithKey", gen_signed_cert, "sAAiCs"},
    {"sprig_htpasswd", htpasswd, "ss"},
    {"sprig_sha1sum", sha1sum, "s"},
    {"sprig_sha256sum", sha256sum, "s"},
    {"sprig_sha512sum", sha512sum, "s"},
};

}  // namespace

std::span<const Function> crypto_functions() {
  return kFunctions;
}

}  // namespace keybearer::tmpl::sprig
