#include "tmpl/exec.hpp"

#include <algorithm>

#include "tmpl/go/format.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/object.hpp"

namespace keybearer::tmpl {
namespace {

// What the type of a receiver is called when a field can't be had.
std::string type_of(const Operand& operand) {
  return operand.in_interface ? "interface {}" : type_name(operand.value);
}

// Go digs one level into an interface: nothing is left of a nil one.
void unwrap(Operand& value) {
  if (!value.in_interface) return;
  value.in_interface = false;
  if (value.value.is_nil()) value.valid = false;
}

}  // namespace

// An element of a typed container is no interface.
Operand element_of(const Value& container, const Value& element) {
  const bool typed = container.type() == Type::strings || container.type() == Type::ints ||
                     container.type() == Type::lists || container.type() == Type::string_map;
  return typed ? Operand(element) : Operand::element(element);
}

Operand& Evaluation::variable(std::string_view name) {
  for (auto it = variables_.rbegin(); it != variables_.rend(); ++it) {
    if (it->name == name) return it->value;
  }
  fail("undefined variable: " + std::string(name));
}

Operand Evaluation::pipeline(const Operand& dot, const PipeNode* pipe) {
  if (pipe == nullptr) return {};
  at(*pipe);
  check_nested("calls");
  Operand value = command(dot, as<CommandNode>(*pipe->cmds.front()), nullptr);
  unwrap(value);
  for (const Node* step : pipe->cmds.subspan(1)) {
    const Operand previous = std::move(value);
    value = command(dot, as<CommandNode>(*step), &previous);
    unwrap(value);
  }
  for (const Node* declared : pipe->decl) {
    const std::string_view name = as<VariableNode>(*declared).name;
    if (pipe->is_assign)
      variable(name) = value;
    else
      variables_.push_back({name, value});
  }
  return value;
}

void Evaluation::not_a_function(Args args, const Operand* final) {
  if (args.size() > 1 || final != nullptr) {
    fail("can't give argument to non-function " + node_text(*args[0]));
  }
}

Operand Evaluation::command(const Operand& dot, const CommandNode& command, const Operand* last) {
  const Node& first = *command.args.front();
  switch (first.type) {
    case NodeType::field:
      return field_node(dot, as<FieldNode>(first), command.args, last);
    case NodeType::chain:
      return chain_node(dot, as<ChainNode>(first), command.args, last);
    case NodeType::identifier: {
      const auto& identifier = as<IdentifierNode>(first);
      at(identifier);
      return call(dot, *identifier.function, command, identifier.name, command.args, last);
    }
    case NodeType::pipe:
      not_a_function(command.args, last);
      return pipeline(dot, &as<PipeNode>(first));
    case NodeType::variable:
      return variable_node(dot, as<VariableNode>(first), command.args, last);
    default:
      break;
  }
  at(first);
  not_a_function(command.args, last);
  switch (first.type) {
    case NodeType::boolean:
      return Operand(Value(as<BoolNode>(first).value));
    case NodeType::dot:
      return dot;
    case NodeType::nil:
      fail("nil is not a command");
    case NodeType::number:
      return Operand(constant(as<NumberNode>(first)));
    case NodeType::string:
      return Operand(*as<StringNode>(first).value);
    default:
      fail("can't evaluate command " + quote(node_text(first)));
  }
}

Value Evaluation::constant(const NumberNode& n) {
  at(n);
  if (n.is_complex) return Value::complex128(n.re, n.im);
  const bool hex = n.text.size() > 2 && n.text[0] == '0' &&
                   (n.text[1] == 'x' || n.text[1] == 'X') &&
                   n.text.find_first_of("pP") == std::string_view::npos;
  if (n.is_float && !hex && !n.is_char && n.text.find_first_of(".eEpP") != std::string_view::npos)
    return Value(n.float_value);
  if (n.is_int) return Value::integer(n.int_value);
  fail(std::string(n.text) + " overflows int");
}

Operand Evaluation::field_node(const Operand& dot, const FieldNode& node, Args args,
                               const Operand* final) {
  at(node);
  return field_chain(dot, dot, node, node.fields, args, final);
}

Operand Evaluation::chain_node(const Operand& dot, const ChainNode& node, Args args,
                               const Operand* final) {
  at(node);
  if (node.node->type == NodeType::nil)
    fail("indirection through explicit nil in " + node_text(node));
  at(*node.node);
  Operand receiver;
  switch (node.node->type) {
    case NodeType::pipe:
      receiver = pipeline(dot, &as<PipeNode>(*node.node));
      break;
    case NodeType::identifier: {
      const auto& identifier = as<IdentifierNode>(*node.node);
      receiver = call(dot, *identifier.function, identifier, identifier.name, {}, nullptr);
      receiver.in_interface = receiver.value.is_nil();  // a result has its own type
      break;
    }
    default:
      fail("can't evaluate " + node_text(*node.node));
  }
  return field_chain(dot, std::move(receiver), node, node.fields, args, final);
}

Operand Evaluation::variable_node(const Operand& dot, const VariableNode& node, Args args,
                                  const Operand* final) {
  at(node);
  const Operand value = variable(node.name);
  if (node.fields.empty()) {
    not_a_function(args, final);
    return value;
  }
  return field_chain(dot, value, node, node.fields, args, final);
}

Operand Evaluation::field_chain(const Operand& dot, Operand receiver, const Node& node,
                                Names fields, Args args, const Operand* final) {
  for (const std::string_view name : fields.first(fields.size() - 1))
    receiver = field(dot, name, node, {}, nullptr, receiver);
  return field(dot, fields.back(), node, args, final, receiver);
}

Operand Evaluation::field(const Operand& dot, std::string_view name, const Node& node, Args args,
                          const Operand* final, const Operand& receiver) {
  if (receiver.is_nothing() && receiver.absence == Absences::kPending) return receiver;
  const bool known = strict_ && receiver.absence != Absences::kUnknown;
  const auto why = [&] {  // what is said beside Go's own text
    return known
               ? "; " + absences_.text(receiver.absence, shown_key(absences_.key(receiver.absence)))
               : std::string();
  };
  if (!receiver.valid) {
    if (options_.error_on_missing_key)
      fail("nil data; no entry for key " + quote(name) + why(), true);
    return {};
  }
  if (receiver.nil_interface())
    fail("nil pointer evaluating interface {}." + std::string(name) + why(), known);
  const bool has_args = args.size() > 1 || final != nullptr;
  const Value& value = receiver.value;
  if (const Struct* object = as_struct(value)) {
    if (const Function* method = object->method(name)) {
      Operand result = call(dot, *method, node, name, args, final, &value);
      // Methods without parameters have results of one type.
      if (!has_args) result.in_interface = result.value.is_nil();
      return result;
    }
    const auto member = object->field(name);
    if (object->is_nil() && member)
      fail("nil pointer evaluating " + type_of(receiver) + "." + std::string(name));
    if (member) {
      if (has_args) fail(std::string(name) + " has arguments but cannot be invoked as function");
      return Operand(*member);
    }
    if (object->hides(name))
      fail(std::string(name) + " is an unexported field of struct type " + type_name(value));
  } else if (const Function* of_number =
                 value.type() == Type::number ? number_method(name) : nullptr) {
    return call(dot, *of_number, node, name, args, final, &value);
  } else if (value.is_map()) {
    if (has_args) fail(std::string(name) + " is not a method but has arguments");
    if (const Value* member = value.find(name)) {
      Operand element = element_of(value, *member);
      if (strict_ && member->is_nil())
        element.absence = absences_.note(Absences::Kind::null_key, value, name);
      return element;
    }
    if (strict_) fail_no_entry(value, name);
    if (options_.error_on_missing_key) fail("map has no entry for key " + quote(name), true);
    return value.type() == Type::string_map ? Operand(Value("")) : Operand::element({});
  }
  fail("can't evaluate field " + std::string(name) + " in type " + type_of(receiver));
}

// Go's own text, then what the map has.
void Evaluation::fail_no_entry(const Value& map, std::string_view name) {
  try {
    fail("map has no entry for key " + quote(name) + absences_.keys_text(map, name), true);
  } catch (ExecError& error) {
    error.hint = absences_.hint(map, name);
    throw;
  }
}

}  // namespace keybearer::tmpl
