#include "tmpl/exec.hpp"

#include <algorithm>
#include <array>

#include "tmpl/go/format.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/hide.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/object.hpp"

namespace keybearer::tmpl {
namespace {

bool can_be_nil(Param param) {
  switch (param) {
    case Param::any:
    case Param::any_list:
    case Param::strings:
    case Param::any_map:
    case Param::string_map:
    case Param::location:
    case Param::version:
    case Param::merge_option:
      return true;
    default:
      return false;
  }
}

bool assignable(const Value& value, Param param) {
  switch (param) {
    case Param::any:
      return true;
    case Param::string:
      return value.type() == Type::string;
    case Param::integer:
      return value.type() == Type::integer;
    case Param::int64:
      return value.type() == Type::int64;
    case Param::uint64:
      return value.type() == Type::uint64;
    case Param::float64:
      return value.type() == Type::float64;
    case Param::boolean:
      return value.type() == Type::boolean;
    case Param::any_list:
      return value.type() == Type::list;
    case Param::strings:
      return value.type() == Type::strings;
    case Param::any_map:
      return value.type() == Type::map;
    case Param::string_map:
      return value.type() == Type::string_map;
    case Param::time:
    case Param::duration:
    case Param::location:
    case Param::version:
    case Param::certificate:
      return value.type() == Type::object && value.as_object()->type_name() == param_name(param);
    case Param::uint32:
    case Param::merge_option:
      break;
  }
  return false;
}

Value zero(Param param) {
  switch (param) {
    case Param::any_list:
      return Value::nil_of(Type::list);
    case Param::strings:
      return Value::nil_of(Type::strings);
    case Param::any_map:
      return Value::nil_of(Type::map);
    case Param::string_map:
      return Value::nil_of(Type::string_map);
    default:
      return {};
  }
}

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
  if (!receiver.valid) {
    if (options_.error_on_missing_key) fail("nil data; no entry for key " + quote(name), true);
    return {};
  }
  if (receiver.nil_interface()) fail("nil pointer evaluating interface {}." + std::string(name));
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
    if (const Value* member = value.find(name)) return element_of(value, *member);
    if (options_.error_on_missing_key) fail("map has no entry for key " + quote(name), true);
    return value.type() == Type::string_map ? Operand(Value("")) : Operand::element({});
  }
  fail("can't evaluate field " + std::string(name) + " in type " + type_of(receiver));
}

Operand Evaluation::and_or(const Operand& dot, const Function& function, Args args,
                           const Operand* final) {
  Value value;
  for (std::size_t i = 1; i < args.size(); ++i) {
    value = argument(dot, Param::any, *args[i]);
    if (truth(value) == (function.special == Function::Special::or_))
      return Operand::element(value);
  }
  if (final != nullptr) value = final->value;
  return Operand::element(value);
}

Operand Evaluation::call(const Operand& dot, const Function& function, const Node& node,
                         std::string_view name, Args args, const Operand* final, const Value* on) {
  const std::size_t given = args.empty() ? 0 : args.size() - 1;
  const std::size_t total = given + (final != nullptr ? 1 : 0);
  const std::size_t declared = function.params.size();
  const std::size_t fixed = function.variadic ? declared - 1 : declared;
  // What takes a denied function's place has strings as parameters, any number of them.
  const bool denied = !options_.function_denylist.empty() && disabled(function);
  if (!denied && function.variadic && total < fixed) {
    fail("wrong number of args for " + std::string(name) + ": want at least " +
         std::to_string(fixed) + " got " + std::to_string(given));
  }
  if (!denied && !function.variadic && total != declared) {
    fail("wrong number of args for " + std::string(name) + ": want " + std::to_string(declared) +
         " got " + std::to_string(total));
  }
  if (function.special == Function::Special::and_ || function.special == Function::Special::or_) {
    return and_or(dot, function, args, final);
  }
  const auto param = [&](std::size_t i) {
    return denied ? Param::string : param_of(function.params[std::min(i, declared - 1)]);
  };
  std::array<Value, 8> few;
  std::vector<Value> many;
  Arguments values(few.data(), total);
  if (total > few.size()) {
    many.resize(total);
    values = many;
  }
  std::uint32_t interfaces = 0;
  for (std::size_t i = 0; i < given; ++i) {
    in_interface_ = false;
    values[i] = argument(dot, param(i), *args[i + 1]);
    if (i < 32) interfaces |= static_cast<std::uint32_t>(in_interface_) << i;
  }
  interfaces_ = interfaces;
  if (final != nullptr) values[given] = checked(*final, param(given));
  if (denied) {
    at(node);
    fail("error calling " + std::string(name) + ": function is disabled");
  }
  if (on != nullptr) called_on = *on;
  if (function.special == Function::Special::call) callee_ = callee(args, final);
  try {
    Operand result = Operand::element(function.call(*this, values));
    if (result.value.is_text() && result.value.size() > kMostText)
      throw CallError{"the text is larger than 64 MiB"};
    if (result.value.is_text() && (produced_ += result.value.size()) > kMostProduced)
      throw CallError{"the functions of the template have made more than 1 GiB of text"};
    if (result.value.is_list() && result.value.size() > kMostItems)
      throw CallError{"the list has more than 4,000,000 elements"};
    return result;
  } catch (const CallError& error) {
    if (!error.bare) at(node);
    call_failed(error, name, args, values);
  }
}

// No value that the function was given is repeated, but for the template's own constants.
void Evaluation::call_failed(const CallError& error, std::string_view name, Args args,
                             std::span<const Value> values) {
  std::vector<Value> told;
  for (std::size_t i = 0; i < values.size() && !result_.used.empty(); ++i) {
    if (i + 1 >= args.size() || args[i + 1]->type != NodeType::string) told.push_back(values[i]);
  }
  const std::string text = without_values(error.text, told);
  fail(error.bare ? text : "error calling " + std::string(name) + ": " + text, error.missing_key);
}

// How `call` names what it is to call.
std::string Evaluation::callee(Args args, const Operand* final) const {
  if (args.size() > 1) return node_text(*args[1]);
  const Value& value = final->value;
  return value.is_text() ? shown(value, std::string(value.as_text()))
                         : "<" + type_name(value) + " Value>";
}

// Of the characters of a glob only the star is special (github.com/ryanuber/go-glob).
bool matches(std::string_view pattern, std::string_view text) {
  const auto star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == text;
  if (!text.starts_with(pattern.substr(0, star))) return false;
  pattern.remove_prefix(star + 1);
  for (text.remove_prefix(star);; text.remove_prefix(1)) {
    if (matches(pattern, text)) return true;
    if (text.empty()) return false;
  }
}

// Go's own functions can't be denied (consul-template: function_denylist, names or globs).
bool Evaluation::disabled(const Function& function) const {
  const auto builtins = builtin_functions();
  if (&function >= builtins.data() && &function < builtins.data() + builtins.size()) return false;
  return std::ranges::any_of(options_.function_denylist, [&function](const std::string& pattern) {
    return matches(pattern, function.name);
  });
}

// A value that comes from somewhere against the parameter it goes to (Go: validateType).
Value Evaluation::checked(Operand operand, Param param) {
  nil_argument_ = operand.nil_interface();
  in_interface_ = operand.in_interface;
  if (!operand.valid) {
    if (!can_be_nil(param)) fail("invalid value; expected " + std::string(param_name(param)));
    return zero(param);
  }
  if (assignable(operand.value, param)) return std::move(operand.value);
  if (operand.nil_interface()) {
    fail("wrong type for value; expected " + std::string(param_name(param)) + "; got interface {}");
  }
  fail("wrong type for value; expected " + std::string(param_name(param)) + "; got " +
       type_name(operand.value));
}

Value Evaluation::argument(const Operand& dot, Param param, const Node& node) {
  at(node);
  switch (node.type) {
    case NodeType::dot:
      return checked(dot, param);
    case NodeType::nil:
      if (can_be_nil(param)) return zero(param);
      fail("cannot assign nil to " + std::string(param_name(param)));
    case NodeType::field:
      return checked(field_node(dot, as<FieldNode>(node), {}, nullptr), param);
    case NodeType::variable:
      return checked(variable_node(dot, as<VariableNode>(node), {}, nullptr), param);
    case NodeType::pipe:
      return checked(pipeline(dot, &as<PipeNode>(node)), param);
    case NodeType::identifier: {
      const auto& identifier = as<IdentifierNode>(node);
      return checked(call(dot, *identifier.function, node, identifier.name, {}, nullptr), param);
    }
    case NodeType::chain:
      return checked(chain_node(dot, as<ChainNode>(node), {}, nullptr), param);
    default:
      break;
  }
  const auto expected = [&](const char* what) {
    fail(std::string("expected ") + what + "; found " + node_text(node));
  };
  const auto* number = node.type == NodeType::number ? &as<NumberNode>(node) : nullptr;
  switch (param) {
    case Param::boolean:
      if (node.type == NodeType::boolean) return Value(as<BoolNode>(node).value);
      expected("bool");
      break;
    case Param::string:
      if (node.type == NodeType::string) return *as<StringNode>(node).value;
      expected("string");
      break;
    case Param::duration:
      if (number != nullptr && number->is_int) return duration_object(number->int_value);
      expected("integer");
      break;
    case Param::integer:
    case Param::int64:
      if (number != nullptr && number->is_int) {
        return param == Param::integer ? Value::integer(number->int_value)
                                       : Value::int64(number->int_value);
      }
      expected("integer");
      break;
    case Param::uint32:
    case Param::uint64:
      if (number != nullptr && number->is_uint) return Value::uint64(number->uint_value);
      expected("unsigned integer");
      break;
    case Param::float64:
      if (number != nullptr && number->is_float) return Value(number->float_value);
      expected("float");
      break;
    case Param::any:
      return any_argument(dot, node);
    default:
      break;
  }
  fail("can't handle " + node_text(node) + " for arg of type " + std::string(param_name(param)));
}

Value Evaluation::any_argument(const Operand&, const Node& node) {
  switch (node.type) {
    case NodeType::boolean:
      return Value(as<BoolNode>(node).value);
    case NodeType::number:
      return constant(as<NumberNode>(node));
    case NodeType::string:
      return *as<StringNode>(node).value;
    default:
      fail("can't handle assignment of " + node_text(node) + " to empty interface argument");
  }
}

}  // namespace keybearer::tmpl
