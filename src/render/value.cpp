#include "render/value.hpp"

#include <algorithm>

#include "json/json.hpp"
#include "tmpl/absence.hpp"

namespace keybearer::render {

namespace {

result<tmpl::Dependency> of_rule(const config::SecretRule& rule) {
  if (rule.data.empty()) {
    auto read = tmpl::literal_dependency(rule.path);
    if (!read || rule.version.empty()) return read;
    return tmpl::of_version(*std::move(read), rule.version);
  }
  if (auto good = tmpl::check_path(rule.path); !good) return std::unexpected(good.error());
  return tmpl::write_dependency(rule.path, {rule.data.begin(), rule.data.end()});
}

}  // namespace

NamedSecrets::NamedSecrets(const config::Config& config) {
  for (const config::SecretRule& rule : config.secrets)
    if (!rule.name.empty()) rules_.try_emplace(rule.name, &rule);
}

result<tmpl::Dependency> NamedSecrets::dependency_of(const std::string& secret) const {
  const auto named = rules_.find(secret);
  if (named == rules_.end()) return tmpl::literal_dependency(secret);
  const config::SecretRule& rule = *named->second;
  auto dependency = of_rule(rule);
  if (!dependency || !rule.vault_namespace) return dependency;
  dependency->vault_namespace = rule.vault_namespace;
  dependency->id += " in " + *rule.vault_namespace;
  return dependency;
}

result<tmpl::Dependency> dependency_of(const config::Config& config, const std::string& secret) {
  return NamedSecrets(config).dependency_of(secret);
}

const Value& data_of(const Value& answer) {
  const Value& data = value_at(answer, "data");
  const Value* inner = data.find("data");
  return inner != nullptr && inner->is_map() && data.find("metadata") != nullptr ? *inner : data;
}

Secret text_of(const Value& member) {
  if (member.is_text()) return Secret(member.as_text());
  return Secret(json::write(member));
}

std::optional<std::size_t> RenderedValue::quick_actions() const {
  if (check_) return std::nullopt;  // its pattern is matched
  const auto* parsed = std::get_if<tmpl::Template>(&how_);
  return parsed == nullptr ? 1 : parsed->quick_actions();
}

bool RenderedValue::update(tmpl::DataSource& source, bool use_fallbacks,
                           const std::atomic<bool>* stop) {
  bool same = evaluated_;
  for (std::size_t i = 0; same && i < used_.size(); ++i)
    same = source.generation(used_[i].dependency) == used_[i].generation;
  if (!same && !endless_) evaluate(source, stop);

  // A default stands in at the start only: it never replaces a value that is in force, unless that
  // one is not to be used any more.
  const bool withheld = std::ranges::any_of(missing_, [&](const tmpl::Dependency& dependency) {
    return source.absence(dependency) == tmpl::DataSource::Absence::withheld;
  });
  const bool nothing_coming =
      !missing_.empty() && std::ranges::all_of(missing_, [&](const tmpl::Dependency& dependency) {
        return use_fallbacks || source.absence(dependency) != tmpl::DataSource::Absence::pending;
      });
  const bool instead = withheld && fallback_ && !fell_back_;
  if (instead || ((fallback_ || optional_) && !has_value_ && (nothing_coming || missing_key_))) {
    take(Secret(fallback_.value_or("")));
    if (!fallback_) value_ = nullptr;
    sources_.clear();
    fell_back_ = true;
    same = false;
  }
  if (fell_back_ && has_value_) error_.reset();
  return !same;
}

bool RenderedValue::fits(std::string_view value) {
  const std::string fault = check_ ? check_->fault(value) : "";
  if (!fault.empty()) error_ = Error{ErrorKind::render, name_ + ": the value " + fault};
  return fault.empty();
}

void RenderedValue::take(Secret value) {
  value_ = std::make_shared<const Secret>(std::move(value));
  printed_ = {{0, value_->size()}};
  effects_.clear();
  sources_ = used_;
  has_value_ = true;
}

void RenderedValue::evaluate(tmpl::DataSource& source, const std::atomic<bool>* stop) {
  evaluated_ = true;
  missing_key_ = false;
  error_.reset();
  missing_.clear();
  if (const auto* parsed = std::get_if<tmpl::Template>(&how_)) {
    evaluate_template(*parsed, source, stop);
  } else {
    evaluate_key(std::get<Key>(how_), source);
  }
}

void RenderedValue::evaluate_template(const tmpl::Template& parsed, tmpl::DataSource& source,
                                      const std::atomic<bool>* stop) {
  tmpl::Execution done = parsed.execute(source, stop);
  used_ = std::move(done.used);
  missing_ = std::move(done.missing);
  if (!missing_.empty()) return check_growth(parsed);  // an error may be only for lack of these
  growth_.complete();
  if (done.error) {
    missing_key_ = done.error->missing_key && !used_.empty();
    error_ = Error{missing_key_ ? ErrorKind::not_found : ErrorKind::render,
                   done.error->with_source(parsed.text(), source_)};
    return;
  }
  if (!fits(done.text.reveal())) return;
  take(std::move(done.text));
  printed_ = std::move(done.printed);
  effects_ = std::move(done.effects);
  fell_back_ = false;
}

// What goes on without end asks for nothing more, and is an error (S2).
void RenderedValue::check_growth(const tmpl::Template& parsed) {
  std::set<std::string> asked;
  for (const tmpl::Use& use : used_) asked.insert(use.dependency.id);
  for (const tmpl::Dependency& dependency : missing_) asked.insert(dependency.id);
  endless_ = !growth_.incomplete(std::move(asked));
  if (!endless_) return;
  error_ = growth_error(name_, parsed.text(), missing_.front());
  missing_.clear();
}

void RenderedValue::evaluate_key(const Key& key, tmpl::DataSource& source) {
  used_ = {{key.dependency, source.generation(key.dependency)}};
  const Value* answer = source.find(key.dependency);
  if (answer == nullptr) {
    missing_ = {key.dependency};
    return;
  }
  const Value& data = data_of(*answer);
  const Value* member = data.find(key.key);
  if (member != nullptr && member->is_nil() && key.null_allowed && !fallback_) {
    take({});
    value_ = nullptr;
    fell_back_ = false;
    return;
  }
  if (member == nullptr || member->is_nil()) {
    missing_key_ = true;
    error_ = Error{ErrorKind::not_found,
                   name_ + ": " + tmpl::missing_key_text(data, key.key, key.dependency.path)};
    return;
  }
  Secret text = text_of(*member);
  if (!fits(text.reveal())) return;
  take(std::move(text));
  fell_back_ = false;
}

}  // namespace keybearer::render
