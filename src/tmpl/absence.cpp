#include "tmpl/absence.hpp"

#include <algorithm>

#include "base/closest_match.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/object.hpp"

namespace keybearer::tmpl {
namespace {

constexpr std::size_t kNamedKeys = 10;      // that an error lists
constexpr std::size_t kMostReasons = 1000;  // of one execution; what comes after has none
constexpr std::size_t kMostWalked = 100'000;

// Depth first to the map or list that is `wanted`: its path, joined by dots.
bool find_part(const Value& value, const Value& wanted, std::string& path, std::size_t& left,
               int depth = 0) {
  if (value.is_same(wanted)) return true;
  if (left == 0 || depth > kMostNested || (!value.is_map() && !value.is_list())) return false;
  --left;
  const std::size_t size = path.size();
  if (value.is_list()) {
    for (std::size_t i = 0; i < value.items().size(); ++i) {
      path += "[" + std::to_string(i) + "]";
      if (find_part(value.items()[i], wanted, path, left, depth + 1)) return true;
      path.resize(size);
    }
    return false;
  }
  for (const auto& [key, member] : value.entries()) {
    if (!key.is_text()) continue;
    if (size > 0) path += '.';
    path += key.as_text();
    if (find_part(member, wanted, path, left, depth + 1)) return true;
    path.resize(size);
  }
  return false;
}

std::vector<std::string_view> keys_of(const Value& container) {
  std::vector<std::string_view> out;
  if (!container.is_map()) return out;
  for (const auto& entry : container.entries()) {
    if (entry.key.is_text()) out.push_back(entry.key.as_text());
  }
  return out;
}

bool is_word(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return c > 0x20 && c < 0x7f && c != '"' && c != ',';
  });
}

// "a, b, c and 4 more"
std::string listed(const std::vector<std::string_view>& keys) {
  std::string out;
  for (std::size_t i = 0; i < keys.size() && i < kNamedKeys; ++i)
    out += (i > 0 ? ", " : "") + (is_word(keys[i]) ? std::string(keys[i]) : quote(keys[i]));
  if (keys.size() > kNamedKeys) out += " and " + std::to_string(keys.size() - kNamedKeys) + " more";
  return out;
}

// Deeper than may be printed nobody looks.
std::optional<std::string> nil_inside(const Value& value, int depth) {
  const auto member = [depth](const std::string& name,
                              const Value& part) -> std::optional<std::string> {
    if (part.is_nil()) return name;
    const auto inner = nil_inside(part, depth + 1);
    if (!inner) return std::nullopt;
    return name + (inner->starts_with('[') ? "" : ".") + *inner;
  };
  if (depth > kMostNested) return std::nullopt;
  if (value.is_list()) {
    for (std::size_t i = 0; i < value.items().size(); ++i) {
      if (auto found = member("[" + std::to_string(i) + "]", value.items()[i])) return found;
    }
  } else if (value.is_map()) {
    for (const auto& [key, part] : value.entries()) {
      if (auto found = member(key.is_text() ? std::string(key.as_text()) : "?", part)) return found;
    }
  } else if (const Struct* object = as_struct(value); object != nullptr && depth == 0) {
    for (const auto& field : object->fields()) {
      if (auto found = member(std::string(field.name), field.value)) return found;
    }
  }
  return std::nullopt;
}

}  // namespace

void Absences::given(std::string_view path, Value answer) {
  const auto known = std::ranges::find(answers_, path, &Answer::path);
  if (known == answers_.end())
    answers_.push_back({std::string(path), std::move(answer)});
  else
    known->value = std::move(answer);
}

AbsenceId Absences::note(Kind kind, const Value& container, std::string_view key) {
  if (reasons_.size() >= kMostReasons) return kUnknown;
  reasons_.push_back({kind, container, std::string(key)});
  return static_cast<AbsenceId>(reasons_.size() + 1);
}

Absences::Kind Absences::kind(AbsenceId id) const {
  return id == kPending ? Kind::pending : reasons_[id - 2].kind;
}
std::string_view Absences::key(AbsenceId id) const {
  return id < 2 ? std::string_view() : reasons_[id - 2].key;
}

// A secret's data has no name of its own; what is deeper is named by its place in the data.
std::optional<std::string> Absences::origin(const Value& container) const {
  for (const Answer& answer : answers_) {
    std::string place;
    std::size_t left = kMostWalked;
    if (!find_part(answer.value, container, place, left)) continue;
    for (const std::string_view data : {"data.data", "data"}) {
      if (place == data) return answer.path;
      if (place.starts_with(data) && place[data.size()] == '.')
        return answer.path + " (in " + place.substr(data.size() + 1) + ")";
      if (place.starts_with(data) && place[data.size()] == '[')
        return answer.path + " (in " + place.substr(data.size()) + ")";
    }
    return answer.path + " (in " + place + ")";
  }
  return std::nullopt;
}

bool Absences::is_missing(AbsenceId id) const {
  return id > kPending && (kind(id) == Kind::no_key || kind(id) == Kind::unset);
}

bool Absences::is_of_key(AbsenceId id) const {
  return is_missing(id) ||
         (id > kPending && (kind(id) == Kind::null_key || kind(id) == Kind::null_item));
}

std::string Absences::hint(AbsenceId id) const {
  if (id <= kPending) return {};
  const Reason& reason = reasons_[id - 2];
  return reason.kind == Kind::no_key ? hint(reason.container, reason.key) : std::string();
}

// The classic: a key of a KV v2 secret is looked for beside its metadata.
std::string Absences::hint(const Value& container, std::string_view key) const {
  const Value* inner = container.is_map() ? container.find("data") : nullptr;
  const bool kv2 = inner != nullptr && inner->is_map() && container.find("metadata") != nullptr &&
                   origin(container).has_value();
  if (kv2) return "a KV v2 secret has its keys in .Data.data";
  if (key == "data" && origin(container).has_value())
    return "this secret is not of KV v2: its keys are in .Data";
  if (!origin(container) || origin(container)->ends_with(')')) return {};
  for (const std::string_view whole : keys_of(container))
    if (whole.starts_with(std::string(key) + "."))
      return "a key with a dot is read by index: " + quote(whole);
  return {};
}

// Below a secret's own keys, and in what was made of one (parseJSON ...), values may be keys: those
// are not named.
std::string Absences::keys_text(const Value& container, std::string_view key) const {
  const auto keys = keys_of(container);
  const auto from = origin(container);
  if (!from && !answers_.empty()) return {};
  if (from && from->ends_with(')')) return "; in " + *from;
  std::string out = from ? "; " + *from : std::string("; it");
  out += keys.empty() ? " has no keys" : " has " + listed(keys);
  const std::string_view meant = closest_match(key, keys);
  return meant.empty() ? out : out + "; did you mean " + quote(meant) + "?";
}

std::string Absences::text(AbsenceId id, const std::string& shown_key) const {
  if (id < 2) return "there is no value here (nil)";
  const Reason& reason = reasons_[id - 2];
  const auto from = origin(reason.container);
  const std::string in = from ? " in " + *from : std::string();
  switch (reason.kind) {
    case Kind::no_key: {
      const std::string keys = keys_text(reason.container, reason.key);
      // "no key "x" in kv/data/app; it has ..."
      std::string rest = keys;
      if (from && rest == "; in " + *from) rest.clear();
      if (from && rest.starts_with("; " + *from)) rest = "; it" + rest.substr(2 + from->size());
      return "no key " + shown_key + in + rest;
    }
    case Kind::null_key: {
      const bool of_secret = from && !from->ends_with(')');  // its own keys are named
      return "key " + (of_secret ? quote(reason.key) : shown_key) + in + " is null";
    }
    case Kind::null_item:
      return "element " + reason.key + " of the list" + in + " is null";
    case Kind::unset:
      return "scratch has no value for " + shown_key;
    case Kind::no_data:
      return "the dot is nothing here: it is set by with, range and template";
    case Kind::no_answer:
      if (reason.key == "*dependency.SecretAuth") return "the answer has no .Auth";
      if (reason.key == "*dependency.SecretWrapInfo") return "the answer has no .WrapInfo";
      return "the server's answer is empty";
    case Kind::pending:
      break;
  }
  return "there is no value here (nil)";
}

std::string missing_key_text(const Value& data, std::string_view key, std::string_view path) {
  if (!data.is_map()) {
    return "no key " + quote(key) + " in " + std::string(path) +
           "; the server's answer has no data there";
  }
  Absences absences;
  Value answer = Value::map();
  answer.set("data", data);
  absences.given(path, answer);
  const auto kind = data.find(key) == nullptr ? Absences::Kind::no_key : Absences::Kind::null_key;
  const AbsenceId id = absences.note(kind, data, key);
  const std::string hint = absences.hint(id);
  return absences.text(id, quote(key)) + (hint.empty() ? "" : "; " + hint);
}

std::optional<std::string> nil_inside(const Value& value) {
  return nil_inside(value, 0);
}

}  // namespace keybearer::tmpl
