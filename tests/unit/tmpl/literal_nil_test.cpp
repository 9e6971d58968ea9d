// The nil that a template writes itself is no value that is missing: functions take it as Go's do,
// but what would print it ("<nil>", "<no value>") refuses it (behaviour.md R5).

#include <doctest/doctest.h>

#include <set>

#include "render.hpp"
#include "tmpl/funcs/funcs.hpp"

namespace keybearer::tmpl {
namespace {

Execution execute(const std::string& text, bool as_reference) {
  auto parsed = Template::parse("t", text, {.as_reference = as_reference});
  REQUIRE_MESSAGE(parsed, parsed.error().text);
  AppSecret source;
  return parsed->execute(source);
}

// Each call of FUNCTION with nil in one or more of its places, and something that fits in the others.
std::vector<std::string> calls(const Function& function) {
  constexpr const char* kFillers[] = {"\"a\"", "1", "(sprig_list 1 2)", "(sprig_dict \"a\" 1)"};
  std::vector<std::string> out;
  const std::size_t declared = function.params.size();
  const std::size_t most = function.variadic ? declared + 1 : declared;
  const std::size_t fewest = function.variadic ? declared - 1 : declared;
  for (std::size_t count = std::max<std::size_t>(fewest, 1); count <= most; ++count) {
    for (std::size_t nils = 1; nils < (std::size_t{1} << count); ++nils) {
      for (const char* filler : kFillers) {
        std::string call(function.name);
        for (std::size_t i = 0; i < count; ++i)
          call += std::string(" ") + ((nils >> i & 1) != 0 ? "nil" : filler);
        out.push_back(std::move(call));
      }
    }
  }
  return out;
}

bool shows_nil(std::string_view text) {
  return text.contains("nil>") || text.contains("nil&gt;") || text.contains("nil%3E") ||
         text.contains("no value") || text.contains("\\u003Cnil") || text.contains("3cnil");
}

// Of these no two calls give the same, or they have effects.
const std::set<std::string_view> kNotCompared = {"plugin",
                                                 "writeToFile",
                                                 "env",
                                                 "mustEnv",
                                                 "timestamp",
                                                 "sprig_now",
                                                 "sprig_htmlDate",
                                                 "sprig_bcrypt",
                                                 "sprig_htpasswd",
                                                 "sprig_date",
                                                 "sprig_dateInZone",
                                                 "sprig_date_in_zone",
                                                 "sprig_htmlDateInZone",
                                                 "sprig_ago",
                                                 "sprig_duration",
                                                 "sprig_shuffle",
                                                 "sprig_uuidv4",
                                                 "sprig_encryptAES",
                                                 "spew_dump",
                                                 "spew_printf",
                                                 "spew_sdump",
                                                 "spew_sprintf",
                                                 "call",
                                                 "executeTemplate"};

TEST_CASE("each function takes a literal nil as Go's, or refuses to print it") {
  std::size_t compared = 0;
  for (const Function* function : all_functions()) {
    if (kNotCompared.contains(function->name) || function->name.starts_with("sprig_rand") ||
        function->name.starts_with("sprig_gen"))
      continue;
    for (const std::string& call : calls(*function)) {
      for (const std::string& text :
           {"{{ " + call + " }}", "{{ if " + call + " }}yes{{ else }}no{{ end }}"}) {
        CAPTURE(text);
        const Execution theirs = execute(text, true);
        const Execution ours = execute(text, false);
        const std::string out(ours.text.reveal());
        ++compared;
        CHECK_FALSE(shows_nil(out));
        if (theirs.error) {
          CHECK(ours.error);
        } else if (!shows_nil(theirs.text.reveal()) && !prints_nil(function->name)) {
          REQUIRE_MESSAGE(!ours.error, ours.error->text);
          CHECK(out == theirs.text.reveal());
        }
      }
    }
  }
  CHECK(compared > 3000);
}

}  // namespace
}  // namespace keybearer::tmpl
