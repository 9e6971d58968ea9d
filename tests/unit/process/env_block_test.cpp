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
  CHECK(EnvBlock(a) == a);
  b.set("X", "3");
  CHECK_FALSE(a == b);
  a.erase("X");
  b.erase("X");
  CHECK(a == b);
}

TEST_CASE("keybearer's own credentials are told from its other variables") {
  EnvBlock block;
  const char* credentials[] = {"VAULT_TOKEN",      "VAULT_ROLE_ID",       "VAULT_SECRET_ID",
                               "VAULT_JWT",        "VAULT_PASSWORD",      "BAO_TOKEN",
                               "BAO_ROLE_ID",      "BAO_SECRET_ID",       "BAO_JWT",
                               "BAO_PASSWORD",     "VAULT_WRAPPED_TOKEN", "VAULT_WRAPPED_SECRET_ID",
                               "BAO_LDAP_PASSWORD"};
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

TEST_CASE("what others said is cut between characters, and at a NUL") {
  EnvBlock block;
  block.set_cut("A", "short", 1024);
  block.set_cut("B", std::string(1023, 'x') + "\xC3\xBC tail", 1024);
  block.set_cut("C", std::string_view("one\0two", 7), 1024);
  block.set_cut("D", std::string(2000, '\x80'), 1024);  // no UTF-8 at all
  CHECK(block.find("A")->reveal() == "short");
  CHECK(block.find("B")->reveal() == std::string(1023, 'x'));
  CHECK(block.find("C")->reveal() == "one");
  CHECK(block.find("D")->size() <= 1024);
  CHECK(block.check().has_value());
}

TEST_CASE("credentials under names of their own are withheld, too") {
  EnvBlock block;
  for (const char* name : {"APP_TOKEN", "APP_TOKEN_2", "VAULT_TOKEN", "HOME"}) block.set(name, "x");
  const std::vector<std::string> withheld{"APP_TOKEN"};
  const EnvBlock left = without_credentials(block, withheld);
  CHECK(left.size() == 2);
  CHECK(left.find("APP_TOKEN") == nullptr);
  CHECK(left.find("APP_TOKEN_2") != nullptr);
  const std::vector<std::string> for_all{"APP_TOKEN_2"};
  withhold_variables(for_all);
  CHECK(without_credentials(block, withheld).size() == 1);
  CHECK(without_credentials(block).find("APP_TOKEN_2") == nullptr);
}

TEST_CASE("the limit of the block is that of the stack that the program will have") {
  EnvBlock block;
  for (int i = 0; i < 10; ++i) block.set("V" + std::to_string(i), std::string(50'000, 'x'));
  CHECK(block.check().has_value());
  CHECK_FALSE(block.check({}, 1 << 20).has_value());
  CHECK(block.check({}, 64 << 20).has_value());
}

}  // namespace
}  // namespace keybearer
