// sprig's strings.go.

#include "tmpl/format.hpp"
#include "tmpl/sprig/convert.hpp"
#include "tmpl/sprig/sprig.hpp"
#include "tmpl/strconv.hpp"

namespace keybearer::tmpl::sprig {
namespace {

// What is there of `values` (nil is left out), each made text and put behind a blank.
template <class Text>
std::string listed(Arguments values, Text text) {
  std::string out;
  bool first = true;
  for (const Value& value : values) {
    if (value.is_nil()) continue;
    if (!std::exchange(first, false)) out += ' ';
    out += text(value);
  }
  return out;
}
std::string plain(const Value& value) {
  std::string out;
  append_value(out, value);
  return out;
}
Value quote_(Evaluation&, Arguments a) {
  return listed(a, [](const Value& value) { return quote(strval(value)); });
}
Value squote(Evaluation&, Arguments a) {
  return listed(a, [](const Value& value) { return "'" + plain(value) + "'"; });
}
Value cat(Evaluation&, Arguments a) {
  return listed(a, plain);
}

Value trunc(Evaluation&, Arguments a) {
  const std::string_view text = a[1].as_text();
  const std::int64_t count = a[0].as_int();
  const auto size = static_cast<std::int64_t>(text.size());
  if (count < 0 && count > -size) return text.substr(static_cast<std::size_t>(size + count));
  if (count >= 0 && size > count) return text.substr(0, static_cast<std::size_t>(count));
  return a[1];
}

constexpr Function kFunctions[] = {
    {"sprig_cat", cat, "a", true},
    {"sprig_quote", quote_, "a", true},
    {"sprig_squote", squote, "a", true},
    {"sprig_trunc", trunc, "is"},
};

}  // namespace

std::span<const Function> text_functions() {
  return kFunctions;
}

}  // namespace keybearer::tmpl::sprig
