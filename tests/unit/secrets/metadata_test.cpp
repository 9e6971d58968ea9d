// Metadata that say what they said before are not parsed again.

#include "kv_fixture.hpp"

namespace keybearer::secrets {
namespace {

TEST_CASE_FIXTURE(KvFixture, "the same metadata say something new once another version is in use") {
  const auto told = [](const char* id, int version) {
    return R"({"request_id":")" + std::string(id) + R"(",)" + metadata(version).substr(1);
  };
  http->answer(kData, 200, kv2(1));
  for (const char* id : {"a", "b", "c"}) http->answer(kMetadata, 200, told(id, 1));
  http->answer(kMetadata, 200, told("d", 2));
  http->answer(kData, 200, kv2(2));
  for (const char* id : {"e", "f"}) http->answer(kMetadata, 200, told(id, 2));
  http->answer(kMetadata, 200, told("g", 1));  // taken back: a restored server
  http->answer(kData, 200, kv2(1));
  http->answer(kMetadata, 200, told("h", 1));
  start({kApp});
  const auto versions = [this](int rounds) {
    for (int i = 0; i < rounds; ++i) io.advance(10s, 1s);
    return std::pair(http->count(kData), status(kApp).kv_version);
  };
  CHECK(versions(3) == std::pair(1L, 1));
  CHECK(versions(1) == std::pair(2L, 2));
  CHECK(versions(2) == std::pair(2L, 2));
  CHECK(versions(1) == std::pair(3L, 1));
  CHECK(versions(3) == std::pair(3L, 1));
  CHECK(status(kApp).fetches.succeeded == 1 + 3 + 1 + 2 + 1 + 3);
}

TEST_CASE_FIXTURE(KvFixture, "a deleted version is looked at each time, as long as it is one") {
  http->answer(kData, 200, kv2(1));
  http->answer(kMetadata, 200, metadata(1, "2026-11-01T00:00:00Z"));
  start({kApp});
  for (int i = 0; i < 3; ++i) io.advance(10s, 1s);
  CHECK(http->count(kData) == 4);
}

}  // namespace
}  // namespace keybearer::secrets
