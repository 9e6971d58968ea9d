// A certificate that is still good in its file is not issued again (S6): which is, and which is not.

#include "secrets/certificate_reuse.hpp"

#include <sys/stat.h>

#include "fixture.hpp"
#include "tmpl/funcs/pem_bundle.hpp"
#include "unit/http/certificates.hpp"

namespace keybearer::secrets {
namespace {

constexpr auto kIssuer = "GET /v1/pki/cert/ca";

std::string text_of(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

struct ReuseFixture : Fixture {
  test::Certificates all;
  std::optional<WatchContext> context;
  std::optional<WatchedSecret> secret;
  std::string path = "pki/issue/web";
  WallTime begin{}, end{};
  std::optional<vault::Reply> found;

  ReuseFixture() {
    all.add("web", {.names = "DNS:web", .until = 3600});
    all.add("other", {.names = "", .issuer = "", .is_authority = true});
    const auto bundle = tmpl::pem_bundle(pem("web") + key("web"),
                                         tmpl::certificate_request({{"common_name", "web"}}));
    REQUIRE(bundle);
    begin = bundle->not_before;
    end = bundle->not_after;
  }
  ~ReuseFixture() {
    secret.reset();
    context.reset();
  }
  [[nodiscard]] std::string pem(const std::string& name) const {
    return text_of(all.path(name + ".pem"));
  }
  [[nodiscard]] std::string key(const std::string& name) const {
    return text_of(all.path(name + ".key"));
  }
  std::string file(const std::string& name, const std::string& text) {
    std::ofstream(directory + "/" + name) << text;
    return directory + "/" + name;
  }
  static boost::asio::awaitable<void> look(ReuseFixture& f, WallTime now) {
    f.found = co_await reusable_certificate(*f.context, *f.secret, now);
  }
  // With what stands in the files, at that time.
  bool kept(const std::vector<std::string>& files, WallTime now,
            std::vector<std::pair<std::string, std::string>> args = {{"common_name", "web"}}) {
    revocations.emplace(io.context.get_executor(), client, [](const std::string&) {});
    context.emplace(io.context.get_executor(), client, *revocations, settings_of(config, false),
                    random, Callbacks{});
    tmpl::Dependency dependency{
        .kind = tmpl::Dependency::Kind::pki, .path = path, .args = std::move(args), .id = "x"};
    config::SecretRule rule;
    rule.lease.refetch_at = 0.5;
    secret.emplace(dependency, rule, config::Retry{}, 0.0);
    secret->destinations = files;
    group.spawn(look(*this, now));
    io.run();
    return found.has_value();
  }
  bool kept(const std::vector<std::string>& files) { return kept(files, begin); }
};

TEST_CASE_FIXTURE(ReuseFixture, "a certificate and its key may stand in one file or in two") {
  const std::string both = file("both", pem("web") + key("web") + pem("ca"));
  const std::string cert = file("cert", pem("web")), pair = file("key", key("web"));
  http->answer(kIssuer, 403, kDenied);
  CHECK(kept({both}));
  CHECK(kept({cert, pair}));
  CHECK_FALSE(kept({}));
  CHECK_FALSE(kept({cert}));
  CHECK_FALSE(kept({pair}));
  CHECK_FALSE(kept({directory + "/none"}));
  CHECK_FALSE(kept({directory}));
  CHECK_FALSE(kept({file("empty", "")}));
  CHECK_FALSE(kept({both}, begin, {{"common_name", "another"}}));
  const std::string pipe = directory + "/pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_FALSE(kept({pipe}));
  CHECK(kept({pipe, directory, both}));
}

TEST_CASE_FIXTURE(ReuseFixture, "a kept certificate is as if the server had answered it") {
  http->answer(kIssuer, 403, kDenied);
  REQUIRE(kept({file("both", pem("ca") + pem("web") + key("web"))}));
  const Value& data = value_at(found->body, "data");
  CHECK(text_at(data, "certificate") == pem("web"));
  CHECK(text_at(data, "private_key") == key("web"));
  CHECK(text_at(data, "issuing_ca") == pem("ca"));
  REQUIRE(value_at(data, "ca_chain").size() == 1);
  CHECK(value_at(data, "ca_chain").items()[0].as_text() == pem("ca"));
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(end.time_since_epoch()).count();
  CHECK(value_at(data, "expiration").as_text() == std::to_string(seconds));
  CHECK(found->asked == Clock::now());
}

TEST_CASE_FIXTURE(ReuseFixture, "a certificate is kept until refetch_at of its life is over") {
  http->answer(kIssuer, 403, kDenied);
  const std::string both = file("both", pem("web") + key("web"));
  const auto half = (end - begin) / 2;
  CHECK_FALSE(kept({both}, begin - 1ms));
  CHECK(kept({both}, begin));
  CHECK(kept({both}, begin + half - 1ms));
  CHECK_FALSE(kept({both}, begin + half));
  CHECK_FALSE(kept({both}, end + 1h));
}

TEST_CASE_FIXTURE(ReuseFixture, "only a megabyte of a file is looked at") {
  http->answer(kIssuer, 403, kDenied);
  const std::string both = "\n" + pem("web") + key("web");
  CHECK(kept({file("a", std::string((1 << 20) - 16384, 'x') + both)}));
  CHECK_FALSE(kept({file("b", std::string(1 << 20, 'x') + both)}));
  CHECK(kept({file("c", std::string(1 << 20, 'x')), file("d", both)}));
}

TEST_CASE_FIXTURE(ReuseFixture, "its issuer is the one that the server has now") {
  const auto says = [&](const std::string& name) {
    std::string text;
    for (const char c : pem(name)) text += c == '\n' ? "\\n" : std::string(1, c);
    http->reset(kIssuer);
    http->answer(kIssuer, 200, R"({"data":{"certificate":")" + text + "\"}}");
  };
  const std::string alone = file("alone", pem("web") + key("web"));
  const std::string beside = file("beside", pem("web") + key("web") + pem("ca"));
  const std::string wrong = file("wrong", pem("web") + key("web") + pem("other"));
  CHECK_FALSE(kept({wrong}));
  CHECK(http->count(kIssuer) == 0);
  for (const bool same : {true, false}) {
    for (const std::string& path_of : {alone, beside}) {
      says(same ? "ca" : "other");
      CHECK(kept({path_of}) == same);
    }
  }
  CHECK(http->count(kIssuer) == 4);
  http->reset(kIssuer);
  http->answer(kIssuer, 403, kDenied);  // then what stands beside it decides
  CHECK(kept({alone}));
  CHECK(kept({beside}));
  path = "elsewhere";  // whose issuer can't be asked for
  CHECK(kept({alone}));
  CHECK(kept({beside}));
  CHECK_FALSE(kept({wrong}));
  CHECK(http->asked.size() == 6);
  path = "pki/issue/web";
  http->answer("GET /v1/pki/issuer/two/json", 403, kDenied);
  CHECK(kept({alone}, begin, {{"common_name", "web"}, {"issuer_ref", "two"}}));
  CHECK(http->count("GET /v1/pki/issuer/two/json") == 1);
}

TEST_CASE_FIXTURE(ReuseFixture, "a kept certificate is issued again when somebody asks for it") {
  constexpr auto kIssue = "PUT /v1/pki/issue/web";
  const auto wall = static_cast<long>(std::chrono::system_clock::to_time_t(wall_now()));
  const long offset = wall - static_cast<long>(time(nullptr));
  all.add("now",
          {.names = "DNS:web", .common_name = "web", .from = offset - 60, .until = offset + 3600});
  const tmpl::Dependency dependency{.kind = tmpl::Dependency::Kind::pki,
                                    .path = path,
                                    .args = {{"common_name", "web"}},
                                    .destination = file("now", pem("now") + key("now")),
                                    .id = "x"};
  http->answer(kIssuer, 403, kDenied);
  http->answer(kIssue, 200, R"({"data":{"certificate":"PEM","private_key":"KEY"}})");
  start({dependency});
  CHECK(has_value(dependency));
  CHECK(http->count(kIssue) == 0);
  io.advance(1s);
  secrets->refresh(dependency.id);
  io.run();
  CHECK(http->count(kIssue) == 1);
}

TEST_CASE("where an issuer is read") {
  const struct {
    std::string path, issuer, read;
  } rows[] = {
      {"pki/issue/web", "", "pki/cert/ca"},
      {"pki/issue/web", "two", "pki/issuer/two/json"},
      {"a/pki/sign/web", "", "a/pki/cert/ca"},
      {"pki/sign-verbatim", "", "pki/cert/ca"},
      {"pki/sign-verbatim/web", "two", "pki/issuer/two/json"},
      {"pki/issuer/two/sign/web", "", "pki/issuer/two/json"},
      {"pki/issuer/two/issue/web", "three", "pki/issuer/two/json"},
      {"pki/issuer/two", "", ""},
      {"pki/roles/web", "", ""},
      {"", "", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.path);
    CHECK(issuer_path(row.path, row.issuer) == row.read);
  }
}

}  // namespace
}  // namespace keybearer::secrets
