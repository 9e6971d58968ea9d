#include <doctest/doctest.h>

#include "crypto/digest.hpp"
#include "json/json.hpp"
#include "sample.hpp"
#include "serve/inspection.hpp"
#include "serve/page_assets.hpp"
#include "serve/prometheus.hpp"
#include "serve/status_html.hpp"

namespace keybearer::serve {
namespace {

std::string body_of(const http::ServerResponse& response) {
  return std::string(response.body.reveal());
}

http::ServerResponse get(const std::string& target, const Snapshot& snapshot = sample(),
                         const std::string& method = "GET") {
  auto answer = inspect({.snapshot = [&] { return snapshot; }, .metrics = [] { return true; }},
                        {.method = method, .target = target});
  REQUIRE(answer);
  return std::move(*answer);
}

TEST_CASE("the page is whole without its script") {
  const std::string page = status_html(sample());
  for (const char* part : {"<title>ready - app</title>", "database/creds/app", "kv/data/app",
                           "/srv/app.env", "0640", "https://vault:8200", ">40m</span>", ">812<",
                           "restart: DB changed", "v7", "<noscript><meta http-equiv=\"refresh\""}) {
    CAPTURE(part);
    CHECK(page.find(part) != std::string::npos);
  }
  CHECK(page.find("the-accessor") == std::string::npos);
  CHECK(page.find("the-lease-id") == std::string::npos);
}

TEST_CASE("nothing from outside is markup, in the page or in its script's data") {
  const std::string evil = "<script>alert(1)</script>\"'&\x01";
  Snapshot s = sample();
  s.instance.name = s.instance.mode = s.token.method = s.token.error = s.server.address =
      s.server.version = s.server.error = s.child->command = s.child->state = evil;
  for (auto& secret : s.secrets) {
    secret.path = secret.kind = secret.reason = secret.error = evil;
    secret.generation = 0;
  }
  s.files[0].path = s.files[0].error = evil;
  s.events[0].message = s.events[0].event = evil;
  const std::string page = status_html(s);
  CHECK(page.find("<script>alert") == std::string::npos);
  CHECK(page.find('\x01') == std::string::npos);
  // One script, ours.
  const auto script = page.find("<script>");
  CHECK(page.substr(script + 8, kPageScript.size()) == kPageScript);
  CHECK(page.find("<script", script + 8) == std::string::npos);
}

TEST_CASE("the security policy names just the style and the script of the page") {
  const auto answer = get("/");
  std::string policy;
  for (const auto& [name, value] : answer.headers)
    if (name == "Content-Security-Policy") policy = value;
  CHECK(policy.find("default-src 'none'") != std::string::npos);
  CHECK(policy.find("'sha256-" + sha256_base64(kPageScript) + "'") != std::string::npos);
  CHECK(policy.find("'sha256-" + sha256_base64(kPageStyle) + "'") != std::string::npos);
  CHECK(policy.find("unsafe") == std::string::npos);
  CHECK(sha256_base64("") == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

TEST_CASE("an ended lease, a missing secret, no child: the page says so") {
  Snapshot s = sample();
  s.secrets[0].lease_end = s.now - 1s;
  s.child.reset();
  const std::string page = status_html(s);
  CHECK(page.find("expired") != std::string::npos);
  CHECK(page.find("<title>not ready - app</title>") != std::string::npos);
  CHECK(page.find("its lease has ended") != std::string::npos);
  CHECK(page.find("id=\"child-section\" hidden") != std::string::npos);
}

TEST_CASE("paths, methods and types") {
  CHECK(get("/").content_type == "text/html; charset=utf-8");
  CHECK(get("/metrics").content_type == kMetricsType);
  CHECK(get("/metrics/").content_type == kMetricsType);
  CHECK(get("/?format=json").content_type == "application/json");
  CHECK(get("/", sample(), "HEAD").status == 200);
  CHECK(get("/livez", sample(), "POST").status == 405);
  CHECK_FALSE(inspect({}, {.method = "GET", .target = "/v1/kv/data/app"}));
  CHECK_FALSE(inspect({}, {.method = "GET", .target = "/livezz"}));
  const auto off = inspect({.snapshot = sample, .metrics = [] { return false; }},
                           {.method = "GET", .target = "/metrics"});
  REQUIRE(off);
  CHECK(off->status == 404);
}

TEST_CASE("the page's JSON has neither accessor nor a lease's id") {
  const std::string text = body_of(get("/?format=json"));
  CHECK(text.find("accessor") == std::string::npos);
  CHECK(text.find("the-lease-id") == std::string::npos);
  CHECK(json::parse(text));
}

TEST_CASE("Vault Agent's metrics path: JSON, or text when it is asked for") {
  CHECK(body_of(get("/agent/v1/metrics?format=prometheus")).starts_with("# HELP"));
  const auto parsed = json::parse(body_of(get("/agent/v1/metrics")));
  REQUIRE(parsed);
  CHECK(value_at(*parsed, "Gauges").size() > 5);
  CHECK(value_at(*parsed, "Counters").size() > 5);
  CHECK(text_at(value_at(*parsed, "Gauges").items().at(0), "Name") == "keybearer_build_info");
  CHECK(value_at(*parsed, "Samples").is_list());
}

}  // namespace
}  // namespace keybearer::serve
