#include <algorithm>

#include "config/sections.hpp"

namespace keybearer::config {
namespace {

// HTTP's rules (RFC 9110, 5.1 and 5.5), and the headers that are ours to send.
const char* wrong_header(const std::string& name, std::string_view value) {
  constexpr std::string_view kOurs[] = {"connection",        "content-length", "host",
                                        "transfer-encoding", "x-vault-token",  "x-vault-namespace",
                                        "x-vault-request"};
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  std::string lower;
  for (const char c : name) {
    const bool upper = c >= 'A' && c <= 'Z';
    if (!upper && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !kMarks.contains(c))
      return "not a header's name; expected letters, digits and -";
    lower += upper ? static_cast<char>(c + 32) : c;
  }
  if (lower.empty()) return "a header without a name";
  if (std::ranges::find(kOurs, lower) != std::end(kOurs)) return "a header that we set ourselves";
  if (has_control(value)) return "has a line break or another control character";
  return nullptr;
}

// "BASE64" of 32 bytes, or as curl writes it: "sha256//BASE64".
bool is_pin(std::string_view text) {
  constexpr std::size_t kDigits = 43;  // and one "="
  if (text.size() != kDigits + 1 || text.back() != '=') return false;
  const auto digit = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
  };
  // The last digit has two bits that belong to nothing.
  return std::ranges::all_of(text.substr(0, kDigits), digit) &&
         std::string_view("AEIMQUYcgkosw048").contains(text[kDigits - 1]);
}

void read_pins(Reader& r, Vault& vault) {
  r.read("tls_pin_sha256", vault.tls_pin_sha256);
  r.describe_default("tls_pin_sha256", "any key of a certificate that is accepted");
  const toml::node* node = r.find("tls_pin_sha256");
  if (node == nullptr || node->as_array() == nullptr) return;
  if (vault.tls_pin_sha256.empty() && node->as_array()->empty())
    r.problem("tls_pin_sha256", "empty; expected at least one pin");
  for (std::string& pin : vault.tls_pin_sha256) {
    for (const std::string_view prefix : {"sha256//", "sha256/"})
      if (pin.starts_with(prefix)) pin.erase(0, prefix.size());
    if (is_pin(pin)) continue;
    r.problem("tls_pin_sha256", "bad pin \"" + escaped(pin) +
                                    "\"; expected the base64 of a SHA-256: 44 characters, the last "
                                    "of which is =");
  }
}

}  // namespace

void read_vault(Context& context, Reader& top, Vault& vault) {
  Reader r(context, top.table("vault"), "vault");
  if (const toml::node* node = r.find("address")) {
    vault.address_place = place_of(*node);
    if (node->as_array() != nullptr)
      r.read("address", vault.address);
    else
      r.read("address", vault.address.front());
    if (vault.address.empty()) r.problem("address", "empty; expected at least one address");
  } else {
    r.describe_default("address", vault.address.front());
  }
  r.read("namespace", vault.vault_namespace);
  r.read("ca_cert", vault.ca_cert);
  r.read("ca_path", vault.ca_path);
  r.describe_default("ca_cert", "the system's store");
  r.describe_default("ca_path", "the system's store");
  r.read("client_cert", vault.client_cert);
  r.read("client_key", vault.client_key);
  r.read("tls_server_name", vault.tls_server_name);
  r.read_choice("tls_min_version", vault.tls13_only, {{"tls12", false}, {"tls13", true}});
  r.read("tls_skip_verify", vault.tls_skip_verify);
  r.read("connect_timeout", vault.connect_timeout);
  r.read("timeout", vault.timeout);
  r.read_size("max_response_size", vault.max_response_size);
  r.read("max_connections", vault.max_connections, 1, 1000);
  r.read("headers", vault.headers);
  for (const auto& [name, value] : vault.headers) {
    if (const char* why = wrong_header(name, value))
      context.problem(*r.find("headers")->as_table()->get(name), r.name_of("headers." + name), why);
  }
  {
    Reader retry(context, r.table("retry"), "vault.retry");
    retry.read("num_retries", vault.retry.num_retries);
    retry.read("min_backoff", vault.retry.min_backoff);
    retry.read("max_backoff", vault.retry.max_backoff);
  }
  Reader budget(context, r.table("budget"), "vault.budget");
  budget.read("requests_per_minute", vault.budget.requests_per_minute, 1);
  budget.describe_default("requests_per_minute", "600 + 4 for each secret");
  budget.read("burst", vault.budget.burst, 1);
  budget.describe_default("burst", "20 + 2 for each secret");
  r.read_masked("proxy_address", vault.proxy_address);
  read_pins(r, vault);
}

}  // namespace keybearer::config
