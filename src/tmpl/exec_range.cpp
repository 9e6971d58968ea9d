// {{ range }} over lists, maps, numbers and channels.
#include "tmpl/exec.hpp"
#include "tmpl/go/format.hpp"
#include "tmpl/object.hpp"

namespace keybearer::tmpl {
namespace {

// The number of a round of `range COUNT`, of the count's own type.
Value round_of(const Value& count, std::uint64_t i) {
  switch (count.type()) {
    case Type::integer:
      return Value::integer(static_cast<std::int64_t>(i));
    case Type::int64:
      return Value::int64(static_cast<std::int64_t>(i));
    case Type::byte:
      return Value::byte(static_cast<std::uint8_t>(i));
    default:
      return Value::uint64(i);
  }
}

}  // namespace

// One round; false: the last.
bool Evaluation::walk_element(const Range& loop, const Operand& index, Operand element) {
  step();
  if (strict_ && element.value.is_nil()) {
    const bool key = index.value.is_text();
    const std::string name = key ? std::string(index.value.as_text())
                             : index.value.type() == Type::integer
                                 ? std::to_string(index.value.as_int())
                                 : "?";
    element.absence = absences_.note(key ? Absences::Kind::null_key : Absences::Kind::null_item,
                                     loop.over.value, name);
  }
  const auto& decl = loop.node.pipe->decl;
  if (!decl.empty() && loop.node.pipe->is_assign) {
    variable(as<VariableNode>(*decl[0]).name) = decl.size() > 1 ? index : element;
    if (decl.size() > 1) variable(as<VariableNode>(*decl[1]).name) = element;
  } else if (!decl.empty()) {
    variables_[loop.inside - 1].value = element;
    if (decl.size() > 1) variables_[loop.inside - 2].value = index;
  }
  const Flow flow = walk_list(element, loop.node.list);
  pop(loop.inside);
  return flow != Flow::break_;
}

bool Evaluation::walk_items(const Range& loop) {
  const Value held = loop.over.value;  // the list may be changed meanwhile: as many as there were
  const std::size_t count = held.items().size();
  for (std::size_t i = 0; i < count && i < held.items().size(); ++i) {
    if (!walk_element(loop, Operand(Value::integer(static_cast<std::int64_t>(i))),
                      element_of(held, held.items()[i])))
      break;
  }
  return count != 0;
}

bool Evaluation::walk_entries(const Range& loop) {
  const Value& value = loop.over.value;
  const auto held = value.entries();
  // A copy of references: the map may be changed meanwhile.
  const std::vector<Value::Entry> entries(held.begin(), held.end());
  for (const auto& [key, member] : entries) {
    const Operand index = value.type() == Type::any_map ? Operand::element(key) : Operand(key);
    if (!walk_element(loop, index, element_of(value, member))) break;
  }
  return !entries.empty();
}

bool Evaluation::walk_numbers(const Range& loop) {
  const Value& value = loop.over.value;
  if (loop.node.pipe->decl.size() > 1)
    fail("can't use " + shown(value, sprint({&value, 1})) +
         " to iterate over more than one variable");
  const bool negative =
      (value.type() == Type::integer || value.type() == Type::int64) && value.as_int() < 0;
  const std::uint64_t count = negative ? 0 : value.as_uint();
  for (std::uint64_t i = 0; i < count; ++i) {
    if (!walk_element(loop, Operand(), Operand(round_of(value, i)))) break;
  }
  return count != 0;
}

bool Evaluation::walk_channel(const Range& loop) {
  const Value& value = loop.over.value;
  const Struct* object = as_struct(value);
  if (object == nullptr || !object->is_channel())
    fail("range can't iterate over " + shown(value, sprint({&value, 1})));
  std::int64_t rounds = 0;
  while (const auto next = object->receive()) {
    if (!walk_element(loop, Operand(Value::integer(rounds++)), Operand(*next))) break;
  }
  return rounds != 0;
}

// False: there was nothing to walk over.
bool Evaluation::walk_elements(const Range& loop) {
  switch (loop.over.value.type()) {
    case Type::list:
    case Type::strings:
    case Type::ints:
    case Type::lists:
      return walk_items(loop);
    case Type::map:
    case Type::string_map:
    case Type::any_map:
      return walk_entries(loop);
    case Type::integer:
    case Type::int64:
    case Type::uint64:
    case Type::byte:
      return walk_numbers(loop);
    case Type::nil:
      if (strict_ && loop.node.else_list == nullptr && absences_.is_missing(loop.over.absence))
        fail_absent(loop.over.absence, *loop.node.pipe);
      return false;
    default:
      return walk_channel(loop);
  }
}

Evaluation::Flow Evaluation::walk_range(const Operand& dot, const BranchNode& range) {
  at(range);
  const std::size_t before = mark();
  const Operand over = pipeline(dot, range.pipe);
  const std::size_t inside = mark();
  Flow flow = Flow::normal;
  if (!walk_elements({range, over, inside})) {
    pop(inside);
    flow = walk_list(dot, range.else_list);
    if (flow == Flow::break_) flow = Flow::normal;  // as Go: it ends this range
  }
  pop(before);
  return flow;
}

}  // namespace keybearer::tmpl
