#include "auth/aws/sources.hpp"

#include <doctest/doctest.h>

#include <map>

namespace keybearer::auth::aws {
namespace {

using Kind = Source::Kind;
using Variables = std::map<std::string, std::string>;

struct World {
  Variables variables;
  std::string credentials, config;
  std::string profile = {}, region = {};

  [[nodiscard]] Facts facts() const {
    return {.profile = profile,
            .region = region,
            .variable =
                [this](const std::string& name) {
                  const auto found = variables.find(name);
                  return found == variables.end() ? "" : found->second;
                },
            .credentials = SharedFile(credentials),
            .config = SharedFile(config),
            .credentials_path = "/users/u/.aws/credentials",
            .config_path = "/users/u/.aws/config"};
  }
  [[nodiscard]] result<Source> choose() const { return choose_source(facts()); }
  [[nodiscard]] std::string error() const {
    const auto source = choose();
    if (source) return "(found " + source->text + ")";
    CHECK(source.error().kind == ErrorKind::config);
    return source.error().text;
  }
};

const Variables kEnvironment = {{"AWS_ACCESS_KEY_ID", "AKIDENV"},
                                {"AWS_SECRET_ACCESS_KEY", "senv"}};
const Variables kWebIdentity = {{"AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token"},
                                {"AWS_ROLE_ARN", "arn:aws:iam::1:role/r"}};
const Variables kEcs = {{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1"}};
const Variables kPod = {
    {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"},
    {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/var/run/pod-token"}};
constexpr auto kFile = "[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key = sfile\n";

TEST_CASE("the order of the sources: all present, and each removed in turn") {
  World world{.variables = {}, .credentials = kFile, .config = {}};
  for (const auto& each : {kEnvironment, kWebIdentity, kEcs, kPod})
    world.variables.insert(each.begin(), each.end());
  const auto remove = [&world](const Variables& gone) {
    for (const auto& [name, value] : gone) world.variables.erase(name);
  };
  auto source = world.choose();
  REQUIRE(source);
  CHECK(source->kind == Kind::environment);
  CHECK(source->keys->access_key_id == "AKIDENV");

  remove(kEnvironment);
  source = world.choose();
  REQUIRE(source);
  CHECK(source->kind == Kind::profile);
  CHECK(source->keys->access_key_id == "AKIDFILE");
  CHECK(source->text == "profile \"default\" of /users/u/.aws/credentials");

  world.credentials.clear();
  source = world.choose();
  REQUIRE(source);
  CHECK(source->kind == Kind::web_identity);
  CHECK(source->token_file == "/var/run/token");
  CHECK(source->role_arn == "arn:aws:iam::1:role/r");
  CHECK(source->session_name == "keybearer");
  CHECK(source->url == "https://sts.amazonaws.com/");

  remove(kWebIdentity);
  source = world.choose();
  REQUIRE(source);
  CHECK(source->kind == Kind::container);
  CHECK(source->url == "http://169.254.170.2/v2/credentials/1");

  remove(kEcs);
  source = world.choose();
  REQUIRE(source);
  CHECK(source->kind == Kind::container);
  CHECK(source->url == "http://169.254.170.23/v1/credentials");
  CHECK(source->token_file == "/var/run/pod-token");

  remove(kPod);
  source = world.choose();
  REQUIRE(source);
  CHECK(source->kind == Kind::instance);
  CHECK(source->url == "http://169.254.169.254");

  world.variables["AWS_EC2_METADATA_DISABLED"] = "true";
  CHECK(world.error().contains("none found"));
}

TEST_CASE(
    "keys of the configuration come first, and a profile that is named there before the "
    "environment") {
  World world{.variables = kEnvironment,
              .credentials = std::string(kFile) +
                             "[vault]\naws_access_key_id=AKIDVAULT\naws_secret_access_key=x\naws_"
                             "session_token=t\naws_expiration=2026-11-29T12:00:00Z\n",
              .config = {}};
  world.profile = "vault";
  const auto named = world.choose();
  REQUIRE(named);
  CHECK(named->keys->access_key_id == "AKIDVAULT");
  CHECK(named->keys->session_token->reveal() == "t");
  CHECK(time_text(*named->keys->expires) == "2026-11-29T12:00:00Z");

  Facts facts = world.facts();
  facts.access_key = std::make_shared<Secret>("AKIDOWN");
  facts.secret_key = std::make_shared<Secret>("own");
  // Never mixed with what the environment has.
  const auto own = choose_source(facts);
  REQUIRE(own);
  CHECK(own->kind == Kind::configuration);
  CHECK(own->keys->access_key_id == "AKIDOWN");
  CHECK(own->keys->session_token == nullptr);
  facts.secret_key = nullptr;
  CHECK_FALSE(choose_source(facts));
}

TEST_CASE("variables of the environment: both names, a session token, the time of its end") {
  World world{.variables = {{"AWS_ACCESS_KEY", "A"},
                            {"AWS_SECRET_KEY", "S"},
                            {"AWS_SESSION_TOKEN", "T"},
                            {"AWS_CREDENTIAL_EXPIRATION", "2026-11-29T12:00:00Z"}},
              .credentials = {},
              .config = {}};
  const auto source = world.choose();
  REQUIRE(source);
  CHECK(source->keys->access_key_id == "A");
  CHECK(source->keys->secret_access_key->reveal() == "S");
  CHECK(source->keys->session_token->reveal() == "T");
  CHECK(source->keys->expires);
  world.variables.erase("AWS_SECRET_KEY");
  CHECK(world.error() ==
        "AWS credentials: AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not");
  world.variables = {{"AWS_SECRET_ACCESS_KEY", "S"}};
  CHECK(world.error() ==
        "AWS credentials: AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not");
}

TEST_CASE("what a profile may hold") {
  struct {
    const char* config;
    Kind kind;
    const char* says;  // an error, if it is one
  } const rows[] = {
      {"[profile p]\naws_access_key_id=A\naws_secret_access_key=S\n", Kind::profile, ""},
      {"[profile p]\naws_access_key_id=A\n", Kind::profile, "go together"},
      {"[profile p]\ncredential_process=/bin/x\n", Kind::profile, "credential_process is not run"},
      {"[profile p]\nrole_arn=arn\nsource_profile=q\n", Kind::profile,
       "role_arn with source_profile is not supported"},
      {"[profile p]\nrole_arn=arn\ncredential_source=Environment\n", Kind::profile,
       "role_arn with credential_source is not supported"},
      {"[profile p]\nrole_arn=arn\nweb_identity_token_file=/t\n", Kind::web_identity, ""},
      {"[profile p]\nsso_session=s\nsso_account_id=1\nsso_role_name=r\n[sso-session "
       "s]\nsso_region=eu-west-1\n",
       Kind::sso, ""},
      {"[profile "
       "p]\nsso_start_url=https://x.awsapps.com/"
       "start\nsso_region=eu-west-1\nsso_account_id=1\nsso_role_name=r\n",
       Kind::sso, ""},
      {"[profile p]\nsso_session=s\nsso_account_id=1\n", Kind::sso, "single sign-on needs"},
      {"[profile p]\nsso_session=s\nsso_account_id=1\nsso_role_name=r\n[sso-session "
       "s]\nsso_region=evil.com/\n",
       Kind::sso, "sso_region is no region"},
      {"[profile p]\nregion=eu-west-1\n", Kind::instance, ""},  // no credentials: the next source
      {"[p]\naws_access_key_id=A\n", Kind::profile, "there is no profile \"p\""},
  };
  for (const auto& [config, kind, says] : rows) {
    CAPTURE(config);
    World world{.variables = {{"AWS_PROFILE", "p"}, {"HOME", "/users/u"}},
                .credentials = {},
                .config = config};
    if (*says != '\0') {
      CHECK(world.error().contains(says));
      CHECK(world.error().contains("p\""));
    } else {
      const auto source = world.choose();
      REQUIRE(source);
      CHECK(source->kind == kind);
    }
  }
}

TEST_CASE("single sign-on: the session's file and the request for the role's credentials") {
  World world{.variables = {{"AWS_PROFILE", "p"}, {"HOME", "/users/u"}},
              .credentials = {},
              .config =
                  "[profile p]\nsso_session = corp\nsso_account_id = 123\nsso_role_name = a/b\n"
                  "[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://x\n"};
  auto source = world.choose();
  REQUIRE(source);
  // sha1("corp")
  CHECK(source->token_file ==
        "/users/u/.aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json");
  CHECK(source->url ==
        "https://portal.sso.eu-west-1.amazonaws.com/federation/"
        "credentials?role_name=a%2Fb&account_id=123");
  world.variables["AWS_ENDPOINT_URL_SSO"] = "http://127.0.0.1:9/";
  CHECK(world.choose()->url ==
        "http://127.0.0.1:9/federation/credentials?role_name=a%2Fb&account_id=123");
  world.variables["AWS_ENDPOINT_URL_SSO"] = "http://example.com";
  CHECK(world.error().contains("not https"));
}

TEST_CASE("web identity: where the role is asked for") {
  World world{.variables = kWebIdentity, .credentials = {}, .config = {}};
  world.variables["AWS_ROLE_SESSION_NAME"] = "pod-1";
  CHECK(world.choose()->session_name == "pod-1");
  const auto url = [&world] { return world.choose()->url; };
  world.config = "[default]\nregion = eu-south-1\n";
  CHECK(url() == "https://sts.eu-south-1.amazonaws.com/");
  world.variables["AWS_DEFAULT_REGION"] = "eu-west-1";
  CHECK(url() == "https://sts.eu-west-1.amazonaws.com/");
  world.variables["AWS_REGION"] = "cn-north-1";
  CHECK(url() == "https://sts.cn-north-1.amazonaws.com.cn/");
  world.region = "us-gov-west-1";
  CHECK(url() == "https://sts.us-gov-west-1.amazonaws.com/");
  world.region = "auto";
  CHECK(url() == "https://sts.cn-north-1.amazonaws.com.cn/");
  world.variables["AWS_REGION"] = "evil.example.com/";
  CHECK(url() == "https://sts.amazonaws.com/");
  world.variables["AWS_ENDPOINT_URL_STS"] = "http://127.0.0.1:1/";
  CHECK(url() == "http://127.0.0.1:1/");
  world.variables["AWS_ENDPOINT_URL_STS"] = "http://sts.example.com";
  CHECK(world.error().contains("in the clear"));
  world.variables.erase("AWS_ROLE_ARN");
  CHECK(world.error().contains("AWS_ROLE_ARN is not"));
}

TEST_CASE("a token of a container goes only where it may") {
  struct {
    const char* url;
    bool good;
  } const rows[] = {
      {"https://example.com/creds", true},
      {"http://127.0.0.1:8080/creds", true},
      {"http://localhost/creds", true},
      {"http://[::1]:1/creds", true},
      {"http://169.254.170.2/x", true},
      {"http://169.254.170.23/x?y=1", true},
      {"http://[fd00:ec2::23]/x", true},
      {"http://169.254.169.254/x", false},
      {"http://169.254.170.2.evil.com/x", false},
      {"http://example.com/creds", false},
      {"http://127.evil.example/x", false},
      {"ftp://127.0.0.1/", false},
      {"unix:///run/x", false},
      {"127.0.0.1", false},
      {"http://user@127.0.0.1/", false},
      {"http://127.0.0.1/a b", false},
  };
  for (const auto& [url, good] : rows) {
    CAPTURE(url);
    World world{.variables = {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", url}},
                .credentials = {},
                .config = {}};
    const auto source = world.choose();
    CHECK(source.has_value() == good);
    if (source) CHECK(source->url == url);
  }
  World relative{.variables = {{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@evil.com/"}},
                 .credentials = {},
                 .config = {}};
  CHECK(relative.error().contains("begins with /"));
  // A file wins, because it is replaced.
  World both{.variables = kPod, .credentials = {}, .config = {}};
  both.variables["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "static";
  CHECK(both.choose()->token == nullptr);
  both.variables.erase("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  CHECK(both.choose()->token->reveal() == "static");
}

TEST_CASE("the instance's metadata: its address") {
  World world{.variables = {}, .credentials = {}, .config = {}};
  world.variables["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"] = "IPv6";
  CHECK(world.choose()->url == "http://[fd00:ec2::254]");
  world.variables["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"] = "ipx";
  CHECK(world.error().contains("IPv4 or IPv6"));
  world.variables["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "http://127.0.0.1:1338/";
  CHECK(world.choose()->url == "http://127.0.0.1:1338");
  CHECK(world.choose()->v1_allowed);
  world.variables["AWS_EC2_METADATA_V1_DISABLED"] = "TRUE";
  CHECK_FALSE(world.choose()->v1_allowed);
  world.variables["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "nowhere";
  CHECK(world.error().contains("not an address"));
}

TEST_CASE("where a login is signed for") {
  World world{.variables = {{"AWS_REGION", "eu-west-1"}, {"AWS_DEFAULT_REGION", "eu-west-2"}},
              .credentials = {},
              .config = "[default]\nregion = eu-west-3\nuse_fips_endpoint = true\n"};
  const auto region = [&world] { return region_of(world.facts()).value(); };
  CHECK(region() == "");  // not asked for: the global one, whatever the environment says
  world.region = "ap-east-1";
  CHECK(region() == "ap-east-1");
  world.region = "auto";
  CHECK(region() == "eu-west-1");
  world.variables.erase("AWS_REGION");
  CHECK(region() == "eu-west-2");
  world.variables.erase("AWS_DEFAULT_REGION");
  CHECK(region() == "eu-west-3");
  CHECK(uses_fips(world.facts()));
  world.variables["AWS_USE_FIPS_ENDPOINT"] = "false";
  CHECK_FALSE(uses_fips(world.facts()));
  world.config.clear();
  CHECK(region() == std::nullopt);
  world.variables["AWS_EC2_METADATA_DISABLED"] = "true";
  CHECK_FALSE(region_of(world.facts()));
  world.variables["AWS_REGION"] = "evil.example.com#";
  CHECK_FALSE(region_of(world.facts()));
}

TEST_CASE("where the shared files are") {
  World world{.variables = {{"HOME", "/users/u"}}, .credentials = {}, .config = {}};
  const Variable variable = world.facts().variable;
  CHECK(credentials_path(variable) == "/users/u/.aws/credentials");
  CHECK(config_path(variable) == "/users/u/.aws/config");
  world.variables["AWS_SHARED_CREDENTIALS_FILE"] = "~/c";
  world.variables["AWS_CONFIG_FILE"] = "/etc/aws";
  CHECK(credentials_path(variable) == "/users/u/c");
  CHECK(config_path(variable) == "/etc/aws");
  world.variables = {};
  CHECK(credentials_path(variable) == "");
}

}  // namespace
}  // namespace keybearer::auth::aws
