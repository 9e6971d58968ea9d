#include "state/sealed.hpp"

#include <algorithm>
#include <optional>

#include "crypto/aead.hpp"
#include "crypto/digest.hpp"
#include "state/codec.hpp"

namespace keybearer::state {
namespace {

constexpr std::string_view kMagic = "KBSTATE\n";
constexpr std::string_view kCounterMagic = "KBCOUNT\n";
constexpr std::size_t kSaltSize = 32, kCommitmentSize = 32, kMacSize = 32;
constexpr std::size_t kMostBinding = 64 * 1024;

std::string big_endian(std::uint64_t value, int size) {
  std::string out;
  for (int shift = 8 * (size - 1); shift >= 0; shift -= 8)
    out += static_cast<char>((value >> shift) & 0xff);
  return out;
}

// Takes parts off the front, and knows when one is missing.
class Parts {
 public:
  explicit Parts(std::string_view bytes) : rest_(bytes) {}
  std::string_view take(std::size_t size) {
    whole_ = whole_ && size <= rest_.size();
    const std::string_view part = rest_.substr(0, size);
    rest_.remove_prefix(part.size());
    return whole_ ? part : std::string_view{};
  }
  std::uint64_t number(std::size_t size) {
    std::uint64_t value = 0;
    for (const char byte : take(size)) value = value << 8 | static_cast<unsigned char>(byte);
    return value;
  }
  [[nodiscard]] bool whole() const { return whole_; }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
  bool whole_ = true;
};

std::string commitment_of(std::string_view key) {
  return std::string(hmac_sha256(key, "keybearer state: key").reveal());
}
Secret file_key(std::string_view key, std::string_view salt) {
  return derive_key(key, salt, "keybearer state: seal");
}

std::string bytes_of(const Binding& binding) {
  Writer out;
  out.text(binding.instance);
  out.text(binding.vault_namespace);
  out.number(binding.addresses.size());
  for (const std::string& address : binding.addresses) out.text(address);
  return out.bytes();
}
std::optional<Binding> binding_of(std::string_view bytes) {
  Reader in(bytes);
  Binding binding;
  binding.instance = in.text();
  binding.vault_namespace = in.text();
  for (std::size_t n = in.count(); n > 0 && in.ok(); --n) binding.addresses.emplace_back(in.text());
  return in.at_end() ? std::optional(std::move(binding)) : std::nullopt;
}

std::string described(const Binding& binding) {
  std::string text = "instance \"" + binding.instance + "\" at ";
  for (std::size_t i = 0; i < binding.addresses.size(); ++i)
    text += (i == 0 ? "" : ", ") + binding.addresses[i];
  if (!binding.vault_namespace.empty()) text += ", namespace \"" + binding.vault_namespace + "\"";
  return text;
}

bool is_same(const Binding& a, const Binding& b) {
  return a.instance == b.instance && a.vault_namespace == b.vault_namespace &&
         std::ranges::any_of(a.addresses, [&b](const std::string& address) {
           return std::ranges::find(b.addresses, address) != b.addresses.end();
         });
}

std::unexpected<Refusal> refuse(Reason reason, std::string text) {
  return std::unexpected(Refusal{reason, std::move(text)});
}

}  // namespace

std::string_view name_of(Reason reason) {
  switch (reason) {
    case Reason::not_a_state:
      return "not-a-state";
    case Reason::truncated:
      return "truncated";
    case Reason::older:
      return "older";
    case Reason::newer:
      return "newer";
    case Reason::other_key:
      return "other-key";
    case Reason::tampered:
      return "tampered";
    case Reason::foreign:
      return "foreign";
    case Reason::malformed:
      return "malformed";
    case Reason::replayed:
      return "replayed";
    case Reason::readable:
      return "readable";
    case Reason::unreadable:
      return "unreadable";
  }
  return "";
}

std::string seal(std::string_view key, const Binding& binding, std::string_view plaintext) {
  const std::string salt = random_bytes(kSaltSize), bound = bytes_of(binding);
  std::string file(kMagic);
  file += big_endian(kVersion, 2) + big_endian(0, 2) + salt + commitment_of(key) +
          big_endian(bound.size(), 4) + bound + big_endian(plaintext.size() + kAeadTagSize, 8);
  file += aead_seal(file_key(key, salt).reveal(), file, plaintext);
  return file;
}

std::expected<Secret, Refusal> unseal(std::string_view key, const Binding& binding,
                                      std::string_view file) {
  Parts parts(file);
  const std::string_view magic = parts.take(kMagic.size());
  if (!parts.whole() && kMagic.starts_with(file))
    return refuse(Reason::truncated, "truncated: " + std::to_string(file.size()) + " bytes");
  if (magic != kMagic) return refuse(Reason::not_a_state, "not a state file of keybearer");
  const std::uint64_t version = parts.number(2);
  if (parts.whole() && version != kVersion) {
    const bool newer = version > kVersion;
    return refuse(newer ? Reason::newer : Reason::older,
                  std::string(newer ? "written by a newer keybearer" : "of an older format") +
                      " (format " + std::to_string(version) + ", this one reads " +
                      std::to_string(kVersion) + ")");
  }
  const std::uint64_t zero = parts.number(2);
  const std::string_view salt = parts.take(kSaltSize);
  const std::string_view commitment = parts.take(kCommitmentSize);
  const std::uint64_t bound_size = parts.number(4);
  if (parts.whole() && !equal_in_constant_time(commitment, commitment_of(key)))
    return refuse(Reason::other_key, "sealed with another key than the configured one");
  if (parts.whole() && (zero != 0 || bound_size > kMostBinding))
    return refuse(Reason::tampered, "changed after it was sealed");
  const std::string_view bound = parts.take(bound_size);
  const std::uint64_t body_size = parts.number(8);
  if (!parts.whole() || parts.rest().size() < body_size) {
    return refuse(
        Reason::truncated,
        "truncated: " + std::to_string(file.size()) + " bytes" +
            (parts.whole() ? " of " + std::to_string(file.size() - parts.rest().size() + body_size)
                           : ""));
  }
  const std::string_view header = file.substr(0, file.size() - parts.rest().size());
  auto plain = parts.rest().size() == body_size
                   ? aead_open(file_key(key, salt).reveal(), header, parts.rest())
                   : std::nullopt;
  if (!plain) return refuse(Reason::tampered, "changed after it was sealed");
  const auto whose = binding_of(bound);
  if (!whose) return refuse(Reason::malformed, "its header is not understood");
  if (!is_same(*whose, binding))
    return refuse(Reason::foreign, "of " + described(*whose) + ", not of " + described(binding));
  return std::move(*plain);
}

std::string seal_counter(std::string_view key, std::uint64_t counter) {
  std::string file(kCounterMagic);
  file += big_endian(counter, 8);
  file += hmac_sha256(derive_key(key, {}, "keybearer state: counter").reveal(), file).reveal();
  return file;
}

std::expected<std::uint64_t, Refusal> unseal_counter(std::string_view key, std::string_view file) {
  Parts parts(file);
  const std::string_view magic = parts.take(kCounterMagic.size());
  const std::uint64_t counter = parts.number(8);
  const std::string_view signed_part = file.substr(0, file.size() - parts.rest().size());
  const std::string_view mac = parts.take(kMacSize);
  const bool good =
      parts.whole() && parts.rest().empty() && magic == kCounterMagic &&
      equal_in_constant_time(
          mac, hmac_sha256(derive_key(key, {}, "keybearer state: counter").reveal(), signed_part)
                   .reveal());
  if (!good)
    return refuse(Reason::replayed,
                  "its counter can't be trusted: an older copy may be in its place");
  return counter;
}

}  // namespace keybearer::state
