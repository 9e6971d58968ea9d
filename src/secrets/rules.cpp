#include "secrets/rules.hpp"

#include <map>
#include <string_view>
#include <utility>

#include "config/scalars.hpp"

namespace keybearer::secrets {
namespace {

using Namespace = std::optional<std::string>;
using Data = std::map<std::string, std::string>;

// Of texts that may hold anything: one after another, each with its length.
class Key {
 public:
  explicit Key(std::string_view path) { add(config::plain_path(path)); }
  Key& add(std::string_view part) {
    text_.append(std::to_string(part.size())).append(1, ':').append(part);
    return *this;
  }
  Key& add_if_given(const Namespace& vault_namespace) {
    return vault_namespace ? add(*vault_namespace) : *this;
  }
  [[nodiscard]] std::string text() && { return std::move(text_); }

 private:
  std::string text_;
};

std::string first_key(std::string_view path, const Namespace& vault_namespace) {
  Key key(path);
  return std::move(key.add_if_given(vault_namespace)).text();
}

std::string exact_key(std::string_view path, const Namespace& vault_namespace,
                      std::string_view version, const Data& data) {
  Key key(path);
  key.add(version).add(std::to_string(data.size()));
  for (const auto& [name, value] : data) key.add(name).add(value);
  return std::move(key.add_if_given(vault_namespace)).text();
}

}  // namespace

Rules::Rules(std::vector<config::SecretRule> tables) : tables_(std::move(tables)) {
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    const config::SecretRule& rule = tables_[i];
    firsts_.try_emplace(first_key(rule.path, {}), i);
    firsts_.try_emplace(first_key(rule.path, rule.vault_namespace), i);
    exact_.try_emplace(exact_key(rule.path, rule.vault_namespace, rule.version, rule.data), i);
  }
}

const config::SecretRule* Rules::find(const tmpl::Dependency& dependency) const {
  if (dependency.kind == tmpl::Dependency::Kind::file) return nullptr;
  const std::string& path = dependency.path;
  const Namespace& space = dependency.vault_namespace;
  const Data data(dependency.args.begin(), dependency.args.end());
  if (const auto at = exact_.find(exact_key(path, space, dependency.version, data));
      at != exact_.end())
    return &tables_[at->second];
  const auto at = firsts_.find(first_key(path, space));
  return at == firsts_.end() ? nullptr : &tables_[at->second];
}

std::optional<std::string> Rules::namespace_of(const tmpl::Dependency& dependency) const {
  const config::SecretRule* table = find(dependency);
  return table != nullptr ? table->vault_namespace : dependency.vault_namespace;
}

}  // namespace keybearer::secrets
