#include "tmpl/exec.hpp"

#include <fnmatch.h>

#include <algorithm>

#include "tmpl/format.hpp"
#include "tmpl/hide.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/object.hpp"
#include "tmpl/strconv.hpp"

namespace keybearer::tmpl {
namespace {

constexpr int kMaxDepth =
    400;  // of templates that call templates: each level takes our stack (Go: 100,000)

bool can_be_nil(Param param) {
  switch (param) {
    case Param::any:
    case Param::any_list:
    case Param::strings:
    case Param::any_map:
    case Param::string_map:
    case Param::location:
    case Param::version:
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

// An element of a typed container is no interface.
Operand element_of(const Value& container, const Value& element) {
  const bool typed = container.type() == Type::strings || container.type() == Type::ints ||
                     container.type() == Type::lists || container.type() == Type::string_map;
  return typed ? Operand(element) : Operand::element(element);
}

// Go digs one level into an interface: nothing is left of a nil one.
void unwrap(Operand& value) {
  if (!value.in_interface) return;
  value.in_interface = false;
  if (value.value.is_nil()) value.valid = false;
}

}  // namespace

bool truth(const Value& value) {
  switch (value.type()) {
    case Type::nil:
      return false;
    case Type::boolean:
      return value.as_bool();
    case Type::integer:
    case Type::int64:
      return value.as_int() != 0;
    case Type::uint64:
    case Type::byte:
      return value.as_uint() != 0;
    case Type::float64:
      return value.as_double() != 0;
    case Type::complex128:
      return value.as_complex() != std::pair(0.0, 0.0);
    case Type::object: {
      const Struct* object = as_struct(value);
      if (object == nullptr) return true;
      const auto number = object->number();
      return number ? number->as_int() != 0 : !object->is_nil();
    }
    default:
      return value.size() != 0;
  }
}

void Evaluation::fail(std::string_view text, bool missing_key) {
  const std::string name(template_name_.empty() ? std::string_view(shown_name_) : template_name_);
  ExecError error{"template: " + shown_name_, 0, missing_key};
  if (node_ != nullptr) {
    const std::string_view before =
        text_.substr(0, std::min<std::size_t>(node_->pos, text_.size()));
    const auto newline = before.rfind('\n');
    const std::size_t column =
        newline == std::string_view::npos ? before.size() : before.size() - newline - 1;
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    error.text += ":" + std::to_string(line) + ":" + std::to_string(column) + ": executing " +
                  quote(name) + " at <" + node_text(*node_) + ">";
    error.pos = node_->pos;
  }
  error.text += ": ";
  error.text += text;
  throw error;
}

std::string Evaluation::shown(const Value& value, std::string text) const {
  if (result_.used.empty() || value.is_nil() || value.type() == Type::boolean) return text;
  if (value.type() == Type::object) return as_struct(value)->is_nil() ? text : "[redacted]";
  const auto known = [this](const Value& v) { return shown(v, "") != "[redacted]"; };
  if (value.is_list()) return std::ranges::all_of(value.items(), known) ? text : "[redacted]";
  if (value.is_map()) {
    const bool all = std::ranges::all_of(value.entries(), [&known](const Value::Entry& entry) {
      return known(entry.key) && known(entry.value);
    });
    return all ? text : "[redacted]";
  }
  return text_.find(sprint({&value, 1})) != std::string_view::npos ? text : "[redacted]";
}

Output Evaluation::run(const std::string& own_name) {
  const auto tree = trees_.trees.find(own_name);
  variables_.push_back({"$", Operand()});
  template_name_ = own_name;
  if (tree != trees_.trees.end()) (void)walk_list(Operand(), tree->second);
  result_.text = Secret(std::move(out_));
  return std::move(result_);
}

std::string Evaluation::execute_template(const std::string& name, Value dot) {
  const auto tree = trees_.trees.find(name);
  if (tree == trees_.trees.end())
    throw CallError{"template: no template " + quote(name) + " associated with template " +
                    quote(shown_name_)};
  if (depth_ >= kMaxDepth)
    throw CallError{"exceeded maximum template depth (" + std::to_string(kMaxDepth) + ")"};
  ++depth_;
  auto variables = std::exchange(variables_, {});
  const auto outer_name = std::exchange(template_name_, tree->first);
  std::string outer = std::exchange(out_, {});
  const std::size_t printed = result_.printed.size();
  const Operand root = dot.is_nil() ? Operand() : Operand(std::move(dot));
  variables_.push_back({"$", root});
  try {
    (void)walk_list(root, tree->second);
  } catch (const ExecError& error) {  // an execution of its own, whose error is ours
    template_name_ = outer_name;
    throw CallError{.text = error.text, .missing_key = error.missing_key};
  }
  template_name_ = outer_name;
  variables_ = std::move(variables);
  result_.printed.resize(printed);
  --depth_;
  return std::exchange(out_, std::move(outer));
}

Value Evaluation::ask(Dependency dependency, bool& there) {
  const Value* found = source_.find(dependency);
  there = found != nullptr;
  auto& list = there ? result_.used : result_.missing;
  if (there) {
    if (std::ranges::find(result_.used, dependency) == result_.used.end())
      result_.used.push_back(std::move(dependency));
    return trees_.changes_maps ? found->deep_copy() : *found;
  }
  if (std::ranges::find(result_.used, dependency) == result_.used.end())
    result_.used.push_back(dependency);
  if (std::ranges::find(list, dependency) == list.end()) list.push_back(std::move(dependency));
  return {};
}

// --- walking ---

Evaluation::Flow Evaluation::walk_list(const Operand& dot, const ListNode* list) {
  if (list == nullptr) return Flow::normal;
  for (const Node* node : list->nodes) {
    if (const Flow flow = walk(dot, *node); flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Evaluation::Flow Evaluation::walk(const Operand& dot, const Node& node) {
  at(node);
  switch (node.type) {
    case NodeType::text:
      out_ += as<TextNode>(node).text;
      if (out_.size() > kMostText) fail("the output is larger than 64 MiB");
      return Flow::normal;
    case NodeType::action: {
      const PipeNode& pipe = *as<ActionNode>(node).pipe;
      const Operand value = pipeline(dot, &pipe);
      if (pipe.decl.empty()) print(node, value);
      return Flow::normal;
    }
    case NodeType::if_:
    case NodeType::with:
      return walk_branch(dot, as<BranchNode>(node));
    case NodeType::range:
      return walk_range(dot, as<BranchNode>(node));
    case NodeType::list:
      return walk_list(dot, &as<ListNode>(node));
    case NodeType::template_:
      walk_template(dot, as<TemplateNode>(node));
      return Flow::normal;
    case NodeType::break_:
      return Flow::break_;
    case NodeType::continue_:
      return Flow::continue_;
    default:
      fail("unknown node: " + node_text(node));
  }
}

Evaluation::Flow Evaluation::walk_branch(const Operand& dot, const BranchNode& branch) {
  const std::size_t before = mark();
  const Operand value = pipeline(dot, branch.pipe);
  Flow flow = Flow::normal;
  if (truth(value.value)) {
    flow = walk_list(branch.type == NodeType::with ? value : dot, branch.list);
  } else {
    flow = walk_list(dot, branch.else_list);
  }
  pop(before);
  return flow;
}

Evaluation::Flow Evaluation::walk_range(const Operand& dot, const BranchNode& range) {
  at(range);
  const std::size_t before = mark();
  const Operand over = pipeline(dot, range.pipe);
  const std::size_t inside = mark();
  const auto& decl = range.pipe->decl;

  Flow result = Flow::normal;
  const auto iterate = [&](const Operand& index, const Operand& element) {
    if (!decl.empty() && range.pipe->is_assign) {
      variable(as<VariableNode>(*decl[0]).name) = decl.size() > 1 ? index : element;
      if (decl.size() > 1) variable(as<VariableNode>(*decl[1]).name) = element;
    } else if (!decl.empty()) {
      variables_[inside - 1].value = element;
      if (decl.size() > 1) variables_[inside - 2].value = index;
    }
    const Flow flow = walk_list(element, range.list);
    pop(inside);
    return flow != Flow::break_;
  };
  const Value& value = over.value;
  bool any = false;
  std::int64_t rounds = 0;
  switch (value.type()) {
    case Type::list:
    case Type::strings:
    case Type::ints:
    case Type::lists: {
      const Value held = value;  // the list may be changed meanwhile: as many as there were
      const std::size_t count = held.items().size();
      any = count != 0;
      for (std::size_t i = 0; i < count && i < held.items().size(); ++i) {
        if (!iterate(Operand(Value::integer(static_cast<std::int64_t>(i))),
                     element_of(held, held.items()[i])))
          break;
      }
      break;
    }
    case Type::map:
    case Type::string_map:
    case Type::any_map: {
      const auto entries =
          value.entries();  // a copy of references: the map may be changed meanwhile
      any = !entries.empty();
      for (const auto& [key, member] : entries) {
        const Operand index = value.type() == Type::any_map ? Operand::element(key) : Operand(key);
        if (!iterate(index, element_of(value, member))) break;
      }
      break;
    }
    case Type::integer:
    case Type::int64:
    case Type::uint64:
    case Type::byte: {
      if (decl.size() > 1)
        fail("can't use " + sprint({&value, 1}) + " to iterate over more than one variable");
      const bool negative =
          (value.type() == Type::integer || value.type() == Type::int64) && value.as_int() < 0;
      const std::uint64_t count = negative ? 0 : value.as_uint();
      any = count != 0;
      for (std::uint64_t i = 0; i < count; ++i) {
        Value element = value.type() == Type::integer ? Value::integer(static_cast<std::int64_t>(i))
                        : value.type() == Type::int64 ? Value::int64(static_cast<std::int64_t>(i))
                        : value.type() == Type::byte  ? Value::byte(static_cast<std::uint8_t>(i))
                                                      : Value::uint64(i);
        if (!iterate(Operand(), Operand(std::move(element)))) break;
      }
      break;
    }
    case Type::nil:
      break;
    default:
      if (const Struct* object = as_struct(value); object != nullptr && object->is_channel()) {
        while (const auto next = object->receive()) {
          if (!iterate(Operand(Value::integer(rounds++)), Operand(*next))) break;
        }
        any = rounds != 0;
        break;
      }
      fail("range can't iterate over " + shown(value, sprint({&value, 1})));
  }
  if (!any) {
    pop(inside);
    result = walk_list(dot, range.else_list);
    if (result == Flow::break_) result = Flow::normal;  // as Go: it ends this range
  }
  pop(before);
  return result;
}

void Evaluation::walk_template(const Operand& dot, const TemplateNode& call) {
  at(call);
  const auto tree = trees_.trees.find(call.name);
  if (tree == trees_.trees.end()) fail("template " + quote(call.name) + " not defined");
  if (depth_ >= kMaxDepth)
    fail("exceeded maximum template depth (" + std::to_string(kMaxDepth) + ")");
  const Operand inner = pipeline(dot, call.pipe);
  ++depth_;
  auto variables = std::exchange(variables_, {});
  const auto outer_name = std::exchange(template_name_, tree->first);
  variables_.push_back({"$", inner});
  (void)walk_list(inner, tree->second);
  template_name_ = outer_name;
  variables_ = std::move(variables);
  --depth_;
}

void Evaluation::print(const Node& node, const Operand& value) {
  at(node);
  const std::size_t before = out_.size();
  if (!value.valid || value.nil_interface()) {
    out_ += "<no value>";
  } else if (value.value.is_text()) {
    out_ += value.value.as_text();
  } else {
    if (const Struct* object = as_struct(value.value); object != nullptr && object->is_channel())
      fail("can't print " + node_text(node) + " of type " + type_name(value.value));
    try {
      append_printed(out_, value.value);
    } catch (const CallError& error) {
      fail(error.text);
    }
  }
  if (out_.size() > before) result_.printed.push_back({before, out_.size()});
  if (out_.size() > kMostText) fail("the output is larger than 64 MiB");
}

// --- evaluating ---

Operand& Evaluation::variable(std::string_view name) {
  for (auto it = variables_.rbegin(); it != variables_.rend(); ++it) {
    if (it->name == name) return it->value;
  }
  fail("undefined variable: " + std::string(name));
}

Operand Evaluation::pipeline(const Operand& dot, const PipeNode* pipe) {
  if (pipe == nullptr) return {};
  at(*pipe);
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
    if (const Function* method = object->method(name))
      return call(dot, *method, node, name, args, final, &value);
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
  for (std::size_t i = 0; i < given; ++i) values[i] = argument(dot, param(i), *args[i + 1]);
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
    return result;
  } catch (const CallError& error) {
    at(node);
    std::array<Value, 16> told;  // what may not be repeated: all but the template's own constants
    for (std::size_t i = 0; i < total && !result_.used.empty(); ++i) {
      if (i == given || args[i + 1]->type != NodeType::string)
        told[std::min(i, told.size() - 1)] = values[i];
    }
    const std::string text = without_values(error.text, told);
    fail(error.bare ? text : "error calling " + std::string(name) + ": " + text, error.missing_key);
  }
}

// How `call` names what it is to call.
std::string Evaluation::callee(Args args, const Operand* final) const {
  if (args.size() > 1) return node_text(*args[1]);
  const Value& value = final->value;
  return value.type() == Type::string ? shown(value, std::string(value.as_text()))
                                      : "<" + type_name(value) + " Value>";
}

// Go's own functions can't be denied (consul-template: function_denylist, names or globs).
bool Evaluation::disabled(const Function& function) const {
  const auto builtins = builtin_functions();
  if (&function >= builtins.data() && &function < builtins.data() + builtins.size()) return false;
  return std::ranges::any_of(options_.function_denylist, [&function](const std::string& pattern) {
    return fnmatch(pattern.c_str(), std::string(function.name).c_str(), 0) == 0;
  });
}

// A value that comes from somewhere against the parameter it goes to (Go: validateType).
Value Evaluation::checked(Operand operand, Param param) {
  nil_argument_ = operand.nil_interface();
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
