#include "render/env_from.hpp"

#include <algorithm>
#include <cstdlib>

#include "config/scalars.hpp"
#include "render/value.hpp"
#include "tmpl/absence.hpp"

namespace keybearer::render {
namespace {

using Variables = EnvFromTarget::Variables;

std::string variable_name(const config::EnvFrom& spec, std::string_view key) {
  const auto renamed = spec.names.find(std::string(key));
  if (renamed != spec.names.end()) return spec.prefix + renamed->second;
  std::string name = spec.prefix;
  for (const char c : key) {
    const bool lower = c >= 'a' && c <= 'z';
    const bool plain = lower || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    name += !plain ? '_' : lower && spec.uppercase ? static_cast<char>(c - 32) : c;
  }
  if (!name.empty() && name[0] >= '0' && name[0] <= '9') name.insert(0, "_");
  return name;
}

// Who writes the secret chooses the keys: a name that takes over the program is refused. `nulls`
// becomes the keys that are left out.
result<Variables> variables_of(const config::EnvFrom& spec, const Value& data,
                               const std::string& path, bool allow_reserved, std::string& nulls) {
  for (const std::string& key : spec.keys) {
    if (data.find(key) == nullptr)
      return fail(ErrorKind::not_found, tmpl::missing_key_text(data, key, path));
  }
  if (!data.is_map()) return fail(ErrorKind::not_found, "has no keys");
  Variables made;
  for (const auto& [key, member] : data.entries()) {
    if (!spec.keys.empty() && std::ranges::find(spec.keys, key.as_text()) == spec.keys.end())
      continue;
    if (member.is_nil()) {
      nulls += (nulls.empty() ? "" : ", ") + std::string(key.as_text());
      continue;
    }
    std::string name = variable_name(spec, key.as_text());
    if (name.empty() || name.find_first_of(std::string_view("=\0", 2)) != std::string::npos) {
      return fail(ErrorKind::render, "a key that makes no variable name; use names or keys");
    }
    if (!allow_reserved && config::reserved_variable_name(name)) {
      return fail(
          ErrorKind::render,
          name + " is a reserved name; use prefix, names or keys, or exec.allow_reserved_env");
    }
    // A bare env_from: names that the program's surroundings have a meaning for are not the
    // secret's to choose.
    const bool chosen = !spec.prefix.empty() || !spec.keys.empty() ||
                        spec.names.contains(std::string(key.as_text()));
    if (!allow_reserved && !chosen) {
      const bool ours = std::getenv(name.c_str()) != nullptr;
      if (ours || config::steering_variable_name(name)) {
        return fail(ErrorKind::render,
                    name +
                        (ours ? " would replace a variable of the environment"
                              : " steers what the program does") +
                        ": not taken from a secret's key by itself; name it in keys or names, or "
                        "give a prefix");
      }
    }
    if (std::ranges::find(made, name, &Variables::value_type::first) != made.end()) {
      return fail(ErrorKind::render, "two keys make the variable " + name + "; use names or keys");
    }
    made.emplace_back(std::move(name), std::make_shared<const Secret>(text_of(member)));
  }
  return made;
}

}  // namespace

// The configuration names them, so it may be meant; said once.
void EnvFromTarget::note_replaced(Evaluation& evaluation) {
  for (const auto& [name, value] : variables_) {
    const char* present = std::getenv(name.c_str());
    if (present == nullptr || value->reveal() == present || !warned_.insert(name).second) continue;
    evaluation.notes.push_back({Note::Kind::variable_replaced, dependency_.path, name});
  }
}

void EnvFromTarget::take(const Value& answer, bool allow_reserved, Evaluation& evaluation) {
  error_.reset();
  std::string nulls;
  if (auto made = variables_of(*spec_, data_of(answer), dependency_.path, allow_reserved, nulls)) {
    variables_ = std::move(*made);
    has_value_ = true;
    value_generation_ = generation_;
    note_replaced(evaluation);
  } else {
    error_ = std::move(made).error().within("env_from " + dependency_.path);
  }
  if (!nulls.empty() && nulls != nulls_)
    evaluation.notes.push_back({Note::Kind::null_left_out, "env_from " + dependency_.path, nulls});
  nulls_ = std::move(nulls);
}

void EnvFromTarget::update(tmpl::DataSource& source, bool allow_reserved, Evaluation& evaluation) {
  const Value* answer = source.find(dependency_);
  if (answer == nullptr) {
    evaluation.missing.push_back(dependency_);
    evaluation.required_by.emplace(dependency_.id, "env_from");
    evaluation.complete = false;
    return;
  }
  const std::uint64_t generation = source.generation(dependency_);
  if (generation_ == 0 || generation != generation_) {
    generation_ = generation;
    take(*answer, allow_reserved, evaluation);
  }
  if (error_) {
    evaluation.errors.push_back(*error_);
    evaluation.used.push_back(dependency_.id);
  }
  evaluation.complete = evaluation.complete && has_value_;
}

}  // namespace keybearer::render
