// Another spelling of a secret is found by its path: how many are looked at does not grow with their number.

#include "fixture.hpp"
#include "secrets/watched_secret.hpp"

namespace keybearer::secrets {
namespace {

struct ByPath : Fixture {
  lease::Revocations revoker{io.context.get_executor(), client, [](const std::string&) {}};
  WatchContext context{io.context.get_executor(),  client, revoker,
                       settings_of(config, false), random, Callbacks{}};

  std::shared_ptr<WatchedSecret> add(const std::string& path) {
    auto secret =
        std::make_shared<WatchedSecret>(read(path), config::SecretRule{}, config.vault.retry, 0.5);
    secret->data_path = path;
    context.secrets.emplace(secret->status.id, secret);
    list_by_path(context, secret);
    return secret;
  }
};

TEST_CASE_FIXTURE(ByPath, "the search for a twin looks only at those of its path") {
  std::size_t added = 0;
  for (const std::size_t all : {1000u, 4000u}) {
    std::size_t looked_at = 0;
    for (; added < all; ++added) {
      const auto secret = add("kv/data/n" + std::to_string(added));
      CHECK(twin_of(context, *secret) == nullptr);
    }
    for (const auto& [id, secret] : context.secrets)
      looked_at += context.by_path.count(secret->data_path);
    CHECK(looked_at == all);
  }
}

TEST_CASE_FIXTURE(ByPath,
                  "a secret is found by the path that it has now, and not once it is let go") {
  const auto plain = add("kv/app");
  const auto other = add("kv/data/app");
  CHECK(twin_of(context, *plain) == nullptr);
  plain->data_path = "kv/data/app";  // as its mount has told
  list_by_path(context, plain);
  CHECK(twin_of(context, *plain) == other);
  CHECK(twin_of(context, *other) == plain);
  CHECK(context.by_path.count("kv/app") == 0);
  plain->dropped = true;
  unlist(context, *plain);
  list_by_path(context, plain);
  CHECK(twin_of(context, *other) == nullptr);
  CHECK(context.by_path.size() == 1);
}

}  // namespace
}  // namespace keybearer::secrets
