#pragma once
// Every template and variable of the configuration, parsed once and evaluated against the store
// whenever something of it changes. Decides nothing about files or programs.

#include <expected>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "config/load.hpp"
#include "tmpl/template.hpp"

namespace keybearer::render {

struct RenderedFile {
  const config::Template* spec = nullptr;  // the configuration's
  Secret content;                          // the last good one
  std::vector<tmpl::Range> printed;        // of the content: what is not the template's own text
  std::uint64_t generation = 0;            // grows when the content is made anew; 0: none yet
  std::vector<std::string> used;           // ids of dependencies
};

struct RenderedVariable {
  std::string name;
  Secret value;
  std::optional<config::OnChange> on_change;
  std::vector<std::string> used;
};

struct Evaluation {
  std::vector<tmpl::Dependency> missing;  // not there yet: to be asked for
  std::vector<Error> errors;      // render: the template is wrong; not_found: a key is not there
  std::vector<std::string> used;  // ids of all dependencies of what failed for a missing key
  std::map<std::string, std::string> required_by;  // id of what is missing -> "config.ini"
  bool complete = false;                           // every file and variable has a value
};

class Renderer {
 public:
  // Parses all templates; all errors at once, with caret. The configuration must outlive it.
  // `dry_run`: no template writes a file by itself (writeToFile).
  [[nodiscard]] static std::expected<Renderer, std::vector<config::Problem>> make(
      const config::Config& config, bool dry_run = false);

  // `use_defaults`: what is not there yet counts as absent (outage.on_start = "default").
  [[nodiscard]] Evaluation evaluate(tmpl::DataSource& source, bool use_defaults);

  [[nodiscard]] const std::vector<RenderedFile>& files() const;
  [[nodiscard]] std::vector<RenderedVariable> variables() const;
  [[nodiscard]] bool empty() const;  // nothing to render

  Renderer(Renderer&&) noexcept;
  Renderer& operator=(Renderer&&) noexcept;
  ~Renderer();

 private:
  struct Impl;
  explicit Renderer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace keybearer::render
