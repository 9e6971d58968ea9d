#include "tmpl/exec.hpp"

#include <algorithm>

#include "tmpl/go/format.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/hints.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/object.hpp"
#include "tmpl/place.hpp"

namespace keybearer::tmpl {
namespace {

bool is_empty_answer(const Value& value) {
  const Struct* object = as_struct(value);
  return object != nullptr && object->is_nil() && object->type_name() == "*dependency.Secret";
}

constexpr int kMaxDepth = 100'000;  // of templates that call templates, as in Go
// Units of Work: of a round of range or a call of a template, and between two looks at interrupted.
constexpr std::size_t kStep = 200;
constexpr std::uint64_t kLook = 1u << 17;

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

// "template: NAME:LINE:COLUMN: executing "NAME" at <NODE>", as Go has it.
std::string Evaluation::context(const Node* node) const {
  const std::string name(template_name_.empty() ? std::string_view(shown_name_) : template_name_);
  std::string text = "template: " + shown_name_;
  if (node == nullptr) return text;
  const std::size_t line = line_of(text_, node->pos), column = column_of(text_, node->pos);
  return text + ":" + std::to_string(line) + ":" + std::to_string(column) + ": executing " +
         quote(name) + " at <" + node_text(*node) + ">";
}

void Evaluation::fail(std::string_view text, bool missing_key) {
  throw ExecError{context(node_) + ": " + std::string(text), node_ != nullptr ? node_->pos : 0,
                  missing_key};
}

std::string Evaluation::shown_key(std::string_view key) const {
  return shown(Value(key), quote(key));
}

void Evaluation::fail_absent(AbsenceId why, const Node& node) {
  at(node);
  try {
    fail(absences_.text(why, shown_key(absences_.key(why))), absences_.is_of_key(why));
  } catch (ExecError& error) {
    error.hint = absences_.hint(why);
    throw;
  }
}

// What fmt would print with a <nil> in it.
void Evaluation::refuse_nil_inside(const Value& value, const Node& node) {
  const Struct* object = as_struct(value);
  const bool pointer =
      object != nullptr && object->is_nil() && object->type_name().starts_with("*dependency.");
  if (pointer)
    fail_absent(absences_.note(Absences::Kind::no_answer, value, object->type_name()), node);
  if (!value.is_list() && !value.is_map() && object == nullptr) return;
  const auto where = nil_inside(value);
  if (!where) return;
  at(node);
  fail((result_.used.empty() ? *where + " of it" : std::string("something in it")) +
           " is null; toJSON writes null, print does not",
       true);
}

std::string Evaluation::shown(const Value& value, std::string text) const {
  if (!may_know_secrets() || value.is_nil() || value.type() == Type::boolean) return text;
  if (value.type() == Type::object) return as_struct(value)->is_nil() ? text : "[masked]";
  const auto known = [this](const Value& v) { return shown(v, "") != "[masked]"; };
  if (value.is_list()) return std::ranges::all_of(value.items(), known) ? text : "[masked]";
  if (value.is_map()) {
    const bool all = std::ranges::all_of(value.entries(), [&known](const Value::Entry& entry) {
      return known(entry.key) && known(entry.value);
    });
    return all ? text : "[masked]";
  }
  return text_.find(sprint({&value, 1})) != std::string_view::npos ? text : "[masked]";
}

Execution Evaluation::run(const std::string& own_name) {
  stack_ = StackRoom();
  const auto tree = trees_.trees.find(own_name);
  Operand root;
  root.absence = absences_.note(Absences::Kind::no_data, {}, {});
  variables_.push_back({"$", root});
  template_name_ = own_name;
  try {
    if (tree != trees_.trees.end()) (void)walk_list(root, tree->second);
    result_.text = Secret(std::move(out_));
  } catch (const ExecError& error) {
    const ErrorSite site{.error = error.text, .text = text_, .pos = error.pos};
    result_.error = TemplateError{.text = error.text,
                                  .line = line_of(text_, error.pos),
                                  .column = column_of(text_, error.pos),
                                  .missing_key = error.missing_key,
                                  .hint = error.hint.empty() ? hint_for(site) : error.hint};
    result_.printed.clear();
  }
  if (!result_.complete()) result_.effects.clear();
  return std::move(result_);
}

void Evaluation::add_effect(FileEffect effect) {
  effect.context = context(called_node_);
  result_.effects.push_back(std::move(effect));
}

bool Evaluation::may_start_plugin() {
  if (pass_ == Pass::with_plugins && result_.missing.empty()) return true;
  if (!left_out_) left_out_ = result_.missing.size();
  ++lacking_;
  return false;
}

void Evaluation::step() {
  if (++steps_ > options_.max_steps)
    fail("more than " + std::to_string(options_.max_steps) +
         " rounds of range and calls of templates");
  spend(kStep);
}

void Evaluation::spend(std::size_t units) {
  if (!work_.tick(units)) fail(work_.why());
  const bool by_flag = work_.stop_flag() != nullptr;  // it says so in time
  if (by_flag || options_.interrupted == nullptr || work_.done() < look_at_) return;
  look_at_ = work_.done() + kLook;
  if (options_.interrupted()) fail("broken off");
}

bool Evaluation::too_deep() const {
  return depth_ >= kMaxDepth || stack_.is_used_up();
}

std::string Evaluation::execute_template(const std::string& name, Value dot) {
  const auto tree = trees_.trees.find(name);
  if (tree == trees_.trees.end())
    throw CallError{"template: no template " + quote(name) + " associated with template " +
                    quote(shown_name_)};
  if (too_deep())
    throw CallError{"exceeded maximum template depth (" + std::to_string(depth_) + ")"};
  step();
  ++depth_;
  auto variables = std::exchange(variables_, {});
  const auto outer_name = std::exchange(template_name_, tree->first);
  std::string outer = std::exchange(out_, {});
  const std::size_t printed = result_.printed.size();
  Operand root = dot.is_nil() ? Operand() : Operand(std::move(dot));
  if (!root.valid) root.absence = absences_.note(Absences::Kind::no_data, {}, {});
  variables_.push_back({"$", root});
  try {
    (void)walk_list(root, tree->second);
  } catch (const ExecError& error) {  // an execution of its own, whose error is ours
    template_name_ = outer_name;
    constexpr std::size_t kReadable = 2000;  // each level of calls puts its own text in front
    std::string text = error.text;
    if (text.size() > kReadable) text.replace(kReadable / 2, text.size() - kReadable, " ... ");
    throw CallError{.text = std::move(text), .missing_key = error.missing_key, .hint = error.hint};
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
  if (!there && std::ranges::find(result_.missing, dependency) == result_.missing.end())
    result_.missing.push_back(dependency);
  const auto same = [&dependency](const Use& use) { return use.dependency == dependency; };
  const bool first = std::ranges::none_of(result_.used, same);
  Value answer;
  if (there) answer = trees_.changes_maps ? found->deep_copy() : *found;
  if (there && (first || trees_.changes_maps)) absences_.given(dependency.path, answer);
  if (!there) ++lacking_;
  if (first) {
    const std::uint64_t generation = source_.generation(dependency);
    result_.used.push_back({std::move(dependency), generation});
  }
  return answer;
}

// --- walking ---

Evaluation::Flow Evaluation::walk_list(const Operand& dot, const ListNode* list) {
  if (list == nullptr) return Flow::normal;
  check_nested("control structures");
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

void Evaluation::walk_template(const Operand& dot, const TemplateNode& call) {
  at(call);
  step();
  const auto tree = trees_.trees.find(call.name);
  if (tree == trees_.trees.end()) fail("template " + quote(call.name) + " not defined");
  // The reference's text, and its limit, also where our stack ends before that.
  if (too_deep()) fail("exceeded maximum template depth (" + std::to_string(kMaxDepth) + ")");
  Operand inner = pipeline(dot, call.pipe);
  if (call.pipe == nullptr) inner.absence = variables_.front().value.absence;
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
  if (value.is_nothing() && value.absence == Absences::kPending) return;
  if (strict_) {
    const Node& printed = *as<ActionNode>(node).pipe->cmds.back();
    if (value.is_nothing()) fail_absent(value.absence, printed);
    if (is_empty_answer(value.value)) return;  // of a write (204) that stands by itself
    refuse_nil_inside(value.value, printed);
  }
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

}  // namespace keybearer::tmpl
