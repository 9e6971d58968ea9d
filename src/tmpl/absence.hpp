#pragma once
// Why a value is not there: what an error says instead of "<no value>" (behaviour.md R5).
//
// A value that is nil has a number that stands for its reason; 0: none is known (the template wrote
// nil, or a function gave it).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json/value.hpp"

namespace keybearer::tmpl {

using AbsenceId = std::uint32_t;

class Absences {
 public:
  static constexpr AbsenceId kUnknown = 0;
  static constexpr AbsenceId kPending = 1;  // it waits for what is missing: no error

  enum class Kind : std::uint8_t {
    pending,
    no_key,     // the map has no such key
    null_key,   // it has it, with null
    null_item,  // an element of a list is null
    unset,      // scratch has no such key
    no_data,    // the dot outside of with, range and template
    no_answer,  // the server answered a write without data
  };

  // An answer that templates were given, to tell where a map comes from.
  void given(std::string_view path, Value answer);
  [[nodiscard]] AbsenceId note(Kind kind, const Value& container, std::string_view key);
  [[nodiscard]] Kind kind(AbsenceId id) const;

  // "no key "api-key" in kv/data/app; it has a, b; did you mean "api_key"?". `shown_key` is the key
  // as it may be shown. Keys of a secret are named, values never are.
  [[nodiscard]] std::string text(AbsenceId id, const std::string& shown_key) const;
  [[nodiscard]] std::string_view key(AbsenceId id) const;
  // "; kv/data/app has a, b; did you mean ...", or nothing.
  [[nodiscard]] std::string keys_text(const Value& container, std::string_view key) const;
  // A key that is not there, not one that is null.
  [[nodiscard]] bool is_missing(AbsenceId id) const;
  // A key or element that is not there or null: it may come, and a default may stand in.
  [[nodiscard]] bool is_of_key(AbsenceId id) const;
  // What to write instead; empty: no idea.
  [[nodiscard]] std::string hint(AbsenceId id) const;
  [[nodiscard]] std::string hint(const Value& container, std::string_view key) const;

 private:
  struct Reason {
    Kind kind;
    Value container;
    std::string key;
  };
  struct Answer {
    std::string path;
    Value value;
  };
  // "kv/data/app", "kv/data/app (db.hosts)"; nullopt: it is of no answer.
  [[nodiscard]] std::optional<std::string> origin(const Value& container) const;

  std::vector<Reason> reasons_;  // of ids from 2 on
  std::vector<Answer> answers_;
};

// For those who look a key up without a template: it is not in the data of `path`, or null there.
[[nodiscard]] std::string missing_key_text(const Value& data, std::string_view key,
                                           std::string_view path);

// Where in a list or map there is a nil: "db.port", "hosts[2]"; nullopt: nowhere. What fmt would
// print as <nil>, but for nil pointers inside of a struct.
[[nodiscard]] std::optional<std::string> nil_inside(const Value& value);

}  // namespace keybearer::tmpl
