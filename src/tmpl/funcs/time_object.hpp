#pragma once
// Go's time.Time, Duration, Month, Weekday and *Location as templates see them: values with
// methods.

#include "tmpl/go/go_time.hpp"
#include "tmpl/object.hpp"

namespace keybearer::tmpl {

class TimeObject final : public Struct {
 public:
  explicit TimeObject(go_time::Time t) : time(std::move(t)) {}
  [[nodiscard]] std::string_view type_name() const override { return "time.Time"; }
  [[nodiscard]] bool equals(const Object& other) const override;
  [[nodiscard]] std::optional<Value> field(std::string_view) const override { return std::nullopt; }
  [[nodiscard]] bool hides(std::string_view name) const override;
  [[nodiscard]] const Function* method(std::string_view name) const override;
  [[nodiscard]] std::vector<Field> all_fields() const override;
  [[nodiscard]] std::optional<std::string> go_string() const override;
  void print(std::string& out) const override { out += go_time::to_string(time); }

  const go_time::Time time;
};

[[nodiscard]] Value time_object(go_time::Time time);
// RFC 3339 as time.Time's MarshalJSON and UnmarshalJSON write and read it; a text that is none, or
// no text, is Go's zero time.
[[nodiscard]] Value time_object_from(std::string_view rfc3339);
// MarshalText; throws CallError for a year of more than four digits.
[[nodiscard]] std::string strict_rfc3339(const go_time::Time& time);

}  // namespace keybearer::tmpl
