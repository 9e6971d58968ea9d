#include "auth/aws/provider.hpp"

#include <doctest/doctest.h>

#include "support/fake_cloud.hpp"
#include "unit/auth/fixture.hpp"

// Rules: T10 (untried belongs to the content); AWS's refresh windows.
namespace keybearer::auth::aws {
namespace {

constexpr auto kToken = "PUT http://169.254.169.254:80/latest/api/token";
constexpr auto kRoles = "GET http://169.254.169.254:80/latest/meta-data/iam/security-credentials/";
constexpr auto kRole =
    "GET http://169.254.169.254:80/latest/meta-data/iam/security-credentials/app";
constexpr auto kRegion = "GET http://169.254.169.254:80/latest/meta-data/placement/region";
constexpr auto kPod = "GET http://169.254.170.23:80/v1/credentials";
constexpr auto kSts = "POST https://sts.amazonaws.com:443/";

struct World {
  test::Io io;
  TempDirectory directory;
  test::FakeCloud cloud;
  config::Method method;
  std::optional<CredentialProvider> provider;

  World() {
    REQUIRE(log::open({.level = log::Level::debug, .file = directory / "log", .name = {}}));
    method.type = "aws";
    cloud.variables["HOME"] = directory / "home";
  }
  ~World() {
    CHECK_FALSE(log_text().contains("canary"));
    REQUIRE(log::open({}));
  }
  [[nodiscard]] std::string log_text() const {
    std::stringstream text;
    text << std::ifstream(directory / "log").rdbuf();
    return text.str();
  }
  [[nodiscard]] std::string set(const std::string& name, Duration life) const {
    return R"({"AccessKeyId":")" + name + R"(","SecretAccessKey":"canary-s","Token":"canary-t-)" +
           name + R"(","Expiration":")" +
           time_text(cloud.wall + (Clock::now() - cloud.began) + life) + "\"}";
  }
  void on_instance() {
    cloud.http.answer(kToken, 200, "imds-token");
    cloud.http.answer(kRoles, 200, "app\n");
  }
  template <class T>
  static boost::asio::awaitable<void> into(boost::asio::awaitable<T> task, std::optional<T>& out) {
    auto value = co_await std::move(task);
    out.emplace(std::move(value));
  }
  template <class T>
  T run(boost::asio::awaitable<T> task) {
    std::optional<T> out;
    io.start_task(into(std::move(task), out));
    for (int turn = 0; turn < 200 && !out; ++turn) {
      io.run();
      if (!out) io.advance(100ms);
    }
    REQUIRE(out);
    return std::move(*out);
  }
  result<ContentId> look() {
    if (!provider) provider.emplace(method, cloud.parts());
    return provider->look();
  }
  // The access key that a login would use, or the error.
  std::string ask() {
    if (const auto seen = look(); !seen) return seen.error().text;
    auto keys = run(provider->keys());
    return keys ? (*keys)->access_key_id : keys.error().text;
  }
  [[nodiscard]] std::string header(const std::string& route, const std::string& name) const {
    std::string value = "(none)";
    for (const auto& each : cloud.http.asked) {
      if (each.route != route) continue;
      value = "(none)";
      for (const auto& [key, text] : each.headers)
        if (key == name) value = text;
    }
    return value;
  }
};

TEST_CASE("the instance's role: a token first, then the role's name, then its credentials") {
  World world;
  world.on_instance();
  world.cloud.http.answer(kRole, 200, world.set("ASIA1", 6h));
  CHECK(world.ask() == "ASIA1");
  CHECK(world.header(kToken, "x-aws-ec2-metadata-token-ttl-seconds") == "21600");
  CHECK(world.header(kRoles, "x-aws-ec2-metadata-token") == "imds-token");
  CHECK(world.header(kRole, "x-aws-ec2-metadata-token") == "imds-token");
  // Kept: nothing is asked again.
  CHECK(world.ask() == "ASIA1");
  CHECK(world.cloud.http.asked.size() == 3);
  // Refused by the server: asked again, with the same token.
  world.provider->forget();
  CHECK(world.ask() == "ASIA1");
  CHECK(world.cloud.http.count(kToken) == 1);
  CHECK(world.cloud.http.count(kRole) == 2);
}

TEST_CASE("a token of the instance that has expired (401), or is about to, is fetched again") {
  World world;
  world.cloud.http.answer(kToken, 200, "first");
  world.cloud.http.answer(kToken, 200, "second");
  world.cloud.http.answer(kRoles, 200, "app");
  world.cloud.http.answer(kRoles, 401, "");
  world.cloud.http.answer(kRoles, 200, "app");
  world.cloud.http.answer(kRole, [&world](const auto&) -> result<test::FakeHttp::Reply> {
    return test::FakeHttp::Reply{.status = 200, .body = world.set("ASIA1", 6h)};
  });
  CHECK(world.ask() == "ASIA1");
  world.provider->forget();
  CHECK(world.ask() == "ASIA1");
  CHECK(world.cloud.http.count(kToken) == 2);
  CHECK(world.header(kRole, "x-aws-ec2-metadata-token") == "second");
  world.io.advance(6h, 1min);
  CHECK(world.ask() == "ASIA1");
  CHECK(world.cloud.http.count(kToken) == 3);
}

TEST_CASE("an instance that never takes its token is an error, and no endless round") {
  World world;
  world.cloud.http.answer(kToken, 200, "t");
  world.cloud.http.answer(kRoles, 401, "");
  CHECK(world.ask().contains("does not take its own token"));
  CHECK(world.cloud.http.asked.size() == 4);
}

TEST_CASE("without an answer to the token's request: version 1, where that is allowed") {
  World world;
  SUBCASE("an old service") {
    world.cloud.http.answer(kToken, 404, "");
  }
  SUBCASE("a hop limit that drops the answer") {
    world.cloud.http.fail(kToken, ErrorKind::timeout);
  }
  world.cloud.http.answer(kRoles, 200, "app");
  world.cloud.http.answer(kRole, 200, world.set("ASIA1", 6h));
  SUBCASE("allowed") {
    CHECK(world.ask() == "ASIA1");
    CHECK(world.header(kRoles, "x-aws-ec2-metadata-token") == "(none)");
  }
  SUBCASE("switched off") {
    world.cloud.variables["AWS_EC2_METADATA_V1_DISABLED"] = "true";
    CHECK(world.ask().contains("AWS instance metadata"));
    CHECK(world.cloud.http.count(kRoles) == 0);
  }
}

TEST_CASE("what instance metadata can't give says why") {
  struct {
    int status;
    const char* roles;
    const char* says;
  } const rows[] = {
      {404, "", "does the instance have a role"},
      {403, "", "403"},
      {200, "", "the name of no role"},
      {200, "a b", "the name of no role"},
      {500, "", "500"},
  };
  for (const auto& [status, roles, says] : rows) {
    World world;
    world.cloud.http.answer(kToken, 200, "t");
    world.cloud.http.answer(kRoles, status, roles);
    CHECK(world.ask().contains(says));
  }
  World nowhere;
  nowhere.cloud.http.fail(kToken, ErrorKind::network, "connection refused");
  CHECK(nowhere.ask().contains("this is no EC2 instance"));
  World hop;
  hop.cloud.http.fail(kToken, ErrorKind::timeout, "no answer");
  hop.cloud.http.answer(kRoles, 401, "");
  CHECK(hop.ask().contains("http-put-response-hop-limit"));
}

TEST_CASE("a role's name can't lead elsewhere") {
  World world;
  world.cloud.http.answer(kToken, 200, "t");
  world.cloud.http.answer(kRoles, 200, "../../user-data?x#y");
  CHECK(world.ask().contains("404"));
  CHECK(world.cloud.http.asked.back().route == std::string(kRoles) + "..%2F..%2Fuser-data%3Fx%23y");
}

TEST_CASE("the token of a pod is read at each fetch") {
  World world;
  world.cloud.variables = {
      {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"},
      {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", world.directory.write("token", "canary-one\n")}};
  world.cloud.http.answer(kPod, 200, world.set("ASIA1", 6h));
  world.cloud.http.answer(kPod, 200, world.set("ASIA2", 6h));
  const auto first = world.look();
  CHECK(world.ask() == "ASIA1");
  CHECK(world.header(kPod, "Authorization") == "canary-one");
  world.directory.write("token", "canary-two");
  // Another content: a login is news, and what was made from the old one is not used any more.
  CHECK(world.look().value() != first.value());
  CHECK(world.ask() == "ASIA2");
  CHECK(world.header(kPod, "Authorization") == "canary-two");
  CHECK(world.ask() == "ASIA2");
  CHECK(world.cloud.http.asked.size() == 2);
}

TEST_CASE("a pod's token with a line break in it, and a file that is not there") {
  World world;
  world.cloud.variables = {
      {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"},
      {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", world.directory / "token"}};
  CHECK(world.ask().contains(world.directory / "token"));
  world.directory.write("token", "one\r\nX-Evil: 1");
  CHECK(world.ask().contains("line breaks"));
  CHECK(world.cloud.http.asked.empty());
  world.directory.write("token", "good");
  world.cloud.http.answer(kPod, 200, world.set("ASIA1", 6h));
  CHECK(world.ask() == "ASIA1");
}

TEST_CASE("a pod without an association, a task without a role") {
  World pod;
  pod.cloud.variables = {
      {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"},
      {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", pod.directory.write("token", "x")}};
  pod.cloud.http.answer(kPod, 404, R"({"code":"ResourceNotFoundException","message":"none"})");
  CHECK(pod.ask().contains("404 ResourceNotFoundException: none; does a pod identity association"));
  World task;
  task.cloud.variables = {{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x"}};
  task.cloud.http.answer("GET http://169.254.170.2:80/v2/credentials/x", 400, "");
  CHECK(task.ask().contains("does the task have a role?"));
}

TEST_CASE("web identity: the role is assumed with what the file holds now") {
  World world;
  world.cloud.variables = {
      {"AWS_WEB_IDENTITY_TOKEN_FILE", world.directory.write("jwt", "canary.jwt.one")},
      {"AWS_ROLE_ARN", "arn:aws:iam::1:role/a b"}};
  const auto reply = [&world](const std::string& id) {
    return "<R><Credentials><AccessKeyId>" + id +
           "</AccessKeyId><SecretAccessKey>canary-s</SecretAccessKey><SessionToken>canary-t"
           "</SessionToken><Expiration>" +
           time_text(world.cloud.wall + 1h) + "</Expiration></Credentials></R>";
  };
  world.cloud.http.answer(kSts, 200, reply("ASIA1"));
  world.cloud.http.answer(kSts, 200, reply("ASIA2"));
  CHECK(world.ask() == "ASIA1");
  CHECK(world.cloud.http.asked[0].body ==
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole"
        "%2Fa%20b&RoleSessionName=keybearer&WebIdentityToken=canary.jwt.one");
  CHECK(world.header(kSts, "Content-Type") == "application/x-www-form-urlencoded");
  CHECK(world.cloud.options.at("https://sts.amazonaws.com:443").timeout == 10s);
  world.directory.write("jwt", "canary.jwt.two");
  CHECK(world.ask() == "ASIA2");
  CHECK(world.cloud.http.asked[1].body.ends_with("=canary.jwt.two"));
}

TEST_CASE("web identity: what STS refuses says what to do") {
  struct {
    const char* code;
    const char* says;
  } const rows[] = {{"ExpiredTokenException", "has expired"},
                    {"AccessDenied", "trust policy"},
                    {"InvalidIdentityToken", "identity provider"},
                    {"Other", "Other"}};
  for (const auto& [code, says] : rows) {
    World world;
    world.cloud.variables = {{"AWS_WEB_IDENTITY_TOKEN_FILE", world.directory.write("jwt", "x.y.z")},
                             {"AWS_ROLE_ARN", "arn"}};
    world.cloud.http.answer(
        kSts, 400,
        "<E><Error><Code>" + std::string(code) + "</Code><Message>m</Message></Error></E>");
    CHECK(world.ask().contains(says));
  }
}

TEST_CASE(
    "single sign-on: the session's token asks for the role's credentials, until it has ended") {
  World world;
  std::filesystem::create_directories(world.directory / "home/.aws/sso/cache");
  world.directory.write("home/.aws/config",
                        "[profile p]\nsso_session=corp\nsso_account_id=1\nsso_role_name=r\n"
                        "[sso-session corp]\nsso_region=eu-west-1\n");
  world.method.set("profile", std::string("p"));
  const std::string cache =
      "home/.aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";  // sha1 of "corp"
  constexpr auto kPortal =
      "GET https://portal.sso.eu-west-1.amazonaws.com:443/federation/"
      "credentials?role_name=r&account_id=1";
  CHECK(world.ask().contains(world.directory / cache));
  CHECK(world.ask().contains("run aws sso login"));
  world.directory.write(cache, R"({"accessToken":"canary-sso","expiresAt":")" +
                                   time_text(world.cloud.wall - 1h) + "\"}");
  CHECK(world.ask().contains("run aws sso login"));
  CHECK(world.cloud.http.asked.empty());
  world.directory.write(cache, R"({"accessToken":"canary-sso","expiresAt":")" +
                                   time_text(world.cloud.wall + 8h) + "\"}");
  world.cloud.http.answer(kPortal, 200,
                          R"({"roleCredentials":{"accessKeyId":"ASIA1","secretAccessKey":"s",)"
                          R"("sessionToken":"t","expiration":4102444800000}})");
  CHECK(world.ask() == "ASIA1");
  CHECK(world.header(kPortal, "x-amz-sso_bearer_token") == "canary-sso");
  world.cloud.http.reset(kPortal);
  world.cloud.http.answer(kPortal, 401, R"({"message":"Session token not found or invalid"})");
  world.provider->forget();
  CHECK(world.ask().contains("run aws sso login"));
}

TEST_CASE("the shared file is read again when it has changed") {
  World world;
  const auto write = [&world](const std::string& id) {
    world.cloud.variables["AWS_SHARED_CREDENTIALS_FILE"] = world.directory.write(
        "credentials", "[default]\naws_access_key_id=" + id + "\naws_secret_access_key=canary-s\n");
  };
  write("AKID1");
  CHECK(world.ask() == "AKID1");
  const auto first = world.look().value();
  write("AKID2");
  CHECK(world.look().value() != first);
  CHECK(world.ask() == "AKID2");
  write("AKID1");
  CHECK(world.look().value() == first);
  // What was in it stays in force when it is gone for a while.
  std::filesystem::remove(world.directory / "credentials");
  CHECK(world.look().value() == first);
  CHECK(world.ask() == "AKID1");
}

TEST_CASE("credentials are fetched again before they end, and used to their end when that fails") {
  World world;
  world.on_instance();
  world.cloud.http.answer(kRole, 200, world.set("ASIA1", 60min));
  CHECK(world.ask() == "ASIA1");
  world.io.advance(44min, 1min);
  CHECK(world.ask() == "ASIA1");
  CHECK(world.cloud.http.count(kRole) == 1);
  SUBCASE("the next set") {
    world.cloud.http.reset(kRole);
    world.cloud.http.answer(kRole, 200, world.set("ASIA2", 6h));
    world.io.advance(1min, 1min);
    CHECK(world.ask() == "ASIA2");
  }
  SUBCASE("the service is away") {
    world.cloud.http.reset(kRoles);
    world.cloud.http.fail(kRoles, ErrorKind::network, "connection refused");
    world.io.advance(1min, 1min);
    CHECK(world.ask() == "ASIA1");
    CHECK(world.log_text().contains("serve to their end"));
    world.io.advance(14min, 1min);
    CHECK(world.ask() == "ASIA1");
    world.io.advance(1min, 1min);
    CHECK(world.ask().contains("connection refused"));
  }
  SUBCASE("the service answers no") {
    world.cloud.http.reset(kRoles);
    world.cloud.http.answer(kRoles, 404, "");
    world.io.advance(1min, 1min);
    CHECK(world.ask().contains("does the instance have a role"));
  }
}

TEST_CASE("in a storm of logins no set is used that has ended, whatever the service does") {
  World world;
  world.on_instance();
  WallTime ends = world.cloud.wall;  // of the set that the service hands out
  int asked = 0;
  world.cloud.http.answer(kRole, [&](const auto&) -> result<test::FakeHttp::Reply> {
    const auto now = world.cloud.wall + (Clock::now() - world.cloud.began);
    if (++asked % 7 == 3) return std::unexpected(Error{ErrorKind::network, "away"});
    if (now >= ends) ends = now + (asked % 5 == 0 ? -1min : 20min);  // sometimes one that has ended
    return test::FakeHttp::Reply{
        .status = 200, .body = world.set("ASIA", std::chrono::duration_cast<Duration>(ends - now))};
  });
  int used = 0;
  for (int second = 0; second < 3 * 3600; second += 5) {
    world.io.advance(5s, 5s);
    REQUIRE(world.look());
    const auto keys = world.run(world.provider->keys());
    if (!keys) continue;
    ++used;
    const auto now = world.cloud.wall + (Clock::now() - world.cloud.began);
    REQUIRE(*(*keys)->expires > now);
  }
  CHECK(used > 1000);
}

TEST_CASE("sets that have ended already: never used, whoever hands them out") {
  World instance;
  instance.on_instance();
  instance.cloud.http.answer(kRole, 200, instance.set("ASIA1", -1min));
  CHECK(instance.ask().contains("of the instance's role ended at"));
  World file;
  file.cloud.variables["AWS_SHARED_CREDENTIALS_FILE"] = file.directory.write(
      "credentials",
      "[default]\naws_access_key_id=A\naws_secret_access_key=S\naws_session_token=T\n"
      "aws_expiration=2020-01-01T00:00:00Z\n");
  CHECK(file.ask().contains("ended at 2020-01-01T00:00:00Z"));
}

TEST_CASE("the region of a login: of the configuration, or of the instance, asked once") {
  World world;
  world.on_instance();
  const auto endpoint = [&world] {
    if (!world.provider) world.provider.emplace(world.method, world.cloud.parts());
    const auto sts = world.run(world.provider->endpoint());
    return sts ? sts->host : sts.error().text;
  };
  SUBCASE("none") {
    CHECK(endpoint() == "sts.amazonaws.com");
  }
  SUBCASE("given") {
    world.method.set("region", std::string("cn-north-1"));
    CHECK(endpoint() == "sts.cn-north-1.amazonaws.com.cn");
  }
  SUBCASE("auto") {
    world.method.set("region", std::string("auto"));
    world.cloud.http.answer(kRegion, 200, "eu-west-1");
    CHECK(endpoint() == "sts.eu-west-1.amazonaws.com");
    CHECK(endpoint() == "sts.eu-west-1.amazonaws.com");
    CHECK(world.cloud.http.count(kRegion) == 1);
  }
  SUBCASE("auto, with something that is none") {
    world.method.set("region", std::string("auto"));
    world.cloud.http.answer(kRegion, 200, "evil.example.com/");
    CHECK(endpoint().contains("its region is none"));
  }
}

}  // namespace
}  // namespace keybearer::auth::aws
