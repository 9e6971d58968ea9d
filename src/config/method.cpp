#include "config/method.hpp"

#include <algorithm>

namespace keybearer::config {

const MethodKey* MethodSpec::key(std::string_view name) const {
  const auto found = std::ranges::find(data_.keys, name, &MethodKey::name);
  return found == data_.keys.end() ? nullptr : &*found;
}

const MethodKey* MethodSpec::substitute_of(const MethodKey& key, MethodKey::Type type) const {
  const auto found = std::ranges::find_if(data_.keys, [&](const MethodKey& each) {
    return each.instead_of == key.name && each.type == type;
  });
  return found == data_.keys.end() ? nullptr : &*found;
}

const MethodKey* MethodSpec::supplier_of(const MethodKey& key) const {
  const auto found = std::ranges::find(data_.keys, key.name, &MethodKey::supplies);
  return found == data_.keys.end() ? nullptr : &*found;
}

const MethodKey* MethodSpec::file_of(const MethodKey& key) const {
  return substitute_of(key, MethodKey::Type::file);
}

const MethodKey* MethodSpec::variable_of(const MethodKey& key) const {
  return substitute_of(key, MethodKey::Type::variable);
}

const MethodKey* MethodSpec::remover_of(std::string_view key) const {
  const auto found = std::ranges::find(data_.keys, key, &MethodKey::removes);
  return found == data_.keys.end() ? nullptr : &*found;
}

std::vector<const MethodSpec*> MethodSpec::all() {
  std::vector<const MethodSpec*> out;
  for (const MethodSpec* spec = first_; spec != nullptr; spec = spec->next_) out.push_back(spec);
  std::ranges::sort(out, {}, &MethodSpec::type);
  return out;
}

const MethodSpec* MethodSpec::find(std::string_view type) {
  const MethodSpec* spec = first_;
  while (spec != nullptr && spec->type() != type) spec = spec->next_;
  return spec;
}

std::string method_types() {
  const auto specs = MethodSpec::all();
  std::string out;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (i > 0) out += i + 1 == specs.size() ? " or " : ", ";
    out.append("\"").append(specs[i]->type()).append("\"");
  }
  return out;
}

std::string removal_hint(const Method& method, std::string_view key) {
  const MethodSpec* spec = MethodSpec::find(method.type);
  const MethodKey* remover = spec != nullptr ? spec->remover_of(key) : nullptr;
  if (remover == nullptr || !method.flag(remover->name)) return "";
  return "; keybearer removes it after a login unless " + std::string(remover->name) + " = false";
}

// --- a method's values -------------------------------------------------------------------------

const std::string& Method::text(std::string_view key) const {
  static const std::string none;
  const auto found = values_.find(key);
  return found == values_.end() ? none : found->second.text;
}

std::shared_ptr<const Secret> Method::secret(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : found->second.secret;
}

bool Method::flag(std::string_view key) const {
  if (const auto found = values_.find(key); found != values_.end()) return found->second.on;
  const MethodSpec* spec = MethodSpec::find(type);
  const MethodKey* known = spec != nullptr ? spec->key(key) : nullptr;
  return known != nullptr && known->on;
}

bool Method::has(std::string_view key) const {
  return values_.contains(key);
}
void Method::set(std::string_view key, std::string value) {
  values_.insert_or_assign(std::string(key), Value{.text = std::move(value)});
}
void Method::set(std::string_view key, Secret value) {
  values_.insert_or_assign(std::string(key),
                           Value{.secret = std::make_shared<const Secret>(std::move(value))});
}
void Method::set_flag(std::string_view key, bool on) {
  values_.insert_or_assign(std::string(key), Value{.on = on});
}
void Method::erase(std::string_view key) {
  if (const auto found = values_.find(key); found != values_.end()) values_.erase(found);
}

std::vector<std::string_view> Method::texts() const {
  std::vector<std::string_view> out;
  for (const auto& [key, value] : values_) out.emplace_back(value.text);
  return out;
}

std::vector<std::string_view> Method::secrets() const {
  std::vector<std::string_view> out;
  for (const auto& [key, value] : values_)
    if (value.secret) out.push_back(value.secret->reveal());
  return out;
}

void Method::spare_files() {
  const MethodSpec* spec = MethodSpec::find(type);
  if (spec == nullptr) return;
  for (const MethodKey& key : spec->keys())
    if (!key.removes.empty()) set_flag(key.name, false);
}

bool Method::used_up_by_login() const {
  const MethodSpec* spec = MethodSpec::find(type);
  return spec != nullptr && std::ranges::any_of(spec->keys(), [this](const MethodKey& key) {
           const bool on = key.type == MethodKey::Type::boolean ? flag(key.name) : has(key.name);
           return key.used_up_by_login && on;
         });
}

bool Method::Value::operator==(const Value& other) const {
  const bool same_secret = (secret == nullptr) == (other.secret == nullptr) &&
                           (secret == nullptr || *secret == *other.secret);
  return same_secret && text == other.text && on == other.on;
}

bool operator==(const Method& a, const Method& b) {
  return a.type == b.type && a.mount_path == b.mount_path &&
         a.vault_namespace == b.vault_namespace && a.values_ == b.values_;
}

}  // namespace keybearer::config
