#pragma once
// One value that is rendered: a template, or a key of a secret. Evaluated again only when what it
// used has changed; keeps its last good result.

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "config/config.hpp"
#include "config/load.hpp"
#include "render/dependency_growth.hpp"
#include "render/value_check.hpp"
#include "tmpl/template.hpp"

namespace keybearer::render {

// What a configuration's `secret` means: the name of a [[secret]], or a path.
class NamedSecrets {
 public:
  explicit NamedSecrets(const config::Config& config);  // which must outlive it
  [[nodiscard]] result<tmpl::Dependency> dependency_of(const std::string& secret) const;

 private:
  std::unordered_map<std::string_view, const config::SecretRule*> rules_;
};
// The same for a single one.
[[nodiscard]] result<tmpl::Dependency> dependency_of(const config::Config& config,
                                                     const std::string& secret);
// The data of an answer: of KV v2 the inner ones.
[[nodiscard]] const Value& data_of(const Value& answer);
// A member as a variable or file holds it: text as it is, numbers and booleans as JSON, the rest as
// compact JSON.
[[nodiscard]] Secret text_of(const Value& member);

class RenderedValue {
 public:
  struct Key {
    tmpl::Dependency dependency;
    std::string key;
    bool null_allowed = false;  // the format has a null, or leaves the value out
  };
  // `name` stands in errors: "env.DB_PASSWORD", "config.ini". `source`: the template's file, if it
  // has one of its own.
  RenderedValue(std::string name, tmpl::Template parsed, std::optional<std::string> fallback,
                std::string source)
      : name_(std::move(name)),
        source_(std::move(source)),
        how_(std::move(parsed)),
        fallback_(std::move(fallback)) {}
  RenderedValue(std::string name, Key key, std::optional<std::string> fallback)
      : name_(std::move(name)), how_(std::move(key)), fallback_(std::move(fallback)) {}

  // A value that does not fit is an error (render), and the last good one stays.
  void restrict_to(std::shared_ptr<const ValueCheck> check) { check_ = std::move(check); }
  // Where there is none, and no default: there is a value, which is nullptr.
  void make_optional() { optional_ = true; }

  // True when it was evaluated (not taken from before). `use_fallbacks`: what is not there yet
  // counts as absent.
  bool update(tmpl::DataSource& source, bool use_fallbacks, const std::atomic<bool>* stop);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool has_value() const { return has_value_; }
  [[nodiscard]] bool says(std::string_view word) const {
    const auto* parsed = std::get_if<tmpl::Template>(&how_);
    return parsed != nullptr && parsed->text().find(word) != std::string::npos;
  }
  // As of a template (Template::quick_actions).
  [[nodiscard]] std::optional<std::size_t> quick_actions() const;
  [[nodiscard]] bool uses_default() const { return fell_back_; }
  // nullptr: there is none yet, it is a null of a key where that is allowed, or it is left out.
  [[nodiscard]] const std::shared_ptr<const Secret>& value() const { return value_; }
  [[nodiscard]] const std::vector<tmpl::Range>& printed() const { return printed_; }
  [[nodiscard]] const std::vector<tmpl::FileEffect>& effects() const { return effects_; }
  [[nodiscard]] const std::vector<tmpl::Use>& used() const { return used_; }
  // What value() was made of, which a later evaluation that failed has not changed.
  [[nodiscard]] const std::vector<tmpl::Use>& sources() const { return sources_; }
  [[nodiscard]] const std::vector<tmpl::Dependency>& missing() const { return missing_; }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

 private:
  void evaluate(tmpl::DataSource& source, const std::atomic<bool>* stop);
  void evaluate_template(const tmpl::Template& parsed, tmpl::DataSource& source,
                         const std::atomic<bool>* stop);
  void check_growth(const tmpl::Template& parsed);
  void evaluate_key(const Key& key, tmpl::DataSource& source);
  void take(Secret value);
  [[nodiscard]] bool fits(std::string_view value);

  std::string name_, source_;
  std::variant<tmpl::Template, Key> how_;
  std::optional<std::string> fallback_;
  std::shared_ptr<const ValueCheck> check_;  // nullptr: any value fits
  bool optional_ = false;
  bool evaluated_ = false, has_value_ = false, missing_key_ = false, fell_back_ = false;
  std::shared_ptr<const Secret> value_;
  std::vector<tmpl::Range> printed_;       // of value_: what is not the template's own text
  std::vector<tmpl::FileEffect> effects_;  // of the evaluation that made value_
  std::vector<tmpl::Use> used_;            // at the last evaluation
  std::vector<tmpl::Use> sources_;         // of value_
  std::vector<tmpl::Dependency> missing_;
  DependencyGrowth growth_;
  bool endless_ = false;  // its dependencies change with each evaluation: no more of them
  std::optional<Error> error_;
};

}  // namespace keybearer::render
