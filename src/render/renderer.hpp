#pragma once
// Every template and variable of the configuration, parsed once and evaluated against the store
// whenever something of it changes. Decides nothing about files or programs.

#include <atomic>
#include <expected>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "config/load.hpp"
#include "tmpl/template.hpp"

namespace keybearer::render {

struct RenderedFile {
  const config::Template* spec = nullptr;  // the configuration's
  std::shared_ptr<const Secret> content;   // the last good one; nullptr: none yet
  std::vector<tmpl::Range> printed;        // of the content: what is not the template's own text
  std::vector<tmpl::FileEffect> effects;   // to be carried out with this content, in order
  std::uint64_t generation = 0;            // grows when the content is rebuilt; 0: none yet
  std::vector<std::string> used;           // ids of dependencies
};

struct RenderedVariable {
  std::string name;
  std::shared_ptr<const Secret> value;
  std::optional<config::OnChange> on_change;
  std::vector<std::string> used;
  std::vector<tmpl::FileEffect> effects = {};
};

// Something to log: an evaluation writes no log itself.
struct Note {
  enum class Kind : std::uint8_t {
    default_used,      // warning: a value is not there, its default is used
    left_out,          // warning: a variable is not there, and not required
    null_left_out,     // info: a null, and there is none in an environment or in this format
    variable_replaced  // warning: a key of a secret goes before a variable of the environment
  };
  Kind kind;
  std::string target;     // "env.DB_PORT", "app.env db.port", "env_from kv/data/app"
  std::string keys = {};  // null_left_out: which; variable_replaced: the variable

  friend bool operator==(const Note&, const Note&) = default;
};
void log_notes(const std::vector<Note>& notes);

struct Evaluation {
  std::vector<tmpl::Dependency> missing;  // not there yet: to be asked for
  std::vector<Error> errors;      // render: the template is wrong; not_found: a key is not there
  std::vector<Note> notes;        // of what is new in this evaluation
  std::vector<std::string> used;  // ids of all dependencies of what failed for a missing key
  std::vector<std::string> lost;  // of these, those of what had its key before
  std::map<std::string, std::string> required_by;  // id of what is missing -> "config.ini"
  bool complete = false;                           // every file and variable has a value
};

class Renderer {
 public:
  // Parses all templates; all errors at once, with caret. The configuration must outlive it.
  [[nodiscard]] static std::expected<Renderer, std::vector<config::Problem>> make(
      const config::Config& config);

  // `use_defaults`: what is not there yet counts as absent (outage.on_start = "default").
  // `stop`, set by another thread, breaks it off. It may run in any thread, but only one at a time;
  // until it has ended, others may only ask for what it does not change: each file's spec, sources(),
  // says() and empty().
  [[nodiscard]] Evaluation evaluate(tmpl::DataSource& source, bool use_defaults,
                                    const std::atomic<bool>* stop = nullptr);

  [[nodiscard]] const std::vector<RenderedFile>& files() const;
  [[nodiscard]] std::vector<RenderedVariable> variables() const;
  // Ids of all that the last evaluation asked for.
  [[nodiscard]] std::set<std::string> dependencies() const;
  // The oldest generation of each secret that a file's content or a variable's value is made of.
  [[nodiscard]] std::map<std::string, std::uint64_t, std::less<>> in_use() const;
  [[nodiscard]] bool empty() const;  // nothing to render
  // A thread of its own would take longer than the evaluation: a few values that are printed.
  [[nodiscard]] bool is_quick() const;
  // Files that templates were read from, by the fingerprint of their text.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& sources() const;
  // Is it a part of a template's text? Then its author knows it.
  [[nodiscard]] bool says(std::string_view word) const;

  Renderer(Renderer&&) noexcept;
  Renderer& operator=(Renderer&&) noexcept;
  ~Renderer();

 private:
  struct Impl;
  explicit Renderer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace keybearer::render
