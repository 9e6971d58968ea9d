// Secrets and directories with the names of the API's own parts (data, metadata, subkeys): their mount
// decides, and it is asked only where the server does not like the path as it stands (S7).

#include "fixture.hpp"

namespace keybearer::secrets {
namespace {

constexpr auto kWrongVersion =
    R"({"errors":[],"warnings":["Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use."]})";
constexpr auto kUnsupported = R"({"errors":["1 error occurred:\n\t* unsupported operation\n\n"]})";

tmpl::Dependency list(const std::string& path) {
  return {.kind = tmpl::Dependency::Kind::list, .path = path, .id = "vault.list(" + path + ")"};
}

struct Row {
  std::string written, mount, asked;
  int status;  // of the path as it is written, where that is not `asked`; 0: it is not asked for
  std::string body = {};
  bool is_list = false;
};

std::vector<Row> rows() {
  return {
      {"kv/data/app", "kv/", "kv/data/app", 0},
      {"kv/metadata", "kv/", "kv/data/metadata", 0},
      {"kv/subkeys", "kv/", "kv/data/subkeys", 0},
      {"kv/data", "kv/", "kv/data/data", 0},
      {"kv/data/data", "kv/", "kv/data/data", 0},
      {"kv/data/data/data", "kv/", "kv/data/data/data", 0},
      {"kv/team/data/app", "kv/", "kv/data/team/data/app", 404, kWrongVersion},
      {"kv/team/data/app", "kv/", "kv/data/team/data/app", 403, kDenied},
      {"kv/team/metadata/app", "kv/", "kv/data/team/metadata/app", 403, kDenied},
      {"team/data/kv/app", "team/data/kv/", "team/data/kv/data/app", 404, kWrongVersion},
      {"team/data/kv/data/app", "team/data/kv/", "team/data/kv/data/app", 0},
      {"data/kv/app", "data/kv/", "data/kv/data/app", 0},
      {"kv", "kv/", "kv/metadata/", 0, {}, true},
      {"kv/metadata", "kv/", "kv/metadata", 0, {}, true},
      {"kv/metadata/team", "kv/", "kv/metadata/team", 0, {}, true},
      {"kv/data", "kv/", "kv/metadata/data", 405, kUnsupported, true},
      {"kv/team/data", "kv/", "kv/metadata/team/data", 404, kWrongVersion, true},
      {"kv/team/metadata/x", "kv/", "kv/metadata/team/metadata/x", 403, kDenied, true},
  };
}

TEST_CASE("a mount that may not be asked for is looked for behind each of the first three parts") {
  struct Deep {
    std::string path;
    std::vector<std::string> asked;
  };
  for (const Deep& row :
       {Deep{"kv/app", {"kv/data/app"}}, Deep{"a/b/c", {"a/data/b/c", "a/b/data/c"}},
        Deep{"a/b/c/d/e/f", {"a/data/b/c/d/e/f", "a/b/data/c/d/e/f", "a/b/c/data/d/e/f"}}}) {
    CAPTURE(row.path);
    Fixture f;
    f.http->answer("GET /v1/sys/internal/ui/mounts/" + row.path, 403, kDenied);
    f.http->answer("GET /v1/" + row.path, 404, kWrongVersion);
    std::vector<std::string> wanted{"GET /v1/" + row.path};
    for (const std::string& path : row.asked) {
      f.http->answer("GET /v1/" + path, 403, kDenied);
      wanted.push_back("GET /v1/" + path);
    }
    f.start({read(row.path)});
    std::vector<std::string> seen;
    for (const auto& asked : f.http->asked)
      if (!asked.route.contains("/sys/")) seen.push_back(asked.route);
    CHECK(seen == wanted);
  }
}

TEST_CASE("each is found, with one look at its mount where the path does not tell") {
  for (const Row& row : rows()) {
    CAPTURE(row.written);
    CAPTURE(row.is_list);
    Fixture f;
    const auto route = [&row](const std::string& path) {
      return "GET /v1/" + path + (row.is_list ? "?list=true" : "");
    };
    const std::string good = route(row.asked), raw = route(row.written);
    const std::string probe = "GET /v1/sys/internal/ui/mounts/" + row.written;
    if (row.status != 0) f.http->answer(raw, row.status, row.body);
    f.http->answer(good, 200, row.is_list ? R"({"data":{"keys":["canary-1"]}})" : kv2(1));
    f.http->answer(probe, 200, mount(row.mount, "kv", R"({"version":"2"})"));
    const auto dependency = row.is_list ? list(row.written) : read(row.written);
    f.start({dependency});
    f.io.advance(50ms, 1ms);
    CHECK(f.status(dependency).state == State::fresh);
    CHECK(f.http->count(good) == 1);
    CHECK(f.http->count(raw) == (row.asked == row.written || row.status != 0 ? 1 : 0));
    CHECK(f.http->count(probe) <= 1);
    const auto asked = f.http->asked.size();
    f.secrets->refresh(dependency.id);
    f.io.advance(1s);
    CHECK(f.http->asked.size() == asked + 1);  // now it is known
  }
}

TEST_CASE("what is missing or denied where it says costs one look at the mount, and no more") {
  for (const int status : {403, 404}) {
    Fixture f;
    const auto dependency = read("team/kv/data/app");
    f.http->answer("GET /v1/team/kv/data/app", status, kDenied);
    f.http->answer("GET /v1/sys/internal/ui/mounts/team/kv/data/app", 200,
                   mount("team/kv/", "kv", R"({"version":"2"})"));
    f.start({dependency});
    f.io.advance(10s);
    CHECK(f.status(dependency).state != State::fresh);
    CHECK(f.http->count("GET /v1/sys/internal/ui/mounts/team/kv/data/app") == 1);
    CHECK(f.http->count("GET /v1/team/kv/data/app") >= 2);
  }
}

TEST_CASE("the version is compared where the mount has it, data/ in its own path or not") {
  Fixture f;
  f.config.template_config.static_secret_render_interval.every = 10s;
  const auto dependency = read("team/data/kv/data/app");
  f.http->answer("GET /v1/team/data/kv/data/app", 200, kv2(1));
  f.http->answer("GET /v1/team/data/kv/metadata/app", 200, metadata(1));
  f.http->answer("GET /v1/sys/internal/ui/mounts/team/data/kv/data/app", 200,
                 mount("team/data/kv/", "kv", R"({"version":"2"})"));
  f.start({dependency});
  f.io.advance(35s);
  CHECK(f.http->count("GET /v1/team/data/kv/data/app") == 1);
  CHECK(f.http->count("GET /v1/team/data/kv/metadata/app") >= 3);
}

}  // namespace
}  // namespace keybearer::secrets
