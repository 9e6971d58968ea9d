#include "tmpl/template.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "json/json.hpp"

namespace keybearer::tmpl {
namespace {

class OneSecret final : public DataSource {
 public:
  [[nodiscard]] const Value* find(const Dependency& dependency) override {
    return dependency.id == "vault.read(kv/data/app)" ? &answer_ : nullptr;
  }

 private:
  Value answer_ = *json::parse(R"({"data":{"data":{"user":"ann","pass":"hunter2"}}})");
};

// The text, or the error.
std::string render(std::string text, Options options = {}) {
  auto parsed = Template::parse("t", std::move(text), std::move(options));
  if (!parsed) return parsed.error().text;
  OneSecret source;
  const Execution done = parsed->execute(source);
  return done.error ? done.error->text : std::string(done.text.reveal());
}

TEST_CASE("a secret's fields are rendered") {
  CHECK(render("{{ with secret \"kv/data/app\" }}{{ .Data.data.user | toUpper }}{{ end }}") ==
        "ANN");
}

TEST_CASE("a denied function parses and fails when it is called; Go's own can't be denied") {
  const Options options{.function_denylist = {"env", "base64*", "printf"}};
  CHECK(render("{{ env \"HOME\" }}", options).ends_with("error calling env: function is disabled"));
  CHECK(render("{{ base64Encode \"x\" }}", options)
            .ends_with("error calling base64Encode: function is disabled"));
  CHECK(render("{{ if false }}{{ env \"HOME\" }}{{ end }}{{ printf \"%d\" 5 }}", options) == "5");
}

TEST_CASE("a missing key names template, line, column and key") {
  CHECK(render("\n{{ with secret \"kv/data/app\" }}{{ .Data.data.nope }}{{ end }}") ==
        "template: t:2:39: executing \"t\" at <.Data.data.nope>: map has no entry for key "
        "\"nope\"; kv/data/app has pass, user");
}

TEST_CASE("no error shows a secret's value") {
  const std::string inside = "{{ with secret \"kv/data/app\" }}";
  for (const char* text : {"{{ range .Data.data.pass }}{{ end }}", "{{ parseInt .Data.data.pass }}",
                           "{{ .Data.data.pass.x }}", "{{ index .Data.data.pass \"k\" }}",
                           "{{ lt .Data.data.pass 1 }}"}) {
    const std::string error = render(inside + text + "{{ end }}");
    CAPTURE(text);
    CHECK(error.find("template: t:1:") == 0);
    CHECK(error.find("hunter") == std::string::npos);
  }
}

TEST_CASE("another thread's stop breaks an execution off, in the middle of its rounds") {
  auto parsed = Template::parse("t", "{{ range 9000 }}{{ range 1000 }}{{ end }}{{ end }}", {});
  REQUIRE(parsed);
  std::atomic<bool> stop = false;
  Execution done;
  std::thread other([&] {
    OneSecret source;
    done = parsed->execute(source, &stop);
  });
  stop = true;
  other.join();
  REQUIRE(done.error);
  CHECK(done.error->text.find("broken off") != std::string::npos);
}

TEST_CASE("with a stop flag nothing else breaks an execution off: whoever has it, knows why") {
  auto parsed = Template::parse("t", "{{ range 100000 }}{{ end }}done",
                                {.interrupted = []() noexcept { return true; }});
  REQUIRE(parsed);
  OneSecret source;
  const std::atomic<bool> stop = false;
  CHECK(parsed->execute(source, &stop).text.reveal() == "done");
  CHECK(parsed->execute(source).error);
}

TEST_CASE("endless recursion is an error") {
  CHECK(render("{{ define \"a\" }}{{ template \"a\" }}{{ end }}{{ template \"a\" }}")
            .find("maximum template depth") != std::string::npos);
  CHECK(render("{{ define \"a\" }}{{ executeTemplate \"a\" }}{{ end }}{{ executeTemplate \"a\" }}")
            .find("maximum template depth") != std::string::npos);
}

TEST_CASE("what would never end, or fill the memory, is an error") {
  const auto refused = [](const char* text, const char* why, Options options = {}) {
    CAPTURE(text);
    CHECK(render(text, std::move(options)).find(why) != std::string::npos);
  };
  refused("{{ range 1000000 }}{{ end }}", "more than 1000 rounds of range", {.max_steps = 1000});
  refused("{{ range 1000000 }}{{ end }}", "broken off",
          {.interrupted = []() noexcept { return true; }});
  refused("{{ range loop 100 }}{{ range loop 100 }}{{ end }}{{ end }}", "more than 1000 rounds",
          {.max_steps = 1000});
  refused(
      "{{ define \"a\" }}{{ if gt . 0 }}{{ template \"a\" (subtract 1 .) }}{{ template \"a\" "
      "(subtract 1 .) }}{{ end }}{{ end }}{{ template \"a\" 64 }}",
      "calls of templates", {.max_steps = 10'000});
  refused("{{ $s := \"0123456789\" }}{{ range loop 40 }}{{ $s = print $s $s }}{{ end }}",
          "larger than 64 MiB");
  refused("{{ $l := sprig_list 1 }}{{ range loop 60 }}{{ $l = sprig_list $l $l }}{{ end }}",
          "more than 4000000 values");
  refused("{{ $l := sprig_list 1 }}{{ range loop 60 }}{{ $l = sprig_concat $l $l }}{{ end }}",
          "more than 4,000,000 elements");
  refused("{{ explodeMap (sprig_dict (sprig_repeat 100000 \"a/\") 1) }}", "too many parts");
  refused("{{ printf \"%999999d\" 1 | sprig_repeat 1000 }}", "Repeat output length overflow");
}

TEST_CASE("a chain of maps of any length is freed and not printed") {
  const std::string chain =
      "{{ $m := sprig_dict }}{{ $c := $m }}{{ range loop 100000 }}{{ $n := sprig_dict }}"
      "{{ $_ := sprig_set $c \"a\" $n }}{{ $c = $n }}{{ end }}";
  CHECK(render(chain) == "");
  CHECK(render(chain + "{{ $m }}").find("nested too deeply") != std::string::npos);
  CHECK(render(chain + "{{ toJSON $m }}").find("nested too deeply") != std::string::npos);
}

TEST_CASE("recursion that ends is as deep as it is") {
  CHECK(
      render(
          "{{ define \"d\" }}{{ if gt . 0 }}{{ template \"d\" (subtract 1 .) }}{{ end }}.{{ end }}"
          "{{ template \"d\" 300 }}") == std::string(301, '.'));
}

TEST_CASE("of a denied name's characters only the star is special") {
  const auto denied = [](const char* pattern) {
    return render("{{ toUpper \"a\" }}", {.function_denylist = {pattern}}) != "A";
  };
  for (const char* pattern : {"*", "to*", "*per", "*U*", "t*p*r", "toUpper", "toUpper*"}) {
    CAPTURE(pattern);
    CHECK(denied(pattern));
  }
  for (const char* pattern : {"", "to", "?oUpper", "[t]oUpper", "TOUPPER", "*x*", "toUpper?"}) {
    CAPTURE(pattern);
    CHECK_FALSE(denied(pattern));
  }
}

TEST_CASE("Consul's functions are known and refused") {
  CHECK(render("{{ key \"a\" }}") ==
        "template: t:1: function \"key\" is a Consul function; keybearer reads Vault and OpenBao "
        "only");
}

}  // namespace
}  // namespace keybearer::tmpl
