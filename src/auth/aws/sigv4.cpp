#include "auth/aws/sigv4.hpp"

#include <time.h>

#include <algorithm>
#include <map>

#include "crypto/digest.hpp"

namespace keybearer::auth::aws {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view kBlanks = " \t\r\n";

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return out;
}

// Without blanks at its ends, and each run of them within as one.
void append_trimmed(Secret& out, std::string_view value) {
  bool any = false, blank = false;
  for (const char c : value) {
    if (kBlanks.contains(c)) {
      blank = any;
      continue;
    }
    if (std::exchange(blank, false)) out.push_back(' ');
    out.push_back(c);
    any = true;
  }
}

std::map<std::string, std::vector<std::string_view>> by_name(const SignedRequest& request) {
  std::map<std::string, std::vector<std::string_view>> out;
  for (const auto& [name, value] : request.headers) out[lower(name)].push_back(value);
  return out;
}

}  // namespace

std::string Scope::text() const {
  return date() + "/" + region + "/" + service + "/aws4_request";
}

std::string amz_time(WallTime time) {
  const time_t seconds = std::chrono::system_clock::to_time_t(time);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  return {text, strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts)};
}

std::string signed_headers(const SignedRequest& request) {
  std::string out;
  for (const auto& [name, values] : by_name(request))
    out.append(out.empty() ? "" : ";").append(name);
  return out;
}

Secret canonical_request(const SignedRequest& request) {
  Secret out;
  for (const auto part : {request.method, request.path, request.query}) {
    out.append(part);
    out.push_back('\n');
  }
  for (const auto& [name, values] : by_name(request)) {
    out.append(name);
    char separator = ':';
    for (const std::string_view value : values) {
      out.push_back(std::exchange(separator, ','));
      append_trimmed(out, value);
    }
    out.push_back('\n');
  }
  out.push_back('\n');
  out.append(signed_headers(request));
  out.push_back('\n');
  out.append(sha256_hex(request.body));
  return out;
}

std::string string_to_sign(const Scope& scope, std::string_view canonical_request) {
  return std::string(kAlgorithm) + "\n" + scope.time + "\n" + scope.text() + "\n" +
         sha256_hex(canonical_request);
}

Secret signing_key(std::string_view secret_access_key, const Scope& scope) {
  Secret key("AWS4");
  key.append(secret_access_key);
  for (const std::string& part :
       {scope.date(), scope.region, scope.service, std::string("aws4_request")})
    key = hmac_sha256(key.reveal(), part);
  return key;
}

Secret authorization(const SignedRequest& request, const Scope& scope,
                     std::string_view access_key_id, std::string_view secret_access_key) {
  const Secret canonical = canonical_request(request);
  Secret out(kAlgorithm);
  out.append(" Credential=");
  out.append(access_key_id);
  out.append("/" + scope.text() + ", SignedHeaders=" + signed_headers(request) + ", Signature=");
  out.append(hmac_sha256_hex(signing_key(secret_access_key, scope).reveal(),
                             string_to_sign(scope, canonical.reveal())));
  return out;
}

}  // namespace keybearer::auth::aws
