// Any text as a template, evaluated with one secret: no crash, no endless loop.

#include <string>

#include "json/json.hpp"
#include "tmpl/template.hpp"

namespace {

using namespace keybearer;

class OneSecret final : public tmpl::DataSource {
 public:
  [[nodiscard]] const Value* find(const tmpl::Dependency& dependency) override {
    return dependency.path.size() % 2 == 0 ? &answer_ : nullptr;
  }

 private:
  Value answer_ = *json::parse(
      R"({"lease_duration":3600,"data":{"a":1,"b":"two","list":[1,"x",null],"data":{"k":"v"}}})");
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size > 4096) return 0;
  std::string text(reinterpret_cast<const char*>(data), size);
  tmpl::Options options;
  options.error_on_missing_key = size % 2 == 0;
  options.function_denylist = {"writeToFile",   "spew_dump",    "spew_printf",  // they act outside
                               "sprig_gen*",    "sprig_*crypt", "sprig_derivePassword",
                               "sprig_htpasswd"};  // slow on purpose
  options.max_steps = 2'000;
  auto parsed = tmpl::Template::parse("t", std::move(text), std::move(options));
  OneSecret source;
  if (parsed) (void)parsed->execute(source);
  return 0;
}
