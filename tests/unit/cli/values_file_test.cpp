#include "cli/values_file.hpp"

#include <doctest/doctest.h>

#include "json/json.hpp"

using namespace keybearer;
using namespace keybearer::cli;
using Kind = tmpl::Dependency::Kind;

namespace {

const config::Config kNothing;

constexpr std::string_view kFile = R"({
  "kv/data/app": {"data": {"user": "ann", "port": 8443}},
  "flat/app": {"user": "bob"},
  "database/creds/app": {"lease_id": "l", "lease_duration": 3600, "data": {"username": "u"}},
  "auth/token/create/r": {"auth": {"client_token": "t"}},
  "kv/metadata/list": ["b", "a/"],
  "kv/data/team/x": {"data": {}}, "kv/data/team/y/z": {"data": {}},
  "kv/data/none": null,
  "pki/issue/web": {"certificate": "C", "private_key": "K", "issuing_ca": "I", "ca_chain": ["I"]},
  "/etc/motd-of-a-test": "hello"
})";

ValuesFile values(std::string_view text = kFile, const config::Config& config = kNothing) {
  return ValuesFile::parse(text, "v.json", config).value();
}

// The answer as JSON; "nothing" when there is none.
std::string find(ValuesFile& file, Kind kind, const std::string& path, std::string version = "") {
  const Value* found =
      file.find({.kind = kind, .path = path, .version = version, .id = path + "@" + version});
  return found == nullptr ? "nothing" : json::write(*found);
}
std::string read(const std::string& path, std::string_view text = kFile) {
  auto file = values(text);
  return find(file, Kind::read, path);
}
std::string error(std::string_view text) {
  return ValuesFile::parse(text, "v.json", kNothing).error().text;
}

}  // namespace

TEST_CASE("what .Data is, and a server's whole answer") {
  CHECK(read("database/creds/app") ==
        R"({"data":{"username":"u"},"lease_duration":3600,"lease_id":"l"})");
  CHECK(read("auth/token/create/r") == R"({"auth":{"client_token":"t"}})");
  CHECK(read("flat/app") == R"({"data":{"user":"bob"}})");
  CHECK(read("s", R"({"s": {"data": "x", "renewable": true}})") ==
        R"({"data":{"data":"x","renewable":true}})");  // a secret with such keys
  CHECK(read("kv/data/none") == "null");
}

TEST_CASE("numbers keep their text") {
  CHECK(read("a", R"({"a": {"n": 1.50, "m": 123456789012345678901234567890}})") ==
        R"({"data":{"m":123456789012345678901234567890,"n":1.50}})");
}

TEST_CASE("kv/app and kv/data/app are one, with metadata") {
  const std::string app = read("kv/data/app");
  CHECK(app.starts_with(R"({"data":{"data":{"port":8443,"user":"ann"},"metadata":{)"));
  CHECK(read("kv/app") == app);
  // Keys alone, asked for with data/.
  CHECK(read("flat/data/app").starts_with(R"({"data":{"data":{"user":"bob"},"metadata":{)"));
}

TEST_CASE("versions") {
  auto file = values(R"({"kv/data/a": {"data": {"v": "new"}},
                         "kv/data/a?version=1": {"data": {"v": "old"}}})");
  CHECK(find(file, Kind::read, "kv/data/a", "1").find("old") != std::string::npos);
  CHECK(find(file, Kind::read, "kv/data/a", "2").find("new") != std::string::npos);
}

TEST_CASE("lists: given, or made of the paths") {
  auto file = values();
  CHECK(find(file, Kind::list, "kv/list") == R"(["b","a/"])");
  CHECK(find(file, Kind::list, "kv/metadata/list") == R"(["b","a/"])");
  CHECK(find(file, Kind::list, "kv/team") == R"(["x","y/"])");
  CHECK(find(file, Kind::list, "kv/nothing") == "nothing");
}

TEST_CASE("certificates and files") {
  auto file = values();
  CHECK(find(file, Kind::pki, "pki/issue/web") ==
        R"({"CA":"I","CAChain":["I"],"Cert":"C","Key":"K"})");
  CHECK(find(file, Kind::file, "/etc/motd-of-a-test") == R"("hello")");
  CHECK(find(file, Kind::file, "/nowhere") == "nothing");
}

TEST_CASE("an optional secret's stand-in") {
  config::Config config;
  config::SecretRule rule;
  rule.path = "kv/data/opt";
  rule.optional = true;
  rule.defaults = R"({"k":"v"})";
  config.secrets.push_back(std::move(rule));
  auto file = values("{}", config);
  CHECK(find(file, Kind::read, "kv/opt").find(R"("k":"v")") != std::string::npos);
  CHECK(find(file, Kind::read, "kv/other") == "nothing");
}

TEST_CASE("what is missing is named, with what the file has") {
  const auto file = values(R"({"kv/data/app": {}, "db/creds/rw": {}})");
  CHECK(
      file.why_missing({.path = "kv/data/ap"}) ==
      "kv/data/ap is not in v.json; did you mean \"kv/data/app\"? It has db/creds/rw, kv/data/app");
  CHECK(file.why_missing({.path = "x"}) == "x is not in v.json; it has db/creds/rw, kv/data/app");
  CHECK(values("{}").why_missing({.path = "x"}) ==
        "x is not in v.json, which has no secret at all");
}

TEST_CASE("a wrong file is refused with its place, and without a value") {
  CHECK(error("{\"a\": 1,\n \"b\": }").starts_with("v.json:2:7: not JSON"));
  CHECK(error("[]").starts_with("v.json: expected an object of paths"));
  CHECK(error(R"({"kv/data/app": 7})").starts_with("v.json: kv/data/app: expected an object"));
}
