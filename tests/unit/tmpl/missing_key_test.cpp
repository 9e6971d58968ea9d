// With error_on_missing_key nothing that is not there, and no null, is printed (behaviour.md R5).

#include <doctest/doctest.h>

#include <random>

#include "json/json.hpp"
#include "tmpl/template.hpp"

namespace keybearer::tmpl {
namespace {

class Store final : public DataSource {
 public:
  [[nodiscard]] const Value* find(const Dependency& dependency) override {
    if (dependency.kind == Dependency::Kind::write) return &nothing_;
    return dependency.path == "kv/data/app" ? &v2_ : dependency.path == "kv1/app" ? &v1_ : nullptr;
  }

 private:
  Value v2_ = *json::parse(
      R"({"data":{"data":{"api_key":"k","user":"ann","void":null,"hosts":["a",null,"c"],)"
      R"("names":["a","b"],"db":{"host":"h","port":5432,"pass":null}},"metadata":{"version":1}}})");
  Value v1_ = *json::parse(R"({"data":{"user":"ann","void":null}})");
  Value nothing_;
};

Execution execute(const std::string& text, bool strict = true) {
  auto parsed = Template::parse("a.conf", text, {.error_on_missing_key = strict});
  REQUIRE_MESSAGE(parsed, parsed.error().text);
  Store store;
  return parsed->execute(store);
}
// With $d for the data of the secret.
std::string inside(const std::string& text) {
  return "{{ $d := (secret \"kv/data/app\").Data.data }}\n" + text;
}

TEST_CASE("a null key of a secret is named, where the template does not name it, too") {
  const auto said = [](const std::string& text) { return execute(text).error->text; };
  CHECK(said(inside("{{ range $k, $v := $d }}{{ if not (in \"hosts db\" $k) }}{{ $v }}{{ end }}{{ "
                    "end }}"))
            .contains("key \"void\" in kv/data/app is null"));
  CHECK(said("{{ range (secret \"kv1/app\").Data }}{{ . }}{{ end }}")
            .contains("key \"void\" in kv1/app is null"));
  CHECK_FALSE(
      said(inside("{{ range $d.db }}{{ . }}{{ end }}")).contains("pass"));  // may be a value
}

TEST_CASE("nothing that is missing or null is printed, by whatever way") {
  for (const char* text : {"{{ $d.nope }}",
                           "{{ $d.void }}",
                           "{{ $d.db.nope }}",
                           "{{ $d.db.pass }}",
                           "{{ $d.void.deeper }}",
                           "{{ $d.nope.deeper }}",
                           "{{ index $d \"api-key\" }}",
                           "{{ index $d \"void\" }}",
                           "{{ index $d \"db\" \"nope\" }}",
                           "{{ index $d \"nope\" \"deeper\" }}",
                           "{{ index $d.hosts 1 }}",
                           "{{ (index $d \"nope\").x }}",
                           "{{ range $d.hosts }}{{ . }}{{ end }}",
                           "{{ range $k, $v := $d.db }}{{ $v }}{{ end }}",
                           "{{ range index $d \"nope\" }}x{{ end }}",
                           "{{ $x := index $d \"nope\" }}{{ $x }}",
                           "{{ $x := $d.void }}{{ $x }}",
                           "{{ $x := \"a\" }}{{ $x = $d.void }}{{ $x }}",
                           "{{ print $d.void }}",
                           "{{ println $d.void }}",
                           "{{ print \"a\" (index $d \"nope\") }}",
                           "{{ printf \"%v\" $d.void }}",
                           "{{ printf \"%s\" $d.void }}",
                           "{{ printf \"%d\" $d.void }}",
                           "{{ printf \"%q\" $d.void }}",
                           "{{ printf \"%s\" (index $d \"nope\") }}",
                           "{{ printf \"%v\" $d.hosts }}",
                           "{{ $d.void | printf \"%s\" }}",
                           "{{ $d }}",
                           "{{ print $d }}",
                           "{{ $d.hosts }}",
                           "{{ scratch.Get \"unset\" }}",
                           "{{ scratch.Set \"x\" $d.void }}{{ scratch.Get \"x\" }}",
                           "{{ scratch.Get \"unset\" | printf \"%v\" }}",
                           "{{ toJSON (index $d \"nope\") }}",
                           "{{ index $d \"nope\" | toJSON }}",
                           "{{ toJSONPretty (index $d \"nope\") }}",
                           "{{ toUnescapedJSON (index $d \"nope\") }}",
                           "{{ toYAML (index $d \"nope\") }}",
                           "{{ toTOML $d.void }}",
                           "{{ sprig_toJson (index $d \"nope\") }}",
                           "{{ join $d.void \",\" }}",
                           "{{ join (index $d \"nope\") \",\" }}",
                           "{{ sprig_join \",\" $d.hosts }}",
                           "{{ sprig_join \",\" $d.void }}",
                           "{{ toUpper $d.void }}",
                           "{{ $d.void | trimSpace }}",
                           "{{ index $d \"nope\" | toLower }}",
                           "{{ base64Encode $d.void }}",
                           "{{ parseInt $d.void }}",
                           "{{ sprig_int $d.void }}",
                           "{{ sprig_quote $d.void }}",
                           "{{ sprig_toString $d.void }}",
                           "{{ sprig_cat $d.void }}",
                           "{{ html $d.void }}",
                           "{{ js $d.void }}",
                           "{{ urlquery $d.void }}",
                           "{{ len $d.void }}",
                           "{{ or $d.void (index $d \"nope\") }}",
                           "{{ and $d.void \"x\" }}",
                           "{{ sprig_default $d.void (index $d \"nope\") }}",
                           "{{ . }}",
                           "{{ $ }}",
                           "{{ define \"t\" }}{{ . }}{{ end }}{{ template \"t\" $d.void }}",
                           "{{ define \"t\" }}{{ . }}{{ end }}{{ template \"t\" }}",
                           "{{ define \"t\" }}{{ . }}{{ end }}{{ executeTemplate \"t\" $d.void }}",
                           "{{ with (secret \"kv/data/app\").Auth }}x{{ else }}{{ (secret "
                           "\"kv/data/app\").Auth }}{{ end }}",
                           "{{ print (secret \"sys/x\" \"a=b\") }}",
                           "{{ printf \"%v\" nil }}",
                           "{{ (index (sprig_list nil) 0) }}"}) {
    CAPTURE(text);
    const Execution done = execute(inside(text));
    REQUIRE(done.error.has_value());
    CHECK(done.error->text.starts_with("template: a.conf:2:"));
    CHECK(done.error->line == 2);
    CHECK(done.text.empty());
  }
}

TEST_CASE(
    "the error names the key, where it was looked for, what is there, and what may be meant") {
  const auto error = [](const std::string& text) { return execute(inside(text)).error.value(); };
  CHECK(
      error("{{ index $d \"api-key\" }}").text ==
      "template: a.conf:2:3: executing \"a.conf\" at <index $d \"api-key\">: no key \"api-key\" in "
      "kv/data/app; it has api_key, db, hosts, names, user, void; did you mean \"api_key\"?");
  CHECK(error("{{ $d.api_kee }}").text ==
        "template: a.conf:2:5: executing \"a.conf\" at <$d.api_kee>: map has no entry for key "
        "\"api_kee\"; kv/data/app has api_key, db, hosts, names, user, void; did you mean "
        "\"api_key\"?");
  CHECK(error("{{ $d.void }}").text.ends_with("key \"void\" in kv/data/app is null"));
  CHECK(error("{{ printf \"%s\" $d.db.pass }}")
            .text.ends_with("at <$d.db.pass>: key \"pass\" in kv/data/app (in db) is null"));
  CHECK(error("{{ range $d.hosts }}{{ . }}{{ end }}")
            .text.ends_with("element 1 of the list in kv/data/app (in hosts) is null"));
  CHECK(error("{{ scratch.Get \"unset\" }}").text.ends_with("scratch has no value for \"unset\""));
  CHECK(error("{{ . }}").text.ends_with(
      "the dot is nothing here: it is set by with, range and template"));
  const auto flat = error("{{ (secret \"kv/data/app\").Data.user }}");
  CHECK(flat.hint == "a KV v2 secret has its keys in .Data.data");
  CHECK(error("{{ (secret \"kv1/app\").Data.data.user }}").hint ==
        "this secret is not of KV v2: its keys are in .Data");
}

TEST_CASE("what may come is told from what is wrong by itself") {
  for (const char* text : {"{{ $d.nope }}", "{{ index $d \"nope\" }}", "{{ $d.void }}",
                           "{{ printf \"%s\" $d.void }}", "{{ range $d.hosts }}{{ . }}{{ end }}",
                           "{{ $d.void.deeper }}", "{{ scratch.Get \"unset\" }}"}) {
    CAPTURE(text);
    CHECK(execute(inside(text)).error.value().missing_key);
  }
  for (const char* text : {"{{ . }}", "{{ print nil }}", "{{ print (secret \"sys/x\" \"a=b\") }}",
                           "{{ (secret \"kv/data/app\").Auth }}"}) {
    CAPTURE(text);
    CHECK_FALSE(execute(inside(text)).error.value().missing_key);
  }
}

TEST_CASE("no name that was made of a secret's value is shown") {
  for (const char* text :
       {"{{ $m := sprig_dict $d.user 1 }}{{ index $m \"x\" }}", "{{ scratch.Get $d.user }}",
        "{{ index $d.db $d.user }}", "{{ $m := sprig_dict $d.user nil }}{{ print $m }}"}) {
    CAPTURE(text);
    const Execution done = execute(inside(text));
    REQUIRE(done.error.has_value());
    CHECK(done.error->text.find("\"ann\"") == std::string::npos);
    CHECK(done.error->text.find("has ann") == std::string::npos);
    CHECK(done.error->text.find("ann of it") == std::string::npos);
  }
}

TEST_CASE("what asks whether it is there may ask") {
  const std::pair<const char*, const char*> cases[] = {
      {"{{ if $d.void }}a{{ else }}b{{ end }}", "b"},
      {"{{ if index $d \"nope\" }}a{{ else }}b{{ end }}", "b"},
      {"{{ with index $d \"nope\" }}a{{ else }}b{{ end }}", "b"},
      {"{{ with $d.void }}a{{ end }}", ""},
      {"{{ range $d.void }}a{{ end }}", ""},
      {"{{ range index $d \"nope\" }}a{{ else }}b{{ end }}", "b"},
      {"{{ or (index $d \"nope\") \"b\" }}", "b"},
      {"{{ or $d.void \"b\" }}", "b"},
      {"{{ and $d.void \"b\" | not }}", "true"},
      {"{{ $d.void | sprig_default \"b\" }}", "b"},
      {"{{ sprig_default \"b\" (index $d \"nope\") }}", "b"},
      {"{{ sprig_coalesce $d.void (index $d \"nope\") \"b\" }}", "b"},
      {"{{ sprig_ternary \"a\" \"b\" (sprig_empty $d.void) }}", "a"},
      {"{{ eq $d.void nil }} {{ ne $d.user nil }}", "true true"},
      {"{{ sprig_kindOf $d.void }}", "invalid"},
      {"{{ sprig_hasKey $d \"nope\" }}", "false"},
      {"{{ sprig_compact $d.hosts | sprig_join \",\" }}", "a,c"},
      {"{{ $d.db | toJSON }}", R"({"host":"h","pass":null,"port":5432})"},
      {"{{ $d.names }}", "[a b]"},
      {"{{ $d.void | toJSON }} {{ toYAML $d.void }} {{ sprig_toJson $d.void }}", "null null null"},
      {"{{ secret \"sys/x\" \"a=b\" }}", ""},  // a write without an answer
      {"{{ scratch.Get \"x\" | sprig_default \"b\" }}", "b"},
      {"{{ $x := $d.void }}{{ if not $x }}b{{ end }}", "b"}};
  for (const auto& [text, expected] : cases) {
    CAPTURE(text);
    const Execution done = execute(inside(text));
    CHECK_MESSAGE(!done.error, done.error.value_or(TemplateError{}).text);
    CHECK(done.text.reveal() == "\n" + std::string(expected));
  }
}

TEST_CASE("values that are no maps print as ever") {
  for (const char* text :
       {"{{ sprig_toDate \"2006-01-02\" \"2026-01-02\" }}", "{{ sprig_semver \"1.2.3\" }}",
        "{{ print scratch | len }}", "{{ printf \"%v\" (sprig_semver \"1.2.3\") }}",
        "{{ secret \"kv1/app\" | sprig_kindOf }}", "{{ $d.names }}{{ 1 }}{{ true }}"}) {
    CAPTURE(text);
    const Execution done = execute(inside(text));
    CHECK_MESSAGE(!done.error, done.error.value_or(TemplateError{}).text);
  }
}

TEST_CASE("without error_on_missing_key it is Go's") {
  const std::pair<const char*, const char*> cases[] = {
      {"{{ $d.nope }}", "<no value>"},           {"{{ $d.void }}", "<no value>"},
      {"{{ index $d \"nope\" }}", "<no value>"}, {"{{ printf \"%s\" $d.void }}", "%!s(<nil>)"},
      {"{{ print $d.hosts }}", "[a <nil> c]"},   {"{{ toJSON $d.nope }}", "null"},
      {"{{ scratch.Get \"x\" }}", "<no value>"}};
  for (const auto& [text, expected] : cases) {
    CAPTURE(text);
    CHECK(execute(inside(text), false).text.reveal() == "\n" + std::string(expected));
  }
}

TEST_CASE(
    "what hangs on a missing secret is left out of the pass: nothing is asked for by half a name") {
  const auto missing = [](const std::string& text) {
    std::vector<std::string> paths;
    for (const auto& dependency : execute(text).missing) paths.push_back(dependency.path);
    return paths;
  };
  using Paths = std::vector<std::string>;
  const std::string a = "(secret \"kv/a\").Data.data.x", b = "(secret \"kv/b\").Data.data.x";
  CHECK(missing("{{ " + a + " }}{{ " + b + " | toUpper }}") == Paths{"kv/a", "kv/b"});
  CHECK(missing("{{ secret (printf \"kv/%s\" " + a + ") }}{{ " + b + " }}") ==
        Paths{"kv/a", "kv/b"});
  CHECK(missing("{{ secret (print \"x\" (secrets \"kv/l\")) }}") == Paths{"kv/l"});
  CHECK(missing("{{ $f := file \"/f\" }}{{ $j := parseJSON $f }}{{ secret $j.path }}") ==
        Paths{"/f"});
  CHECK(missing("{{ define \"t\" }}{{ " + a + " }}{{ end }}{{ secret (executeTemplate \"t\") }}") ==
        Paths{"kv/a"});
}

// A random template over values with nulls: it prints text without a trace of nil, or it fails.
class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  std::string text() {
    std::string out = "{{ $d := (secret \"kv/data/app\").Data.data }}{{ $x := \"s\" }}";
    for (unsigned i = 0; i < 1 + pick(4); ++i) out += action(3);
    return out;
  }

 private:
  unsigned pick(unsigned count) { return static_cast<unsigned>(random_() % count); }
  std::string value(int depth) {
    static constexpr const char* kLeaves[] = {"$d.user",
                                              "$d.void",
                                              "$d.hosts",
                                              "$d.names",
                                              "$d.db",
                                              "$d.db.pass",
                                              "$d.nope",
                                              "$x",
                                              ".",
                                              "(index $d \"nope\")",
                                              "(index $d.hosts 1)",
                                              "(index $d \"db\" \"pass\")",
                                              "(scratch.Get \"k\")",
                                              "\"text\"",
                                              "nil",
                                              "(secret \"kv1/app\").Data.void",
                                              "(sprig_list nil)"};
    static constexpr const char* kUnary[] = {
        "toJSON",    "print",       "toUpper",        "sprig_quote", "len",
        "sprig_cat", "urlquery",    "sprig_toString", "trimSpace",   "not",
        "toYAML",    "sprig_first", "html",           "base64Encode"};
    static constexpr const char* kBinary[] = {"printf \"%s-%v\"",
                                              "or",
                                              "and",
                                              "sprig_default",
                                              "sprig_list",
                                              "print",
                                              "sprig_coalesce",
                                              "println",
                                              "sprig_join",
                                              "eq",
                                              "printf \"%d %q\""};
    if (depth == 0 || pick(3) == 0) return kLeaves[pick(std::size(kLeaves))];
    if (pick(2) == 0)
      return "(" + std::string(kUnary[pick(std::size(kUnary))]) + " " + value(depth - 1) + ")";
    return "(" + std::string(kBinary[pick(std::size(kBinary))]) + " " + value(depth - 1) + " " +
           value(depth - 1) + ")";
  }
  std::string action(int depth) {
    const std::string of = value(2);
    switch (depth == 0 ? pick(3) : pick(8)) {
      case 3:
        return "{{ range $x = " + of + " }}" + action(depth - 1) + "{{ else }}e{{ end }}";
      case 4:
        return "{{ with " + of + " }}" + action(depth - 1) + "{{ end }}";
      case 5:
        return "{{ if " + of + " }}" + action(depth - 1) + "{{ else }}" + action(depth - 1) +
               "{{ end }}";
      case 6:
        return "{{ scratch.Set \"k\" " + of + " }}";
      case 7:
        return "{{ $x = " + of + " }}";
      default:
        return "{{ " + of + " }}";
    }
  }

  std::mt19937 random_;
};

TEST_CASE("no random template prints a trace of nil") {
  int printed = 0, failed = 0;
  for (unsigned seed = 0; seed < 20'000; ++seed) {
    const std::string text = Generator(seed).text();
    if (!Template::parse("t", text, {})) continue;  // nil is not a command
    const Execution done = execute(text);
    (done.error ? failed : printed) += 1;
    if (done.error) continue;
    const std::string out(done.text.reveal());
    CAPTURE(text);
    CAPTURE(out);
    // null is written by toJSON and toYAML of what holds one.
    const bool json =
        text.find("toJSON") != std::string::npos || text.find("toYAML") != std::string::npos;
    REQUIRE(out.find("<no value>") == std::string::npos);
    REQUIRE(out.find("<nil>") == std::string::npos);
    REQUIRE((json || out.find("null") == std::string::npos));
  }
  CHECK(printed > 1000);
  CHECK(failed > 1000);
}

}  // namespace
}  // namespace keybearer::tmpl
