#include "fixture.hpp"

// A thousand secrets of all kinds for a day: what is asked for, and what is not.
namespace keybearer {
namespace {

constexpr int kKv = 700, kRenewable = 150, kFinite = 150;  // leases that can't be renewed
constexpr int kInTemplate = 50;

std::string number_of(int n) {
  return std::to_string(n);
}

// A template reads fifty of them.
std::string templates_of(int count, const std::string& path, const std::string& field) {
  std::string text;
  for (int first = 0; first < count; first += kInTemplate) {
    text += "[[template]]\ndestination = \"%D/" + field + number_of(first) + "\"\ncontents = '''";
    for (int n = first; n < first + kInTemplate; ++n)
      text +=
          "{{ with secret \"" + path + number_of(n) + "\" }}{{ .Data." + field + " }}\n{{ end }}";
    text += "'''\n";
  }
  return text;
}

struct Thousand : AgentFixture {
  Thousand() {
    server->token_ttl = 2h;
    for (int n = 0; n < kKv; ++n)
      server->kv["kv/n" + number_of(n)] = {1, R"({"key":"canary-)" + number_of(n) + "\"}"};
    for (int n = 0; n < kRenewable; ++n)
      server->roles["database/creds/renewed" + number_of(n)] = {.ttl = 1h, .max_ttl = 10h};
    for (int n = 0; n < kFinite; ++n)
      server->roles["database/creds/finite" + number_of(n)] = {.ttl = 3h, .renewable = false};
    start(Mode::render, "[template_config]\nstatic_secret_render_interval = \"1h\"\n" +
                            templates_of(kKv, "kv/data/n", "data.key") +
                            templates_of(kRenewable, "database/creds/renewed", "username") +
                            templates_of(kFinite, "database/creds/finite", "password"));
    io.advance(2min, 1s);
  }
  // The most in a minute, of those that were asked for since then.
  [[nodiscard]] long most_since(std::size_t begin) const {
    test::ModelServer later;
    later.asked.assign(server->asked.begin() + static_cast<std::ptrdiff_t>(begin),
                       server->asked.end());
    return later.most_in_a_minute();
  }
};

}  // namespace

TEST_CASE("a thousand secrets for a day: few requests, no body twice, no lease that ends in use") {
  Thousand agent;
  auto& server = *agent.server;
  REQUIRE_FALSE(agent.code);
  REQUIRE(server.count("GET kv/data/") == kKv);
  REQUIRE(server.leases.size() == kRenewable + kFinite);
  // One login, one read each, one probe of each mount at most.
  CHECK(server.asked.size() <= 1 + kKv + kRenewable + kFinite + 2);

  const std::size_t began = server.asked.size();
  for (int hour = 0; hour < 24 && !agent.code; ++hour) {
    agent.io.advance(1h, 5s);
    // What is in the files works at each look.
    CHECK(server.living_leases().size() >= kRenewable + kFinite);
  }
  CHECK_FALSE(agent.code);
  CHECK(server.logins == 1);
  CHECK(server.count("GET kv/data/") == kKv);  // not one body of an unchanged secret
  const long looks = server.count("GET kv/metadata/");
  CHECK(looks >= 23L * kKv);
  CHECK(looks <= 28L * kKv);  // an interval's jitter makes it earlier by a tenth
  // Renewed after two thirds, ended after ten hours; read again after four fifths.
  CHECK(server.leases.size() <= kRenewable * 4 + kFinite * 12);
  CHECK(server.count("PUT sys/leases/renew") <= kRenewable * 24L * 2);
  // Spread: a round of all is not one burst.
  CHECK(agent.most_since(began) <= 400);
  CHECK(agent.lines("\"level\":\"warn\"") == 0);
}

TEST_CASE("a change among a thousand secrets is one body") {
  Thousand agent;
  auto& server = *agent.server;
  server.put("kv/n7", R"({"key":"canary-new"})");
  agent.io.advance(70min, 5s);
  CHECK(server.count("GET kv/data/") == kKv + 1);
  CHECK(server.count("GET kv/data/n7") >= 2);
  CHECK(agent.file("data.key0").contains("canary-new"));
}

}  // namespace keybearer
