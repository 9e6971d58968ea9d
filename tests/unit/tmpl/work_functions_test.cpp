// What a function's loops tell (work.hpp): each stops in the middle, and none does more than its
// share for ten times the input.

#include <doctest/doctest.h>
#include <initializer_list>

#include <map>

#include "tmpl/work.hpp"
#include "unit/tmpl/render.hpp"

namespace keybearer::tmpl {
namespace {

// With $t a text of SIZE bytes of words, $l a list of them, $m a map of as many.
std::string with_input(const std::string& action, std::size_t size) {
  std::string words;
  for (std::size_t i = 0; words.size() < size; ++i)
    words += "w" + std::to_string(i * 7919 % 100'003) + " ";
  return "{{ $t := " + json::quote(words) + " }}{{ $l := split \" \" $t }}" +
         "{{ $m := sprig_dict }}{{ range $l }}{{ $_ := sprig_set $m . . }}{{ end }}" + action;
}

struct Told {
  std::string text;
  std::uint64_t units = 0;
};
Told told(const std::string& text, const std::atomic<bool>* stop = nullptr) {
  AppSecret source;
  const auto parsed = Template::parse("t", text, {.max_time = std::chrono::hours(1)});
  if (!parsed) return {parsed.error().text};
  Work work;
  Execution done;
  {
    const Working here(work);
    done = parsed->execute(source, stop);
  }
  return {done.error ? done.error->text : std::string(done.text.reveal()), work.done()};
}

TEST_CASE("a stop ends each call in its middle") {
  const std::atomic<bool> stop = true;
  const std::string large = "(sprig_repeat 2000000 \"a b,\")";
  for (const std::string& call :
       std::initializer_list<std::string>{std::string("sprig_bcrypt \"x\""),
                                          std::string("sprig_htpasswd \"u\" \"x\""),
                                          std::string("sprig_genPrivateKey \"rsa\""),
                                          "toUpper " + large,
                                          "toTitle " + large,
                                          "split \"\" (sprig_repeat 900000 \"a b,\")",
                                          "split \",\" " + large,
                                          "replaceAll \"a\" \"\" " + large,
                                          "replaceAll \"\" \"x\" " + large,
                                          "regexReplaceAll \"a\" \"b\" " + large,
                                          "regexMatch \"z$\" " + large,
                                          "sprig_regexFindAll \"a\" " + large + " -1",
                                          "toJSON " + large,
                                          "toYAML " + large,
                                          "parseYAML " + large,
                                          "parseJSON " + large,
                                          "base64Encode " + large,
                                          "base64Decode " + large,
                                          "sprig_b32enc " + large,
                                          "sprig_adler32sum " + large,
                                          "html " + large,
                                          "js " + large,
                                          "urlquery " + large,
                                          "sprig_snakecase " + large,
                                          "sprig_swapcase " + large,
                                          "sprig_wrapWith 1 \"-\" " + large,
                                          "toJSON (sprig_until 100000)",
                                          "toYAML (sprig_until 100000)",
                                          "toTOML (sprig_dict \"a\" (sprig_until 100000))",
                                          "print (sprig_until 100000)",
                                          "spew_sdump (sprig_until 100000)",
                                          "sprig_uniq (sprig_until 100000)",
                                          "sprig_sortAlpha (sprig_until 100000)",
                                          "sprig_without (sprig_until 100000) 1 2"}) {
    CAPTURE(call);
    CHECK(told("{{ $x := " + call + " }}", &stop).text.ends_with("broken off"));
  }
}

TEST_CASE("ten times the input is at most fifteen times the work") {
  for (const std::string call :
       {"toUpper $t",
        "toTitle $t",
        "trim \"x\" $t",
        "replaceAll \"w\" \"--\" $t",
        "replaceAll \"\" \"-\" $t",
        "split \" \" $t",
        "split \"\" $t",
        "toJSON $t",
        "toYAML $t",
        "toJSON $l",
        "toYAML $l",
        "toJSON $m",
        "toYAML $m",
        "toTOML $m",
        "print $m",
        "print $l",
        "spew_sdump $m",
        "base64Encode $t",
        "base64Decode (base64Encode $t)",
        "sprig_b32enc $t",
        "sprig_b32dec (sprig_b32enc $t)",
        "html $t",
        "js $t",
        "urlquery $t",
        "sprig_snakecase $t",
        "sprig_wrap 40 $t",
        "sprig_wrapWith 1 \"-\" $t",
        "sprig_uniq $l",
        "sprig_sortAlpha $l",
        "sprig_has \"zz\" $l",
        "sprig_without $l \"w1\"",
        "sprig_join \",\" $l",
        "parseJSON (toJSON $m)",
        "parseYAML (toYAML $m)",
        "parseYAML (toYAML $l)",
        "regexReplaceAll \"w\" \"x\" $t",
        "regexReplaceAll \"[^a-z]\" \"-\" (base64Decode (base64Encode (print $t \"\\xff\" $t)))",
        "sprig_regexFindAll \"[0-9]+\" $t -1",
        "sprig_regexSplit \" \" $t -1",
        "sprig_adler32sum $t"}) {
    CAPTURE(call);
    std::map<std::size_t, std::uint64_t> units;
    for (const std::size_t size : {2'000u, 20'000u}) {
      const Told before = told(with_input("", size));
      const Told after = told(with_input("{{ $x := " + std::string(call) + " }}", size));
      REQUIRE(after.text.empty());
      units[size] = after.units - before.units;
    }
    CAPTURE(units[2'000]);
    // Escaping tells of 16 KiB at once: the larger input has one such block more.
    CHECK(units[20'000] < 15 * std::max<std::uint64_t>(units[2'000], 2'000));
  }
}

}  // namespace
}  // namespace keybearer::tmpl
