// What of a configuration must not be hidden in texts, and what must (R5).

#include "config/own_words.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>

using namespace keybearer;
using namespace keybearer::config;

namespace {

std::vector<std::string> words_of(const Config& config) {
  std::vector<std::string> words;
  std::stringstream text(own_words(config));
  for (std::string line; std::getline(text, line);) words.push_back(line);
  return words;
}

// What it says beyond an empty one.
std::vector<std::string> added(const Config& config) {
  const auto without = words_of(Config{});
  std::vector<std::string> all = words_of(config);
  std::erase_if(all,
                [&](const std::string& word) { return std::ranges::count(without, word) > 0; });
  std::ranges::sort(all);
  return all;
}

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("our own texts' words are never hidden, and no word is empty") {
  const auto words = words_of(Config{});
  CHECK(words.at(0).contains("namespace"));
  CHECK(std::ranges::count(words, "") == 0);
}

TEST_CASE("names, paths, commands and arguments are the author's own words") {
  Config config;
  config.name = "a1";
  config.pid_file = "a2";
  config.log_file = "a3";
  config.vault.vault_namespace = "b1";
  config.vault.ca_cert = "b2";
  config.vault.ca_path = "b3";
  config.vault.client_cert = "b4";
  config.vault.client_key = "b5";
  config.vault.tls_server_name = "b6";
  config.vault.address = {"b7", "b8"};
  config.exec.working_directory = "c1";
  config.exec.command.argv = {"c2", "c3"};
  config.exec.verify.command.argv = {"c4"};
  config.notify.command.argv = {"c5"};
  config.files = {"d1"};
  config.auto_auth.method.mount_path = "e1";
  config.auto_auth.method.set("role", "e2");
  Sink& sink = config.auto_auth.sinks.emplace_back();
  sink.path = "f1";
  sink.user = "f2";
  sink.group = "f3";
  config.auto_auth.verify_identity = {
      .entity_id = "g1", .policies = {"g2"}, .metadata = {{"g3", "g4"}}};
  SecretRule& rule = config.secrets.emplace_back();
  rule.path = "h1";
  rule.name = "h2";
  rule.data = {{"h3", "h4"}};
  Template& file = config.templates.emplace_back();
  file.source = "i1";
  file.destination = "i2";
  file.user = "i3";
  file.group = "i4";
  file.sandbox_path = "i5";
  file.command.argv = {"i6"};
  NamedValue& section = file.values.emplace_back();
  section.name = "i7";
  section.node.value.secret = "i8";
  section.node.children.push_back({.name = "i9", .node = {}});
  section.node.children[0].node.value.key = "i91";
  EnvVar& variable = config.env.emplace_back();
  variable.name = "j1";
  variable.value.source = "j2";
  variable.value.secret = "j3";
  variable.value.key = "j4";
  variable.rule.pattern = "j5";
  EnvFrom& from = config.env_from.emplace_back();
  from.secret = "k1";
  from.prefix = "k2";
  from.keys = {"k3"};
  from.names = {{"k4", "k5"}};
  CHECK(added(config) == Words{"a1", "a2", "a3", "b1", "b2", "b3", "b4", "b5", "b6", "b7",
                               "b8", "c1", "c2", "c3", "c4", "c5", "d1", "e1", "e2", "f1",
                               "f2", "f3", "g1", "g2", "g3", "g4", "h1", "h2", "h3", "h4",
                               "i1", "i2", "i3", "i4", "i5", "i6", "i7", "i8", "i9", "i91",
                               "j1", "j2", "j3", "j4", "j5", "k1", "k2", "k3", "k4", "k5"});
}

TEST_CASE("credentials, defaults and the templates' own texts are not among the words") {
  Config config;
  config.auto_auth.method.set("secret_id", Secret("canary-1"));
  config.vault.headers = {{"X-Key", "canary-2"}};
  config.vault.proxy_address = "http://u:canary-3@p";
  config.secrets.emplace_back().defaults = R"({"a":"canary-4"})";
  EnvVar& variable = config.env.emplace_back();
  variable.value.contents = "canary-5";
  variable.value.default_value = "canary-6";
  config.templates.emplace_back().contents = "canary-7";
  CHECK(added(config) == Words{});
}

TEST_CASE("credentials are those of the method, of headers and of proxies") {
  Config config;
  config.auto_auth.method.set("role_id", "r");
  config.auto_auth.method.set("secret_id", Secret("s"));
  config.vault.headers = {{"X-Key", "h"}};
  config.vault.proxy_address = "http://u:a@p";
  config.vault.https_proxy = "http://u:b@p";
  config.vault.http_proxy = "http://u:c@p";
  CHECK(credentials_of(config) == Words{"s", "r", "h", "u:a", "u:a", "a", "a", "u:b", "u:b", "b",
                                        "b", "u:c", "u:c", "c", "c"});
}

TEST_CASE(
    "a proxy's password is found in every form of its URL, and hidden as written and decoded") {
  const struct {
    std::string url;
    Words found;
  } rows[] = {
      {"http://user:pw@proxy:3128", {"user:pw", "user:pw", "pw", "pw"}},
      {"user:pw@proxy", {"user:pw", "user:pw", "pw", "pw"}},
      {"http://user:p@w@proxy/", {"user:p@w", "user:p@w", "p@w", "p@w"}},
      {"http://:pw@proxy", {":pw", ":pw", "pw", "pw"}},
      {"http://u:p:w@proxy/a@b", {"u:p:w", "u:p:w", "p:w", "p:w"}},
      {"http://u:p%40w%@proxy", {"u:p%40w%", "u:p@w%", "p%40w%", "p@w%"}},
      {"http://u:%41@proxy", {"u:%41", "u:A", "%41", "A"}},
      {"http://u:%41bcd0@proxy", {"u:%41bcd0", "u:Abcd0", "%41bcd0", "Abcd0"}},
      {"http://u:x%4@proxy", {"u:x%4", "u:x%4", "x%4", "x%4"}},
      {"http://u:%4z%zz@proxy", {"u:%4z%zz", "u:%4z%zz", "%4z%zz", "%4z%zz"}},
      {"http://user@proxy:3128", {}},
      {"http://proxy:3128", {}},
      {"http://proxy:3128/a:b@c", {}},
      {"@", {}},
      {"", {}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.url);
    Config config;
    config.vault.http_proxy = row.url;
    Words found = credentials_of(config);
    REQUIRE(!found.empty());
    CHECK(found.front().empty());  // no role_id
    found.erase(found.begin());
    CHECK(found == row.found);
  }
}
