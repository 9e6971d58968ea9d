// Any bytes as what clouds and issuers send: JWTs, the documents of Google's and Microsoft's services,
// key files. No crash; what is taken out of them can go into a header or a JSON body; what is said of
// them is one short line.

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "auth/azure/documents.hpp"
#include "auth/cloud_documents.hpp"
#include "auth/gcp/documents.hpp"
#include "auth/jwt.hpp"
#include "crypto/base64url.hpp"

namespace {

using namespace keybearer;
using namespace keybearer::auth;

void require(bool good) {
  if (!good) std::abort();
}

bool is_line(std::string_view text) {
  return std::ranges::none_of(text, [](unsigned char c) { return c < ' ' || c == 0x7f; });
}

void require_header(const result<Secret>& value) {
  if (!value) return;
  require(!value->empty() && std::ranges::all_of(value->reveal(), [](unsigned char c) {
    return c > ' ' && c < 0x7f;
  }));
}

void look_at_jwt(std::string_view token) {
  const auto text = describe_jwt(token, WallTime(std::chrono::seconds(1'796'000'000)));
  require(is_line(text) && text.size() < 8192);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  look_at_jwt(text);
  look_at_jwt("e30." + base64url(text) + ".c2ln");  // its claims
  if (const auto bytes = base64url_decoded(text)) require(base64url(*bytes) == text);
  require_header(jwt_of_body(text));
  require_header(gcp::read_access_token(text));
  require_header(gcp::read_signed_jwt(text));
  require_header(azure::read_token(text));
  require(is_line(gcp::read_error(text)) && is_line(azure::read_error(text)));
  (void)azure::read_instance(text);
  if (const auto key = gcp::read_key(text)) (void)gcp::sign_locally(*key, "{}");
  return 0;
}
