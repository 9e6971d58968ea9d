// sprig's functions on values: what they change in place, what they never show, where they end.

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "unit/tmpl/render.hpp"

namespace keybearer::tmpl {
namespace {

TEST_CASE("set, unset and merge change their map; pick, omit and deepCopy do not") {
  CHECK(render("{{ $d := sprig_dict \"a\" 1 }}{{ $e := sprig_set $d \"b\" 2 }}{{ $d }} {{ $_ := "
               "sprig_unset $e \"a\" }}{{ $d }}") == "map[a:1 b:2] map[b:2]");
  CHECK(render("{{ $d := sprig_dict \"a\" (sprig_dict \"x\" 1) }}{{ $_ := sprig_merge $d "
               "(sprig_dict \"a\" (sprig_dict \"x\" 2 \"y\" 3)) }}{{ $d }}") ==
        "map[a:map[x:1 y:3]]");
  CHECK(render("{{ $d := sprig_dict \"a\" 1 }}{{ $_ := sprig_mergeOverwrite $d (sprig_dict \"a\" "
               "2) (sprig_dict \"b\" 3) }}{{ $d }}") == "map[a:2 b:3]");
  CHECK(render("{{ $d := sprig_dict \"a\" 1 \"b\" 2 }}{{ sprig_pick $d \"a\" }} {{ sprig_omit $d "
               "\"a\" }} {{ $d }}") == "map[a:1] map[b:2] map[a:1 b:2]");
  CHECK(render("{{ $d := sprig_dict \"a\" (sprig_dict) }}{{ $c := sprig_deepCopy $d }}{{ $_ := "
               "sprig_set $c.a \"x\" 1 }}{{ $d }} {{ $c }}") == "map[a:map[]] map[a:map[x:1]]");
}

TEST_CASE("a list of strings is sorted in place, every other list is copied") {
  CHECK(render("{{ $l := split \",\" \"b,a\" }}{{ sprig_sortAlpha $l }} {{ $l }}") ==
        "[a b] [a b]");
  CHECK(render("{{ $l := sprig_list \"b\" \"a\" }}{{ sprig_sortAlpha $l }} {{ $l }}") ==
        "[a b] [b a]");
}

TEST_CASE("an answer of the server is the same after a template that changes it") {
  AppSecret source;
  const Value before = source.answer.deep_copy();
  const std::string text =
      "{{ $d := (secret \"kv/data/app\").Data.data }}{{ $_ := sprig_set $d \"user\" \"eve\" }}{{ "
      "$_ "
      ":= sprig_mergeOverwrite $d.map (sprig_dict \"a\" 2) }}{{ $_ := sprig_unset $d \"pass\" }}{{ "
      "$d.user }} {{ $d.map }}";
  CHECK(render(text, source) == "eve map[a:2]");
  CHECK(render(text, source) == "eve map[a:2]");
  CHECK(source.answer == before);
  for (const char* change :
       {"{{ scratch.Set \"m\" $d }}{{ scratch.MapSet \"m\" \"user\" \"eve\" }}{{ $d.user }}",
        "{{ scratch.SetX \"m\" $d }}{{ scratch.MapSetX \"m\" \"new\" \"eve\" }}{{ $d.new }}",
        "{{ with scratch }}{{ .Set \"m\" $d }}{{ .MapSet \"m\" \"user\" \"eve\" }}{{ end }}{{ "
        "$d.user }}",
        "{{ $_ := explodeMap (sprig_dict \"m\" $d.map \"m/b\" \"eve\") }}{{ $d.map.b }}",
        "{{ $_ := mergeMap $d (sprig_dict \"new\" \"eve\") }}{{ $d.new }}"}) {
    CAPTURE(change);
    const std::string with = "{{ $d := (secret \"kv/data/app\").Data.data }}";
    CHECK(render(with + change, source) == "eve");
    CHECK(source.answer == before);
  }
}

TEST_CASE("a map can't hold itself, and nothing is nested without end") {
  for (const char* text :
       {"{{ $d := sprig_dict }}{{ $_ := sprig_set $d \"k\" $d }}{{ $d }}",
        "{{ $d := sprig_dict }}{{ $_ := sprig_set $d \"k\" (sprig_list $d) }}{{ $d }}",
        "{{ $d := sprig_dict \"a\" (sprig_dict) }}{{ $_ := sprig_set $d.a \"b\" $d }}{{ $d }}",
        "{{ $d := sprig_dict }}{{ $_ := sprig_merge $d (sprig_dict \"k\" $d) }}{{ $d }}",
        "{{ $d := sprig_dict }}{{ $_ := mergeMap $d (sprig_dict \"k\" $d) }}{{ $d }}"}) {
    CAPTURE(text);
    CHECK(render(text).ends_with("a map can't hold itself"));
  }
  CHECK(
      render(
          "{{ sprig_list (parseJSON (print (sprig_repeat 10000 `[`) (sprig_repeat 10000 `]`))) }}")
          .ends_with("nested more than 10000 deep"));
}

TEST_CASE("no call takes all of the machine's memory") {
  CHECK(render("{{ sprig_until 2000000000 }}").find("numbers") != std::string::npos);
  CHECK(render("{{ sprig_untilStep 0 1 9223372036854775807 }}") == "[0]");
  CHECK(render("{{ sprig_repeat 2000000000 \"ab\" }}").find("overflow") != std::string::npos);
  CHECK(render("{{ sprig_indent 2000000000 \"ab\" }}").find("overflow") != std::string::npos);
  CHECK(render("{{ len (sprig_seq 9223372036854775806 9223372036854775807) }}") == "0");
}

TEST_CASE("a number that is drawn lies within its bounds") {
  std::set<std::string> drawn;
  for (int i = 0; i < 200; ++i) drawn.insert(render("{{ sprig_randInt -2 3 }}"));
  CHECK(drawn == std::set<std::string>{"-2", "-1", "0", "1", "2"});
  CHECK(render("{{ sprig_randInt 3 3 }}").ends_with("invalid argument to Intn"));
}

TEST_CASE("what is shuffled has the same characters") {
  std::string text = render("{{ sprig_shuffle \"hello world\" }}");
  std::string wanted = "hello world";
  std::ranges::sort(text);
  std::ranges::sort(wanted);
  CHECK(text == wanted);
  CHECK(render("{{ sprig_shuffle \"é\" }}") == "é");
}

TEST_CASE("decimal sums and quotients are exact") {
  CHECK(render("{{ sprig_addf 0.1 0.2 }}") == "0.3");
  CHECK(render("{{ sprig_addf 999999 1 0.5 }}") == "1.0000005e+06");
  CHECK(render("{{ sprig_subf 1e300 1e300 1 }}") == "-1");
  CHECK(render("{{ sprig_divf 1 3 }}") == "0.3333333333333333");
  CHECK(render("{{ sprig_divf 2 3 }}") == "0.6666666666666667");
  CHECK(render("{{ sprig_mulf 1e200 1e200 1e-300 }}") == "1e+100");
}

TEST_CASE("numbers from everything, as cast reads it") {
  CHECK(render_app("{{ sprig_int $d.port }} {{ sprig_int \"0x10\" }} {{ sprig_int \"010\" }} {{ "
                   "sprig_int \"12.00\" }} {{ sprig_int \"12.5\" }} {{ sprig_int true }} {{ "
                   "sprig_int 1e300 }}") == "5432 16 8 12 0 1 -9223372036854775808");
}

TEST_CASE("Go's nil lists: empty, but null in JSON") {
  CHECK(render("{{ sprig_rest (sprig_list) | toJSON }} {{ sprig_list | toJSON }} {{ "
               "sprig_regexFindAll \"x\" \"a\" -1 | sprig_toJson }} {{ sprig_compact (sprig_list) "
               "| sprig_toJson }}") == "null [] null []");
}

TEST_CASE("no error shows a secret") {
  for (const char* text :
       {"{{ sprig_urlParse $d.url }}",
        "{{ sprig_urlJoin (sprig_dict \"userinfo\" \"a b:hunter2\") }}",
        "{{ sprig_first $d.pass }}", "{{ sprig_dig \"pass\" \"x\" \"y\" $d }}",
        "{{ sprig_genCAWithKey \"a\" 1 $d.pass }}", "{{ sprig_mustFromJson $d.pass }}",
        "{{ sprig_decryptAES $d.pass \"!\" }}", "{{ sprig_semver $d.pass }}",
        "{{ sprig_genSelfSignedCert \"a\" (sprig_list $d.pass) nil 1 }}"}) {
    CAPTURE(text);
    const std::string error = render_app(text);
    CHECK(error.starts_with("template: t:1:"));
    const auto calling = error.find("error calling");
    REQUIRE(calling != std::string::npos);
    CHECK(error.find("hunter", calling) == std::string::npos);
  }
}

}  // namespace
}  // namespace keybearer::tmpl
