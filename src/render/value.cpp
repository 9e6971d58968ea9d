#include "render/value.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "json/json.hpp"

namespace keybearer::render {

result<tmpl::Dependency> dependency_of(const config::Config& config, const std::string& secret) {
  for (const config::SecretRule& rule : config.secrets) {
    if (rule.name != secret || secret.empty()) continue;
    if (rule.data.empty()) {
      auto read = tmpl::read_dependency(rule.path);
      if (!read || rule.version.empty()) return read;
      return tmpl::of_version(*std::move(read), rule.version);
    }
    return tmpl::write_dependency(rule.path, {rule.data.begin(), rule.data.end()});
  }
  return tmpl::read_dependency(secret);
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

bool RenderedValue::update(tmpl::DataSource& source, bool use_fallbacks) {
  bool same = evaluated_;
  for (std::size_t i = 0; same && i < used_.size(); ++i)
    same = source.generation(used_[i]) == generations_[i];
  if (!same) evaluate(source);

  // A default stands in at the start only: it never replaces a value that is in force.
  const bool nothing_coming =
      !missing_.empty() && std::ranges::all_of(missing_, [&](const tmpl::Dependency& dependency) {
        return use_fallbacks || source.absence(dependency) != tmpl::DataSource::Absence::pending;
      });
  if (fallback_ && !has_value_ && (nothing_coming || missing_key_)) {
    log::warn("value.default", "not there: its default is used", {{"value", name_}});
    take(Secret(*fallback_));
    fell_back_ = true;
    same = false;
  }
  if (fell_back_ && has_value_) error_.reset();
  return !same;
}

void RenderedValue::take(Secret value) {
  value_ = std::move(value);
  printed_ = {{0, value_.size()}};
  has_value_ = true;
}

void RenderedValue::evaluate(tmpl::DataSource& source) {
  evaluated_ = true;
  missing_key_ = false;
  error_.reset();
  missing_.clear();
  if (const auto* parsed = std::get_if<tmpl::Template>(&how_)) {
    evaluate_template(*parsed, source);
  } else {
    evaluate_key(std::get<Key>(how_), source);
  }
  generations_.clear();
  for (const tmpl::Dependency& dependency : used_)
    generations_.push_back(source.generation(dependency));
}

// The classic: .Data.password of a KV v2 secret.
bool RenderedValue::misses_kv2_data(std::string_view error, tmpl::DataSource& source) const {
  if (!error.contains("<.Data.") || error.contains("<.Data.data")) return false;
  return std::ranges::any_of(used_, [&source](const tmpl::Dependency& dependency) {
    const Value* answer = source.find(dependency);
    return answer != nullptr && &data_of(*answer) != &value_at(*answer, "data");
  });
}

void RenderedValue::evaluate_template(const tmpl::Template& parsed, tmpl::DataSource& source) {
  auto output = parsed.evaluate(source);
  if (!output) {
    used_ = std::move(output.error().used);
    missing_ = std::move(output.error().missing);
    if (!missing_.empty()) return;  // it may be only for lack of these
    missing_key_ = output.error().missing_key && !used_.empty();
    error_ = Error{missing_key_ ? ErrorKind::not_found : ErrorKind::render,
                   output.error().with_source(parsed.text(), source_)};
    if (missing_key_ && misses_kv2_data(output.error().text, source))
      error_->text += "\n  hint: a KV v2 secret has its keys in .Data.data";
    return;
  }
  used_ = std::move(output->used);
  missing_ = std::move(output->missing);
  if (missing_.empty()) {
    take(std::move(output->text));
    printed_ = std::move(output->printed);
    fell_back_ = false;
  }
}

void RenderedValue::evaluate_key(const Key& key, tmpl::DataSource& source) {
  used_ = {key.dependency};
  const Value* answer = source.find(key.dependency);
  if (answer == nullptr) {
    missing_ = {key.dependency};
    return;
  }
  const Value* member = data_of(*answer).find(key.key);
  if (member == nullptr) {
    missing_key_ = true;
    error_ = Error{ErrorKind::not_found,
                   name_ + ": no key \"" + key.key + "\" in " + key.dependency.path};
    return;
  }
  take(text_of(*member));
  fell_back_ = false;
}

}  // namespace keybearer::render
