#include "process/env_block.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>

namespace keybearer {
namespace {

TEST_CASE("an environment is read from and written to what exec takes, sorted by name") {
  const char* entries[] = {"B=2=two", "EMPTY=",  "no equals sign", "=odd",
                           "A=1",     "B=newer", nullptr};
  const EnvBlock block = EnvBlock::from(entries);
  CHECK(block.size() == 3);
  CHECK(block.find("B")->reveal() == "newer");
  CHECK(block.find("EMPTY")->empty());
  CHECK(block.find("C") == nullptr);

  const EnvStrings strings = strings_of(block);
  REQUIRE(strings.pointers.size() == 4);
  CHECK(std::string_view(strings.pointers[0]) == "A=1");
  CHECK(std::string_view(strings.pointers[1]) == "B=newer");
  CHECK(std::string_view(strings.pointers[2]) == "EMPTY=");
  CHECK(strings.pointers[3] == nullptr);
}

TEST_CASE("two environments are equal whatever order they were made in") {
  EnvBlock a, b;
  a.set("X", "1");
  a.set("Y", "2");
  b.set("Y", "2");
  b.set("X", "1");
  CHECK(a == b);
  CHECK(a.clone() == a);
  b.set("X", "3");
  CHECK_FALSE(a == b);
  a.erase("X");
  b.erase("X");
  CHECK(a == b);
}

TEST_CASE("keybearer's own credentials are told from its other variables") {
  EnvBlock block;
  const char* credentials[] = {
      "VAULT_TOKEN", "VAULT_ROLE_ID", "VAULT_SECRET_ID", "VAULT_JWT", "VAULT_PASSWORD",
      "BAO_TOKEN",   "BAO_ROLE_ID",   "BAO_SECRET_ID",   "BAO_JWT",   "BAO_PASSWORD"};
  for (const char* name : credentials) block.set(name, "x");
  for (const char* name : {"VAULT_ADDR", "TOKEN", "MY_VAULT_TOKEN", "VAULT_TOKEN_FILE", "BAO_"}) {
    block.set(name, "x");
  }
  const EnvBlock rest = without_credentials(block);
  CHECK(rest.size() == 5);
  for (const char* name : credentials) CHECK(rest.find(name) == nullptr);
}

TEST_CASE("what no program can be started with is refused, and the variable is named") {
  EnvBlock block;
  block.set("OK", std::string(128 * 1024 - 4, 'x'));  // with name, '=' and NUL exactly the limit
  CHECK(block.check().has_value());
  block.set("OK", std::string(128 * 1024 - 3, 'x'));
  CHECK(block.check().error().text ==
        "variable OK: 131069 bytes are more than the 128 KiB that the system allows; use a file");
  block.set("OK", std::string_view("a\0b", 3));
  CHECK(block.check().error().text ==
        "variable OK: its value has a NUL byte, which no environment can hold");
}

TEST_CASE(
    "an environment that is too large as a whole is refused, and the largest variable is named") {
  rlimit before{};
  getrlimit(RLIMIT_STACK, &before);
  rlimit small = before;
  small.rlim_cur = 1 << 20;  // a quarter: 256 KiB
  REQUIRE(setrlimit(RLIMIT_STACK, &small) == 0);
  EnvBlock block;
  for (const char* name : {"A", "B", "C"}) block.set(name, std::string(80'000, 'x'));
  CHECK(block.check().has_value());
  CHECK_FALSE(block.check({"app", std::string(20'000, 'y')}).has_value());  // arguments count
  block.set("LARGE", std::string(100'000, 'x'));
  const auto refused = block.check();
  setrlimit(RLIMIT_STACK, &before);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind == ErrorKind::render);
  CHECK(refused.error().text.find("largest is LARGE") != std::string::npos);
}

}  // namespace
}  // namespace keybearer
