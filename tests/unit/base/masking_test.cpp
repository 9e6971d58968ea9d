#include "base/masking.hpp"

#include <doctest/doctest.h>

namespace keybearer {
namespace {

std::vector<std::string> masked(const std::string& output,
                                std::initializer_list<const char*> contents) {
  std::vector<Secret> secrets;
  for (const char* content : contents) secrets.emplace_back(content);
  return masked_lines(output, secrets);
}

TEST_CASE("output of commands has no word of the file's content") {
  using Lines = std::vector<std::string>;
  CHECK(masked("got s3cret99\n\nok\n", {"password = s3cret99\n"}) == Lines{"got [masked]", "ok"});
  CHECK(masked("a=\"hunter22\";b", {"X=\"hunter22\""}) == Lines{"a=\"[masked]\";b"});
  CHECK(masked("no newline at the end", {}) == Lines{"no newline at the end"});
  CHECK(masked("", {"s3cret99"}).empty());
  // A shorter word that begins a longer one leaves nothing of it.
  CHECK(masked("secret1234", {"secret secret1234"}) == Lines{"[masked]"});
  // Nor does a value of several words, in whole or line by line.
  CHECK(masked("pw aB3;dE,6\"h=J kL9", {"aB3;dE,6\"h=J kL9"}) == Lines{"pw [masked]"});
  CHECK(masked("correct horse battery", {"correct horse battery"}) == Lines{"[masked]"});
  CHECK(masked("said: a b c d\n", {"first line\na b c d\n"}) == Lines{"said: [masked]"});
  CHECK(masked("masked", {"masked masked"}) == Lines{"[masked]"});
  CHECK(masked("twice-abcdef-abcdef", {"abcdef"}) == Lines{"twice-[masked]-[masked]"});
}

}  // namespace
}  // namespace keybearer
