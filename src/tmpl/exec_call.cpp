// Calls of functions and methods: their arguments, their results, their errors.

#include "tmpl/exec.hpp"

#include <algorithm>
#include <array>

#include "tmpl/go/format.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/object.hpp"
#include "tmpl/redact.hpp"

namespace keybearer::tmpl {
namespace {

constexpr std::size_t kCall = 100;  // units of Work that a call is worth beside what it does

// What these return may be a credential of ours, or somebody else's secret.
constexpr std::array<std::string_view, 6> kOutside = {"env",    "envOrDefault", "mustEnv",
                                                      "plugin", "sprig_env",    "sprig_expandenv"};

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

}  // namespace

Operand Evaluation::and_or(const Operand& dot, const Function& function, Args args,
                           const Operand* final) {
  Operand value = Operand::element({});
  for (std::size_t i = 1; i < args.size(); ++i) {
    value = Operand::element(argument(dot, Param::any, *args[i]));
    value.absence = absence_;
    if (truth(value.value) == (function.special == Function::Special::or_)) return value;
  }
  if (final != nullptr) {
    value = Operand::element(final->value);
    value.absence = final->absence;
  }
  return value;
}

// What takes a denied function's place has strings as parameters, any number of them.
void Evaluation::check_count(const Function& function, std::string_view name, std::size_t given,
                             std::size_t total) {
  const std::size_t declared = function.params.size();
  const std::size_t fixed = function.variadic ? declared - 1 : declared;
  if (function.variadic && total < fixed) {
    fail("wrong number of args for " + std::string(name) + ": want at least " +
         std::to_string(fixed) + " got " + std::to_string(given));
  }
  if (!function.variadic && total != declared) {
    fail("wrong number of args for " + std::string(name) + ": want " + std::to_string(declared) +
         " got " + std::to_string(total));
  }
}

// The last argument, which is nil. Formats with a null take one that is there; the template's own
// nil is no value that is missing: only what would print it refuses it.
bool Evaluation::refuses_nil(const Function& function, const Node& argument) const {
  const NilRule rule = nil_rule(function.name);
  if (argument.type == NodeType::nil) return prints_nil(function.name);
  return rule == NilRule::null_taken ? absences_.is_missing(absence_) : rule != NilRule::taken;
}

// False: one of them hangs on what is missing, and the call is left out of this pass.
bool Evaluation::take_arguments(const Operand& dot, const Call& call, Arguments values) {
  const auto& [function, node, name, args, final, on, denied] = call;
  const auto param = [&](std::size_t i) {
    return denied ? Param::string
                  : param_of(function.params[std::min(i, function.params.size() - 1)]);
  };
  bool pending = false;
  const auto look_at = [&](std::size_t i, const Node& argument) {
    if (!values[i].is_nil()) return;
    if (absence_ == Absences::kPending && !options_.as_reference) {
      pending = pending || name != "not";
    } else if (strict_ &&
               (param(i) != Param::any || (on == nullptr && refuses_nil(function, argument)))) {
      fail_absent(absence_, argument);
    }
  };
  const std::size_t given = values.size() - (final != nullptr ? 1 : 0);
  std::uint32_t interfaces = 0;
  for (std::size_t i = 0; i < given; ++i) {
    in_interface_ = false;
    values[i] = argument(dot, param(i), *args[i + 1]);
    if (i < 32) interfaces |= static_cast<std::uint32_t>(in_interface_) << i;
    look_at(i, *args[i + 1]);
  }
  interfaces_ = interfaces;
  if (final != nullptr) {
    values[given] = checked(*final, param(given));
    look_at(given, node);
  }
  if (pending || !strict_ || denied || on != nullptr) return !pending;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Value& value = values[i];
    if (!value.is_list() && !value.is_map() && value.type() != Type::object) continue;
    if (nil_rule(function.name) != NilRule::refused_inside) break;
    refuse_nil_inside(value, i < given ? *args[i + 1] : node);
  }
  return true;
}

Operand Evaluation::call(const Operand& dot, const Function& function, const Node& node,
                         std::string_view name, Args args, const Operand* final, const Value* on) {
  const std::size_t given = args.empty() ? 0 : args.size() - 1;
  const std::size_t total = given + (final != nullptr ? 1 : 0);
  const bool denied = !options_.function_denylist.empty() && disabled(function);
  if (!denied) check_count(function, name, given, total);
  if (function.special == Function::Special::and_ || function.special == Function::Special::or_) {
    return and_or(dot, function, args, final);
  }
  std::array<Value, 8> few;
  std::vector<Value> many;
  Arguments values(few.data(), total);
  if (total > few.size()) {
    many.resize(total);
    values = many;
  }
  const Call made{function, node, name, args, final, on, denied};
  if (!take_arguments(dot, made, values)) return Operand::absent(Absences::kPending);
  if (denied) {
    at(node);
    fail("error calling " + std::string(name) + ": function is disabled");
  }
  if (on != nullptr) called_on = *on;
  if (function.special == Function::Special::call) callee_ = callee(args, final);
  spend(kCall);
  return carry_out(made, values);
}

Operand Evaluation::carry_out(const Call& call, Arguments values) {
  const Node* outer = std::exchange(called_node_, &call.node);
  const std::size_t lacking = lacking_;
  outside_ = outside_ || std::ranges::find(kOutside, call.name) != kOutside.end();
  try {
    Operand result = Operand::element(call.function.call(*this, values));
    called_node_ = outer;
    if (lacking_ != lacking && !options_.as_reference) return Operand::absent(Absences::kPending);
    if (strict_ && result.value.is_nil()) result.absence = why_nil(call, values);
    check_result(result.value);
    return result;
  } catch (const CallError& error) {
    called_node_ = outer;
    if (!error.bare) at(call.node);
    if (strict_ && call.function.name == "index") {
      const AbsenceId lacks = why_nil(call, values);
      if (lacks != Absences::kUnknown) fail_absent(lacks, call.node);
    }
    call_failed(error, call.name, call.args, values);
  }
}

void Evaluation::check_result(const Value& value) {
  if (value.is_text() && value.size() > kMostText)
    throw CallError{"the text is larger than 64 MiB"};
  if (value.is_text() && Value::live_text() - live_before_ > kMostLive)
    throw CallError{"the values of the template hold more than 1 GiB of text"};
  if (value.is_list() && value.size() > kMostItems)
    throw CallError{"the list has more than 4,000,000 elements"};
}

// The first step of `index` that leads nowhere.
AbsenceId Evaluation::what_index_lacks(Value item, std::span<const Value> path) {
  using Kind = Absences::Kind;
  for (const Value& step : path) {
    const Value at = plain(step);
    const bool number = at.type() == Type::integer || at.type() == Type::int64;
    if (item.is_map() && at.type() == Type::string) {
      const Value* member = item.find(at.as_text());
      if (member == nullptr || member->is_nil())
        return absences_.note(member == nullptr ? Kind::no_key : Kind::null_key, item,
                              at.as_text());
      item = Value(*member);
    } else if (item.is_list() && number && at.as_int() >= 0 &&
               static_cast<std::size_t>(at.as_int()) < item.size()) {
      const Value element = item.items()[static_cast<std::size_t>(at.as_int())];
      if (element.is_nil())
        return absences_.note(Kind::null_item, item, std::to_string(at.as_int()));
      item = element;
    } else {
      break;
    }
  }
  return Absences::kUnknown;
}

// Why a function that looks something up gave nil.
AbsenceId Evaluation::why_nil(const Call& call, std::span<const Value> values) {
  if (values.empty()) return Absences::kUnknown;
  if (call.on == nullptr)
    return call.function.name == "index" ? what_index_lacks(values[0], values.subspan(1))
                                         : Absences::kUnknown;
  const Struct* object = as_struct(*call.on);
  if (call.name != "Get" || object == nullptr || object->type_name() != "*template.Scratch")
    return Absences::kUnknown;
  return absences_.note(Absences::Kind::unset, {}, values[0].as_text());
}

// No value that the function was given is repeated, but for the template's own constants.
void Evaluation::call_failed(const CallError& error, std::string_view name, Args args,
                             std::span<const Value> values) {
  std::vector<Value> told;
  for (std::size_t i = 0; i < values.size() && may_know_secrets(); ++i) {
    if (i + 1 >= args.size() || args[i + 1]->type != NodeType::string) told.push_back(values[i]);
  }
  const std::string text = without_values(error.text, told);
  try {
    fail(error.bare ? text : "error calling " + std::string(name) + ": " + text, error.missing_key);
  } catch (ExecError& failed) {
    failed.hint = error.hint;
    throw;
  }
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
  absence_ = operand.absence;
  const bool told_later = strict_ || (absence_ == Absences::kPending && !options_.as_reference);
  if (operand.is_nothing() && told_later) return {};
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
  absence_ = Absences::kUnknown;
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
