#pragma once
// A template of Go's language (text/template with consul-template's functions): parsed once,
// evaluated often.
//
//     auto parsed = tmpl::Template::parse("app.env", text, options);
//     auto output = parsed->evaluate(source);
//     if (output && output->missing.empty()) write(output->text);
//
// An evaluation asks its DataSource for each secret it meets. What is not there yet is recorded as
// missing, and the template sees nil (consul-template's passes): the caller fetches what is missing
// and evaluates again.
//
// Source: Go's text/template and text/template/parse (1.26), consul-template 0.41
// template/funcs.go.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "json/value.hpp"

namespace keybearer::tmpl {

// Something that a template asked for. Two with the same id are one.
struct Dependency {
  enum class Kind { read, write, list, file, pki };
  Kind kind = Kind::read;
  std::string path = {};  // as in the template, trimmed; without the query part
  std::vector<std::pair<std::string, std::string>> args =
      {};                        // write, pki: k=v, later duplicates won, values may be secret
  std::string version = {};      // read: of ?version=N
  std::string destination = {};  // pki: the file that the template is for
  std::string id = {};  // consul-template's: "vault.read(kv/data/app)"; nothing secret in it

  friend bool operator==(const Dependency& a, const Dependency& b) { return a.id == b.id; }
};

// Answers what templates ask. Implemented by secrets/store and by tests.
class DataSource {
 public:
  virtual ~DataSource() = default;
  // The answer when it is there; nullptr when not (yet). What the value is, by kind:
  //   read, write  the server's whole answer (its envelope as a map; nil after a 204)
  //   list         strings, any order;  file  string
  //   pki          a map: Cert, Key, CA (string), CAChain (strings)
  [[nodiscard]] virtual const Value* find(const Dependency& dependency) = 0;
  // Grows with each new answer; 0: none yet. What was evaluated with the same generations need not
  // be evaluated again.
  [[nodiscard]] virtual std::uint64_t generation(const Dependency&) const { return 0; }
  // Why there is no answer: still on its way, or the server said that it is not there or not
  // permitted.
  enum class Absence { pending, absent, denied };
  [[nodiscard]] virtual Absence absence(const Dependency&) const { return Absence::pending; }
};

struct Options {
  std::string left_delimiter = "{{";  // empty: the default, as in Go
  std::string right_delimiter = "}}";
  bool error_on_missing_key = true;  // missingkey=error, else Go's zero
  std::string sandbox_path = {};
  std::vector<std::string> function_denylist = {};  // names or globs
  // Rounds of range and calls of templates in one evaluation: more are an error.
  std::size_t max_steps = 10'000'000;
  std::chrono::seconds max_time{5};  // of one evaluation, looked at once in a thousand such steps
  // Asked as often, and while a plugin runs: true breaks the evaluation off, with an error.
  bool (*interrupted)() noexcept = nullptr;
  bool allow_plugin = false;     // may `plugin` start programs
  bool dry_run = false;          // writeToFile writes nothing
  std::string destination = {};  // pkiCert's id has it
  // The environment that `env` sees; nullopt when not set. Default: the process's own.
  std::function<std::optional<std::string>(const std::string&)> env = {};
  std::function<WallTime()> now = {};  // what `timestamp` sees; default: the wall clock
};

struct TemplateError {
  std::string text;  // Go's own: "template: app.env:3:9: executing \"app.env\" at <.Data.x>: map
                     // has no entry ..."
  std::size_t line = 0;    // from 1; 0: no place
  std::size_t column = 0;  // byte offset from 0
  bool missing_key =
      false;  // error_on_missing_key found a key that is not there: a default may stand in
  // What had been asked for until then. With something missing, the error may only be for lack of
  // it.
  std::vector<Dependency> used = {}, missing = {};
  // The text, the place as an editor takes it ("--> app.env:3:10", or without a file's name "line
  // 3, column 10"; columns from 1), the source line and a caret under the column. All of it is the
  // template's own, nothing secret.
  [[nodiscard]] std::string with_source(std::string_view template_text,
                                        std::string_view name = {}) const;
};

// Bytes [begin, end) of a text.
struct Range {
  std::size_t begin = 0, end = 0;
};

struct Output {
  Secret text;
  std::vector<Range> printed;       // what actions printed; the rest is the template's own text
  std::vector<Dependency> used;     // in the order of first use
  std::vector<Dependency> missing;  // not empty: the text is not to be used
};

class Template {
 public:
  // Names of functions and variables are resolved here; so every template error that needs no data
  // is found at start.
  [[nodiscard]] static std::expected<Template, TemplateError> parse(std::string name,
                                                                    std::string text,
                                                                    Options options);
  // The same template may be evaluated again and again; each evaluation starts from nothing
  // (scratch is empty).
  [[nodiscard]] std::expected<Output, TemplateError> evaluate(DataSource& source) const;

  [[nodiscard]] const std::string& name() const;
  [[nodiscard]] const std::string& text() const;

  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

 private:
  struct Impl;
  explicit Template(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The dependency that `{{ secret "PATH" "k=v"... }}` makes, for those who ask without a template
// ([env] secret = ...).
[[nodiscard]] result<Dependency> read_dependency(std::string_view path);
// One version of it, as PATH?version=N means it.
[[nodiscard]] Dependency of_version(Dependency read, const std::string& version);
[[nodiscard]] Dependency write_dependency(std::string_view path,
                                          std::vector<std::pair<std::string, std::string>> args);

}  // namespace keybearer::tmpl
