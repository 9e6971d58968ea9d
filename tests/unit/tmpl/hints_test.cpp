// The errors that people meet say what to write instead.

#include "tmpl/hints.hpp"

#include <doctest/doctest.h>

#include "json/json.hpp"
#include "tmpl/template.hpp"

namespace keybearer::tmpl {
namespace {

class OneSecret final : public DataSource {
 public:
  [[nodiscard]] const Value* find(const Dependency& dependency) override {
    return dependency.path == "kv/data/app" ? &answer_ : nullptr;
  }

 private:
  Value answer_ = *json::parse(
      R"({"data":{"data":{"api_key":"k","port":5432,"hosts":["a"],"tls.crt":"c"},"metadata":{}}})");
};

TemplateError error(const std::string& text, Options options = {}) {
  auto parsed = Template::parse("t", text, std::move(options));
  if (!parsed) return parsed.error();
  OneSecret source;
  return parsed->execute(source).error.value_or(TemplateError{});
}
std::string hint(const std::string& text) {
  return error(text).hint;
}
std::string inside(const std::string& text) {
  return hint("{{ with secret \"kv/data/app\" }}{{ " + text + " }}{{ end }}");
}

TEST_CASE("a function that is not there: the nearest name is said") {
  CHECK(hint("{{ toUper \"x\" }}") == "did you mean \"toUpper\"?");
  CHECK(hint("{{ base64 \"x\" }}") == "did you mean \"base64Decode\" or \"base64Encode\"?");
  CHECK(hint("{{ b64enc \"x\" }}") == "did you mean \"sprig_b64enc\"?");
  CHECK(hint("{{ \"\" | default \"x\" }}") == "did you mean \"sprig_default\"?");
  CHECK(hint("{{ tojson \"x\" }}") == "did you mean \"toJSON\"?");
  CHECK(hint("{{ sort \"x\" }}") == "did you mean \"sprig_sortAlpha\"?");
  CHECK(hint("{{ include \"x\" . }}") == "did you mean \"executeTemplate\"?");
  CHECK(inside("Data.data.api_key") == "write .Data");
  CHECK(inside("data.data.api_key") == "write .Data");
  CHECK(hint("{{ attr \"x\" }}").empty());
  CHECK(hint("{{ xyzzyx \"x\" }}").empty());
  CHECK(hint("{{ key \"x\" }}").empty());  // the error itself says that it is Consul's
}

TEST_CASE("a block that is not closed is named with its place") {
  CHECK(hint("a\n{{ with secret \"x\" }}\nb") ==
        "{{ end }} is missing for {{ with at line 2, column 1");
  CHECK(hint("{{ if true }}{{ range loop 3 }}{{ end }}") ==
        "{{ end }} is missing for {{ if at line 1, column 1");
  CHECK(hint("{{ if true }}{{/* {{ end }} */}}x") ==
        "{{ end }} is missing for {{ if at line 1, column 1");
  CHECK(hint("{{ if eq \"{{ end }}\" \"a\" }}x") ==
        "{{ end }} is missing for {{ if at line 1, column 1");
  CHECK(hint("{{- define \"t\" -}}x") == "{{ end }} is missing for {{ define at line 1, column 1");
  CHECK(hint("x {{ end }}") == "there is one end too many, or a block's beginning is missing");
  CHECK(error("[[ if true ]]x", {.left_delimiter = "[[", .right_delimiter = "]]"}).hint ==
        "[[ end ]] is missing for [[ if at line 1, column 1");
}

TEST_CASE("quotes that are none") {
  CHECK(hint("{{ secret 'kv/data/app' }}") ==
        "texts stand in double quotes or backticks: \"text\"");
  CHECK(hint("{{ secret 'x' }}") == "texts stand in double quotes or backticks: \"text\"");
  CHECK(hint("{{ secret \xe2\x80\x9ckv/data/app\xe2\x80\x9d }}") ==
        "a typographic quote: texts stand in straight double quotes");
}

TEST_CASE("a key with a dash") {
  const TemplateError at = error("{{ with secret \"x\" }}\n{{ .Data.data.api-key }}{{ end }}");
  CHECK(at.line == 2);
  CHECK(at.column == std::string("{{ .Data.data.api").size());
  CHECK(inside(".Data.data.api-key") ==
        "a key with a dash is read by index: index .Data.data \"api-key\"");
  CHECK(inside("$.x.a-b-c | toUpper") == "a key with a dash is read by index: index $.x \"a-b-c\"");
}

TEST_CASE("keys that begin with a digit, or have a dot in them") {
  CHECK(inside(".Data.data.1st") ==
        "a key that begins with a digit is read by index: index .Data.data \"1st\"");
  CHECK(inside("$.x.2fa | toUpper") ==
        "a key that begins with a digit is read by index: index $.x \"2fa\"");
  CHECK(inside("1.5x").empty());
  CHECK(inside(".Data.data.tls.crt") == "a key with a dot is read by index: \"tls.crt\"");
}

TEST_CASE("a key that may be missing, where somebody asks whether it is there") {
  const std::string by_index =
      "a key that may be missing is read by index: index .Data.data \"x\"; or set "
      "error_on_missing_key = false";
  const std::string open = "{{ with secret \"kv/data/app\" }}";
  for (const char* action :
       {"{{ if .Data.data.x }}a{{ end }}", "{{- with .Data.data.x }}a{{ end }}",
        "{{ or .Data.data.x \"d\" }}", "{{ .Data.data.x | sprig_default \"d\" }}",
        "{{ if false }}{{ else if and true .Data.data.x }}{{ end }}"}) {
    CAPTURE(action);
    CHECK(hint(open + action + "{{ end }}") == by_index);
  }
  CHECK(inside(".Data.data.x").empty());
  CHECK(inside("index .Data.data \"x\" | sprig_default \"d\"").empty());
}

TEST_CASE("what other languages have: brackets, operators, words") {
  const std::string by_index =
      "an element or a key is read by index: index .hosts 0, index .Data.data \"key\"";
  CHECK(inside(".Data.data[\"api_key\"]") == by_index);
  CHECK(inside(".Data.data.hosts[0]") == by_index);
  for (const char* text : {"{{ if .x == \"a\" }}{{ end }}", "{{ if .x = \"a\" }}{{ end }}"})
    CHECK(hint(text) == "values are compared by eq: eq .a \"b\"");
  for (const char* text : {"{{ .x || \"a\" }}", "{{ if .x && .y }}{{ end }}"})
    CHECK(hint(text) == "conditions are combined by and, or: or .a \"b\"");
  CHECK(hint("{{ | x }}").empty());
  CHECK(hint("{{ if true }}{{ elif false }}{{ end }}") == "did you mean \"else if\"?");
  CHECK(hint("{{ if true }}{{ endif }}") == "did you mean \"end\"?");
  CHECK(hint("{{ for x }}{{ end }}") == "did you mean \"range\"?");
  CHECK(inside(".Data.data.api_key.sub") ==
        "what it is read from is no map; a text that holds JSON is read by parseJSON");
  CHECK(hint("{{ secret \"kv/data/app\" \"api_key\" }}") ==
        "arguments are of writes; a key is read from the answer: .Data.data.KEY");
}

TEST_CASE("a comment that begins too late") {
  CHECK(hint("{{ /* c */ }}") == "a comment begins at once behind the delimiter: {{/* ... */}}");
}

TEST_CASE("fields of an answer, and numbers of a secret") {
  CHECK(inside(".data.api_key") == "write .Data");
  CHECK(inside(".api_key") ==
        "a secret has its keys in .Data (KV v2: .Data.data), as in .Data.data.api_key");
  CHECK(inside(".Data.api_key") == "a KV v2 secret has its keys in .Data.data");
  CHECK(inside("eq .Data.data.port 5432").starts_with("a number of a secret compares with a text"));
  CHECK(inside("lt .Data.data.port 9000") ==
        "a number of a secret becomes an integer by .Int64: lt .port.Int64 5432");
  CHECK(inside("add .Data.data.port 1") ==
        "a number of a secret becomes an integer by .Int64: add .port.Int64 1");
  CHECK(inside("modulo 2 .Data.data.port") ==
        "a number of a secret becomes an integer by .Int64: add .port.Int64 1");
  CHECK(inside(".Data.data.port | toUpper") ==
        "a number of a secret becomes a text by print: (print .port)");
  CHECK(inside("join \",\" .Data.data.hosts")
            .starts_with("a list of a secret is joined by sprig_join"));
}

TEST_CASE("the caret stands once, and the hint below it") {
  const std::string text = "a\n{{ toUper \"x\" }}";
  const TemplateError wrong = error(text);
  CHECK(wrong.message() == "function \"toUper\" not defined");
  CHECK(wrong.line == 2);
  CHECK(wrong.with_source(text, "a.tmpl") ==
        "template: t:2: function \"toUper\" not defined\n  --> a.tmpl:2:4\n  | {{ toUper \"x\" }}\n"
        "  |    ^\n  hint: did you mean \"toUpper\"?");
}

}  // namespace
}  // namespace keybearer::tmpl
