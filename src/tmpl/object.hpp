#pragma once
// The Go structs that templates see: fields by name, methods by name.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "json/value.hpp"

namespace keybearer::tmpl {

struct Function;

class Struct : public Object {
 public:
  struct Field {
    std::string_view name;
    Value value;
  };

  // nullopt: no such field.
  [[nodiscard]] virtual std::optional<Value> field(std::string_view name) const = 0;
  // A field that only Go's own package sees.
  [[nodiscard]] virtual bool hides(std::string_view) const { return false; }
  // The exported fields, in Go's order.
  [[nodiscard]] virtual std::vector<Field> fields() const { return {}; }
  // With those that only Go's own package sees: fmt prints them.
  [[nodiscard]] virtual std::vector<Field> all_fields() const { return fields(); }
  // A method finds the value it was called on in Evaluation::called_on.
  [[nodiscard]] virtual const Function* method(std::string_view) const { return nullptr; }
  // A named integer (time.Month, time.Duration): the int or int64 that it is.
  [[nodiscard]] virtual std::optional<Value> number() const { return std::nullopt; }
  [[nodiscard]] virtual bool is_nil() const { return false; }  // a nil pointer of this type
  // Can two of them be compared with ==? The pointers, and structs without lists and maps.
  [[nodiscard]] virtual bool comparable() const { return true; }
  // A channel, and what comes out of it next; nullopt: it is closed.
  [[nodiscard]] virtual bool is_channel() const { return false; }
  [[nodiscard]] virtual std::optional<Value> receive() const { return std::nullopt; }
  // fmt.GoStringer: what %#v prints instead of the fields.
  [[nodiscard]] virtual std::optional<std::string> go_string() const { return std::nullopt; }
  // What encoding/json writes in its place (a type with a MarshalJSON of its own).
  [[nodiscard]] virtual std::optional<Value> in_json() const { return std::nullopt; }
  // What the method String gives; without one, what stands for the fields that are not listed.
  virtual void print(std::string& out) const { out += type_name(); }
};

// What `secret` gives: a view of the server's answer as consul-template's *dependency.Secret.
[[nodiscard]] Value secret_object(const Value& envelope);
// What `pkiCert` gives: Cert, Key, CA, CAChain; its method Data is itself.
[[nodiscard]] Value pki_object(const Value& bundle);
// A nil pointer to a struct with these fields.
[[nodiscard]] Value nil_pointer(std::string_view type, std::span<const std::string_view> fields);

// A time.Duration.
[[nodiscard]] Value duration_object(std::int64_t nanoseconds);

// What pointers of Go point to is known by the type's name.
[[nodiscard]] inline bool is_pointer(const Struct& object) {
  return object.type_name().starts_with('*');
}
[[nodiscard]] inline const Struct* as_struct(const Value& value) {
  return value.type() == Type::object ? static_cast<const Struct*>(value.as_object().get())
                                      : nullptr;  // there are no other objects
}
// A named integer as the int or int64 that it is; every other value as it is.
[[nodiscard]] inline Value plain(const Value& value) {
  const Struct* object = as_struct(value);
  return object == nullptr ? value : object->number().value_or(value);
}

}  // namespace keybearer::tmpl
