#pragma once
// The Go structs that templates see: fields by name, methods by name.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "json/value.hpp"

namespace keybearer::tmpl {

struct Function;

class Struct : public Object {
 public:
  // nullopt: no such field.
  [[nodiscard]] virtual std::optional<Value> field(std::string_view name) const = 0;
  [[nodiscard]] virtual const Function* method(std::string_view) const { return nullptr; }
  [[nodiscard]] virtual bool is_nil() const { return false; }  // a nil pointer of this type
  virtual void print(std::string& out) const {
    out += type_name();
  }  // %v; never more than Go shows
};

// What `secret` gives: a view of the server's answer as consul-template's *dependency.Secret.
[[nodiscard]] Value secret_object(const Value& envelope);
// What `pkiCert` gives: Cert, Key, CA, CAChain; its method Data is itself.
[[nodiscard]] Value pki_object(const Value& bundle);
// What `scratch` gives: Get, Set, SetX, MapSet, MapSetX, MapValues, Key over the evaluation's
// store.
[[nodiscard]] Value scratch_object();

[[nodiscard]] inline const Struct* as_struct(const Value& value) {
  return value.type() == Type::object ? dynamic_cast<const Struct*>(value.as_object().get())
                                      : nullptr;
}

}  // namespace keybearer::tmpl
