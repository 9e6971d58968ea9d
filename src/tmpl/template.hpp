#pragma once
// A template of Go's language (text/template with consul-template's functions): parsed once,
// evaluated often.
//
//     auto parsed = tmpl::Template::parse("app.env", text, options);
//     auto done = parsed->execute(source);
//     if (done.complete()) write(done.text), carry_out(done.effects);
//
// An execution asks its DataSource for each secret it meets. What is not there yet is recorded as
// missing (consul-template's passes): what hangs on it is left out of this pass, the caller fetches
// what is missing and executes again. What has an effect outside happens in complete passes only (behaviour.md R7):
// writeToFile is handed back as a FileEffect, and `plugin` is started in a second pass, when the
// first one found that nothing before it is missing.
//
// Source: Go's text/template and text/template/parse (1.26), consul-template 0.41
// template/funcs.go.

#include <atomic>
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
  // read, write: of a [[secret]] that is named; not given: the one that its rule has.
  std::optional<std::string> vault_namespace = {};
  std::string sandbox = {};  // file: the directory that it is read beneath (sandbox.hpp); or empty
  std::string id = {};       // consul-template's: "vault.read(kv/data/app)"; nothing secret in it

  // A write to the server: only asked for in a pass that lacks nothing else.
  [[nodiscard]] bool has_effect() const { return kind == Kind::write || kind == Kind::pki; }
  friend bool operator==(const Dependency& a, const Dependency& b) { return a.id == b.id; }
};

// Answers what templates ask. Implemented by secrets/store and by tests.
class DataSource {
 public:
  virtual ~DataSource() = default;
  // The answer when it is there; nullptr when not (yet); unchanged while a template is executed.
  // What the value is, by kind:
  //   read, write  the server's whole answer (its envelope as a map; nil after a 204)
  //   list         strings, any order;  file  string
  //   pki          a map: Cert, Key, CA (string), CAChain (strings)
  [[nodiscard]] virtual const Value* find(const Dependency& dependency) = 0;
  // Grows with each new answer; 0: none yet. What was evaluated with the same generations need not
  // be evaluated again.
  [[nodiscard]] virtual std::uint64_t generation(const Dependency&) const { return 0; }
  // Why there is no answer: still on its way, the server said that it is not there or not permitted,
  // or there was one that is not to be used any more (on_stale and on_error = "default").
  enum class Absence { pending, absent, denied, withheld };
  [[nodiscard]] virtual Absence absence(const Dependency&) const { return Absence::pending; }
};

struct Options {
  std::string left_delimiter = "{{";  // empty: the default, as in Go
  std::string right_delimiter = "}}";
  bool error_on_missing_key = true;  // missingkey=error, else Go's zero
  std::string sandbox_path = {};     // what file, writeToFile and plugin are bound to; or empty
  std::vector<std::string> function_denylist = {};  // names or globs
  // Rounds of range and calls of templates in one evaluation: more are an error.
  std::size_t max_steps = 10'000'000;
  std::chrono::seconds max_time{5};  // of one execution, what plugins take apart
  // Where no `stop` is given, asked about once in a millisecond, in the executing thread: true
  // breaks the execution off, with an error.
  bool (*interrupted)() noexcept = nullptr;
  bool allow_plugin = false;  // may `plugin` start programs
  // The reference in every detail, for the golden vectors: with error_on_missing_key too nil prints
  // as "<no value>" (R5 says it is an error), and a pass goes on with nil for what is missing.
  bool as_reference = false;
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
  std::string hint = {};  // what to write instead; empty: none is known
  // The text without its place: "executing "app.env" at <.Data.x>: map has no entry ...".
  [[nodiscard]] std::string_view message() const;
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

// A file that the template writes besides its output (writeToFile). Carried out by the caller, in
// order, when the pass is complete; that its bytes changed is a change of the template.
struct FileEffect {
  std::string path;
  std::string user = {}, group = {};  // names or numbers; empty: as it is
  unsigned mode = 0600;               // permission bits
  bool append = false;
  std::shared_ptr<const Secret> content;
  std::string sandbox = {};  // the directory that it must stay in, without links; or empty
  // Where it is called, for an error: Go's text up to ": error calling writeToFile".
  std::string context = {};
};

// A dependency that was asked for, and the generation of the answer; 0: none yet.
struct Use {
  Dependency dependency;
  std::uint64_t generation = 0;
};

struct Execution {
  Secret text;
  std::vector<Range> printed;       // what actions printed; the rest is the template's own text
  std::vector<Use> used;            // in the order of first use
  std::vector<Dependency> missing;  // not empty: the text is not to be used
  std::vector<FileEffect> effects;  // empty unless complete
  // With something missing, the error may only be for lack of it.
  std::optional<TemplateError> error;

  [[nodiscard]] bool complete() const { return !error && missing.empty(); }
};

class Template {
 public:
  // Names of functions and variables are resolved here; so every template error that needs no data
  // is found at start.
  [[nodiscard]] static std::expected<Template, TemplateError> parse(std::string name,
                                                                    std::string text,
                                                                    Options options);
  // The same template may be executed again and again, in any thread: an execution starts from
  // nothing (scratch is empty), writes no log and touches nothing but `source`. `stop`, set by
  // another thread, breaks it off, with an error.
  [[nodiscard]] Execution execute(DataSource& source,
                                  const std::atomic<bool>* stop = nullptr) const;

  [[nodiscard]] const std::string& name() const;
  [[nodiscard]] const std::string& text() const;
  // How many actions an execution carries out at most, each of which takes no longer than the values
  // it prints are; nullopt: it may take long (tmpl/quick.hpp).
  [[nodiscard]] std::optional<std::size_t> quick_actions() const;

  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

 private:
  struct Impl;
  explicit Template(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The dependency that `{{ secret "PATH" }}` makes. The path is read as a URL, as in the reference: a
// `#`, `?` or `%` is escaped (%23), and the query's version counts.
[[nodiscard]] result<Dependency> read_dependency(std::string_view path);
// For paths of the configuration: each character means itself (behaviour.md S7).
[[nodiscard]] result<Dependency> literal_dependency(std::string_view path);
// A part "." or ".." can never be read, nor can an empty path. The error is of kind render.
[[nodiscard]] result<> check_path(std::string_view path);
// One version of it, as PATH?version=N means it.
[[nodiscard]] Dependency of_version(Dependency read, const std::string& version);
[[nodiscard]] Dependency write_dependency(std::string_view path,
                                          std::vector<std::pair<std::string, std::string>> args);

}  // namespace keybearer::tmpl
