#include "tmpl/quick.hpp"

#include <doctest/doctest.h>

#include <set>

#include "tmpl/funcs/funcs.hpp"
#include "tmpl/template.hpp"

namespace keybearer::tmpl {
namespace {

std::optional<std::size_t> actions(std::string text) {
  auto parsed = Template::parse("t", std::move(text), {});
  REQUIRE_MESSAGE(parsed, parsed.error().text);
  return parsed->quick_actions();
}

TEST_CASE("text, fields and a choice are quick; each action counts") {
  CHECK(actions("") == 0);
  CHECK(actions("only text") == 0);
  CHECK(actions(R"({{ with secret "kv/data/a" }}{{ .Data.data.x }}{{ end }})") == 2);
  CHECK(
      actions(R"({{ if eq (env "A") "b" }}{{ .x }}{{ else if .y }}1{{ else }}{{ .z }}{{ end }})") ==
      4);
  CHECK(actions(R"({{ $s := secret "a" }}{{ $s.Data.x | trimSpace | printf "%s" }})") == 2);
  CHECK(actions(R"({{ printf "%s:%s" .x (printf "%s" .y) }})") == 1);
  CHECK(actions(R"({{ (index (secret "a").Data "b").c }})") == 1);
}

TEST_CASE("what loops, calls itself or computes is not, wherever it stands") {
  for (const char* text : {
           "{{ range .x }}{{ . }}{{ end }}",
           "{{ if true }}{{ range .x }}{{ end }}{{ end }}",
           "{{ if false }}{{ else }}{{ range .x }}{{ end }}{{ end }}",
           R"({{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }})",
           R"({{ define "unused" }}{{ range .x }}{{ end }}{{ end }}text)",
           R"({{ block "a" . }}{{ end }})",
           R"({{ with parseJSON "[]" }}{{ . }}{{ end }})",
           R"({{ print (sprig_genPrivateKey "rsa") }})",
           R"({{ (sprig_htpasswd "a" "b") }})",
           R"({{ "x" | regexReplaceAll "a" "b" }})",
           R"({{ index (sprig_list (sprig_repeat 9 "x")) 0 }})",
           R"({{ $x := timestamp }}{{ $x }})",
           R"({{ printf .format 1 }})",
           R"({{ .format | printf }})",
           // What is kept may be doubled again and again.
           R"({{ $x := printf "%s%s" .x .x }}{{ $y := printf "%s%s" $x $x }}{{ $y }})",
           R"({{ $x := .x }}{{ $x = print $x $x }}{{ $x = print $x $x }})",
           R"({{ with print .x .x }}{{ with print . . }}{{ . }}{{ end }}{{ end }})",
           R"({{ $x := (println .x .x) }}{{ $x }})",
       })
    CHECK_MESSAGE(!actions(text), text);
}

// A function that is added is not quick before somebody has thought about it.
TEST_CASE("of all functions these are quick") {
  std::string quick;
  std::set<std::string> names;
  for (const Function* function : all_functions()) names.emplace(function->name);
  for (const std::string& name : names) {
    std::string call = "{{ " + name;
    const Function* function = find_function(name);
    for (std::size_t i = 0; i < function->params.size(); ++i) call += i == 0 ? " \"a\"" : " .a";
    auto parsed = Template::parse("t", call + " }}", {});
    if (parsed && parsed->quick_actions()) quick += name + ' ';
  }
  CHECK(quick ==
        "and base64Decode env envOrDefault eq index len ne not or print printf println secret "
        "toLower toUpper trim trimPrefix trimSpace ");
}

}  // namespace
}  // namespace keybearer::tmpl
