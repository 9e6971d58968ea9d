#include "state/sealed.hpp"

#include <doctest/doctest.h>

#include <set>

#include "crypto/aead.hpp"

namespace keybearer::state {
namespace {

const Binding kOurs{"app", {"https://a:8200", "https://b:8200"}, "team"};

struct Fixture {
  std::string key = random_bytes(32);
  std::string file = seal(key, kOurs, "canary-plaintext");

  Reason refused(std::string_view bytes, const Binding& binding = kOurs) const {
    const auto opened = unseal(key, binding, bytes);
    REQUIRE(!opened);
    CHECK(!opened.error().text.empty());
    return opened.error().reason;
  }
};

TEST_CASE_FIXTURE(Fixture, "what is sealed is opened, and nothing of it can be read") {
  REQUIRE(unseal(key, kOurs, file));
  CHECK(unseal(key, kOurs, file)->reveal() == "canary-plaintext");
  CHECK(file.find("canary") == std::string::npos);
  CHECK(file.find(key) == std::string::npos);
  CHECK(seal(key, kOurs, "canary-plaintext") != file);  // a salt, and so a key, of its own
}

TEST_CASE_FIXTURE(Fixture, "each cut is refused as truncated, each change as what it is") {
  for (std::size_t n = 0; n < file.size(); ++n)
    CHECK(refused(file.substr(0, n)) == Reason::truncated);
  std::set<Reason> reasons;
  for (std::size_t i = 0; i < file.size(); ++i) {
    for (const int bit : {1, 128}) {
      std::string changed = file;
      changed[i] = static_cast<char>(changed[i] ^ bit);
      reasons.insert(refused(changed));
    }
  }
  reasons.insert(refused(file + "x"));
  for (const Reason each : reasons)
    CHECK(std::set{Reason::not_a_state, Reason::truncated, Reason::older, Reason::newer,
                   Reason::other_key, Reason::tampered}
              .contains(each));
  CHECK(reasons.contains(Reason::tampered));
  CHECK(refused(file + "x") == Reason::tampered);
}

TEST_CASE_FIXTURE(Fixture, "other formats, other keys and other instances are told apart") {
  std::string newer = file;
  newer[9] = 2;
  CHECK(refused(newer) == Reason::newer);
  newer[9] = 0;
  CHECK(refused(newer) == Reason::older);
  CHECK(refused("hello, world: some other file") == Reason::not_a_state);
  CHECK(refused(seal(random_bytes(32), kOurs, "x")) == Reason::other_key);
  CHECK(refused(file, {"other", kOurs.addresses, "team"}) == Reason::foreign);
  CHECK(refused(file, {"app", {"https://c:8200"}, "team"}) == Reason::foreign);
  CHECK(refused(file, {"app", kOurs.addresses, ""}) == Reason::foreign);
  // Another address more, or one less, is the same server.
  CHECK(unseal(key, {"app", {"https://c:8200", "https://b:8200"}, "team"}, file));
}

TEST_CASE_FIXTURE(Fixture, "a counter is believed only as it was written") {
  const std::string counter = seal_counter(key, 7);
  CHECK(unseal_counter(key, counter) == 7);
  CHECK(!unseal_counter(random_bytes(32), counter));
  for (std::size_t i = 0; i < counter.size(); ++i) {
    std::string changed = counter;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    CHECK(!unseal_counter(key, changed));
    CHECK(!unseal_counter(key, counter.substr(0, i)));
  }
}

}  // namespace
}  // namespace keybearer::state
