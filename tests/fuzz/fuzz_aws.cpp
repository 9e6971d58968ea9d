// Any bytes as what holds AWS credentials (shared files, metadata services' and STS's answers): no
// crash, and credentials that come out can stand in a header. The first byte tells which.

#include <string_view>

#include "auth/aws/documents.hpp"
#include "auth/aws/sources.hpp"

namespace {

using namespace keybearer;
using namespace keybearer::auth::aws;

void use(const result<Keys>& keys) {
  if (!keys) return;
  if (!is_plain(keys->access_key_id) || !is_plain(keys->secret_access_key->reveal()) ||
      !is_plain(keys->session_token->reveal()) || !keys->expires)
    __builtin_trap();
}

void use_file(std::string_view text) {
  for (const char* profile : {"default", "a"}) {
    const Facts facts{.profile = profile,
                      .region = "auto",
                      .variable = [](const std::string&) { return std::string(); },
                      .credentials = SharedFile(text),
                      .config = SharedFile(text)};
    (void)choose_source(facts);
    (void)region_of(facts);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 6) {
    case 0:
      use(parse_metadata_reply(text));
      break;
    case 1:
      use(parse_sts_reply(text));
      break;
    case 2:
      use(parse_sso_reply(text));
      break;
    case 3:
      (void)parse_sso_token(text);
      break;
    case 4:
      use_file(text);
      break;
    default:
      (void)parse_time(text);
      break;
  }
  if (service_error(text).size() > 1024) __builtin_trap();
  return 0;
}
