// Every sprig function that the reference has is here, with its parameters.

#include <doctest/doctest.h>

#include <fstream>

#include "json/json.hpp"
#include "tmpl/funcs/funcs.hpp"

namespace keybearer::tmpl {
namespace {

// The parameter letters of "(int, ...any) string", as funcs.hpp has them.
std::string letters_of(std::string_view signature, bool& variadic) {
  constexpr std::pair<std::string_view, char> kTypes[] = {
      {"any", 'a'},       {"string", 's'},           {"int", 'i'},   {"float64", 'f'},
      {"bool", 'b'},      {"map[string]any", 'M'},   {"[]any", 'A'}, {"uint32", 'v'},
      {"time.Time", 't'}, {"sprig.certificate", 'C'}};
  std::string letters;
  variadic = false;
  std::string_view rest = signature.substr(1, signature.find(')') - 1);
  while (!rest.empty()) {
    std::string_view type = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(type.size() + 2, rest.size()));
    if (type.starts_with("...")) {
      variadic = true;
      type.remove_prefix(3);
    }
    char letter = '?';
    for (const auto& [name, known] : kTypes) {
      if (name == type) letter = known;
    }
    letters += letter;
  }
  return letters;
}

TEST_CASE("every sprig function of the reference is known, with its parameters") {
  std::ifstream in(KEYBEARER_SOURCE_DIR "/tests/golden/vectors/functions.jsonl");
  REQUIRE(in);
  int count = 0;
  for (std::string line; std::getline(in, line);) {
    const Value function = *json::parse(line);
    const std::string_view name = text_at(function, "name");
    if (!name.starts_with("sprig_")) continue;
    ++count;
    CAPTURE(name);
    const Function* found = find_function(name);
    REQUIRE(found != nullptr);
    bool variadic = false;
    CHECK(std::string(found->params) == letters_of(text_at(function, "signature"), variadic));
    CHECK(found->variadic == variadic);
  }
  CHECK(count == 194);
}

TEST_CASE("sprig's functions that read the machine or the clock are not there") {
  for (const char* name : {"sprig_env", "sprig_expandenv", "sprig_now", "sprig_date",
                           "sprig_uuidv4", "sprig_randAlphaNum", "sprig_getHostByName", "sprig_"}) {
    CAPTURE(name);
    CHECK(find_function(name) == nullptr);
  }
}

}  // namespace
}  // namespace keybearer::tmpl
