#pragma once
// A template's text, or its error, for the tests of functions. The one secret is kv/data/app.

#include <string>

#include "json/json.hpp"
#include "tmpl/template.hpp"

namespace keybearer::tmpl {

class AppSecret final : public DataSource {
 public:
  [[nodiscard]] const Value* find(const Dependency& dependency) override {
    return dependency.id == "vault.read(kv/data/app)" ? &answer : nullptr;
  }
  Value answer = *json::parse(
      R"({"data":{"data":{"user":"ann","pass":"hunter2","port":5432,"hosts":["b","a"],)"
      R"("url":"https://u:hunter2@h:x/","map":{"a":1}}}})");
};

inline std::string render(std::string text, DataSource& source) {
  auto parsed = Template::parse("t", std::move(text), {});
  if (!parsed) return parsed.error().text;
  const Execution done = parsed->execute(source);
  return done.error ? done.error->text : std::string(done.text.reveal());
}
inline std::string render(std::string text) {
  AppSecret source;
  return render(std::move(text), source);
}
// With $d for the secret's data.
inline std::string render_app(const std::string& text) {
  return render("{{ $d := (secret \"kv/data/app\").Data.data }}" + text);
}

}  // namespace keybearer::tmpl
