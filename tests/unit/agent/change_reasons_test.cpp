#include "agent/change_reasons.hpp"

#include <doctest/doctest.h>

namespace keybearer {
namespace {

TEST_CASE("reasons: of each path once, of what is newer than what was told") {
  std::map<std::string, secrets::Status> all;
  const auto add = [&](const std::string& id, const std::string& path, const std::string& why,
                       std::uint64_t generation, int version) {
    secrets::Status& status = all[id];
    status.path = path;
    status.why = why;
    status.generation = generation;
    status.kv_version = version;
  };
  add("a", "kv/a", "rotated", 2, 0);
  add("b", "kv/b", "", 1, 7);
  add("c", "kv/c", "version 1 -> 2", 3, 2);
  add("a2", "kv/a", "rotated", 5, 0);
  const StatusOf status_of = [&](const std::string& id) {
    const auto at = all.find(id);
    return at == all.end() ? nullptr : &at->second;
  };
  const auto text = [&](const std::vector<std::string>& ids, const LoggedGenerations& logged) {
    return change_reasons(ids, status_of, logged);
  };
  CHECK(text({}, {}).empty());
  CHECK(text({"none"}, {}).empty());
  CHECK(text({"a"}, {}) == "kv/a: rotated");
  CHECK(text({"b"}, {}) == "kv/b, version 7");
  CHECK(text({"c"}, {}) == "kv/c: version 1 -> 2, version 2");
  CHECK(text({"c"}, {{"c", 2}}) == "kv/c: version 1 -> 2");
  CHECK(text({"c"}, {{"c", 3}}).empty());
  CHECK(text({"none", "c", "a", "a2"}, {{"c", 1}}) == "kv/a: rotated; kv/c: version 1 -> 2");
}

}  // namespace
}  // namespace keybearer
