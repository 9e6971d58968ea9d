#pragma once
// One evaluation of a template: walks the tree, calls functions, records what was asked. Mirrors
// Go's text/template/exec.go: same order of evaluation, same error texts, same "current node".

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.hpp"
#include "tmpl/absence.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/funcs/regex.hpp"
#include "tmpl/parse.hpp"
#include "tmpl/stack.hpp"
#include "tmpl/template.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl {

// A value as Go's reflection sees it: it may be no value at all, and it may come out of an
// interface (an element of a list or map), which matters for nil and for error texts.
struct Operand {
  Value value;
  bool valid = false;
  bool in_interface = false;
  AbsenceId absence = Absences::kUnknown;  // why it is nil

  Operand() = default;
  Operand(Value v) : value(std::move(v)), valid(true) {}
  static Operand element(Value v) {
    Operand operand(std::move(v));
    operand.in_interface = true;
    return operand;
  }
  static Operand absent(AbsenceId why) {
    Operand operand = element({});
    operand.absence = why;
    return operand;
  }
  [[nodiscard]] bool nil_interface() const { return valid && in_interface && value.is_nil(); }
  [[nodiscard]] bool is_nothing() const { return !valid || value.is_nil(); }
};

[[nodiscard]] bool truth(const Value& value);
// An element of a typed container is no interface.
[[nodiscard]] Operand element_of(const Value& container, const Value& element);

struct ExecError {
  std::string text;
  std::size_t pos = 0;
  bool missing_key = false;
  std::string hint = {};
};

class Evaluation {
 public:
  // In a first pass no plugin is started: each gives "" (behaviour.md R7).
  enum class Pass : std::uint8_t { first, with_plugins };
  Evaluation(const TreeSet& trees, const std::string& shown_name, std::string_view text,
             const Options& options, DataSource& source, Work& work, Pass pass)
      : trees_(trees),
        shown_name_(shown_name),
        text_(text),
        options_(options),
        source_(source),
        work_(work),
        strict_(options.error_on_missing_key && !options.as_reference),
        pass_(pass) {}

  // An error of the template is in the result.
  [[nodiscard]] Execution run(const std::string& own_name);
  // How many dependencies were missing when the first plugin was left out; nullopt: none was.
  [[nodiscard]] std::optional<std::size_t> plugin_left_out() const { return left_out_; }

  // For functions.
  [[nodiscard]] const Options& options() const { return options_; }
  // The answer, or nil and a record of what is missing.
  [[nodiscard]] Value ask(Dependency dependency, bool& there);
  [[nodiscard]] std::string execute_template(const std::string& name, Value dot);
  void add_effect(FileEffect effect);
  [[nodiscard]] bool may_start_plugin();
  [[nodiscard]] Work& work() { return work_; }
  // For error texts: `text`, which shows `value`, unless that may be of a secret. What stands in
  // the template, or was made before a secret was asked for, is none.
  [[nodiscard]] std::string shown(const Value& value, std::string text) const;
  std::map<std::string, Value> scratch;
  Value called_on;  // what a method was called on
  RegexCache regexes;
  [[nodiscard]] const std::string& called() const { return callee_; }  // by `call`
  // Was the last argument an interface that holds nil? To `len` that is not the same as nothing.
  [[nodiscard]] bool nil_argument() const { return nil_argument_; }
  // Was this argument an interface, as elements of maps and lists are? `slice` looks into none.
  [[nodiscard]] bool interface_argument(std::size_t i) const { return interfaces_ >> i & 1; }

 private:
  using Args =
      std::span<const Node* const>;  // of a command: the function itself is the first; empty: none
  enum class Flow { normal, break_, continue_ };
  struct Variable {
    std::string_view name;
    Operand value;
  };

  Flow walk(const Operand& dot, const Node& node);
  Flow walk_list(const Operand& dot, const ListNode* list);
  Flow walk_branch(const Operand& dot, const BranchNode& branch);
  Flow walk_range(const Operand& dot, const BranchNode& range);
  struct Range {
    const BranchNode& node;
    const Operand& over;
    std::size_t inside;  // mark() of its variables
  };
  bool walk_elements(const Range& loop);
  bool walk_items(const Range& loop);
  bool walk_entries(const Range& loop);
  bool walk_numbers(const Range& loop);
  bool walk_channel(const Range& loop);
  bool walk_element(const Range& loop, const Operand& index, Operand element);
  void walk_template(const Operand& dot, const TemplateNode& call);
  void print(const Node& node, const Operand& value);

  Operand pipeline(const Operand& dot, const PipeNode* pipe);
  Operand command(const Operand& dot, const CommandNode& command, const Operand* final);
  Operand field_chain(const Operand& dot, Operand receiver, const Node& node, Names fields,
                      Args args, const Operand* final);
  Operand field(const Operand& dot, std::string_view name, const Node& node, Args args,
                const Operand* final, const Operand& receiver);
  Operand field_node(const Operand& dot, const FieldNode& node, Args args, const Operand* final);
  Operand chain_node(const Operand& dot, const ChainNode& node, Args args, const Operand* final);
  Operand variable_node(const Operand& dot, const VariableNode& node, Args args,
                        const Operand* final);
  Operand call(const Operand& dot, const Function& function, const Node& node,
               std::string_view name, Args args, const Operand* final, const Value* on = nullptr);
  // One call: of a function, or of a method of `on`.
  struct Call {
    const Function& function;
    const Node& node;
    std::string_view name;
    Args args;
    const Operand* final;  // what comes through a pipe
    const Value* on;
    bool denied;
  };
  void check_count(const Function& function, std::string_view name, std::size_t given,
                   std::size_t total);
  [[nodiscard]] bool refuses_nil(const Function& function, const Node& argument) const;
  [[nodiscard]] bool take_arguments(const Operand& dot, const Call& call, Arguments values);
  Operand carry_out(const Call& call, Arguments values);
  void check_result(const Value& value);
  Operand and_or(const Operand& dot, const Function& function, Args args, const Operand* final);
  Value argument(const Operand& dot, Param param, const Node& node);
  Value any_argument(const Operand& dot, const Node& node);
  Value checked(Operand operand, Param param);
  Value constant(const NumberNode& number);
  [[nodiscard]] bool disabled(const Function& function) const;
  [[noreturn]] void call_failed(const CallError& error, std::string_view name, Args args,
                                std::span<const Value> values);
  // Once it has read a secret, or something from outside, what it works with may be one.
  [[nodiscard]] bool may_know_secrets() const { return !result_.used.empty() || outside_; }
  [[nodiscard]] bool too_deep() const;
  // Inside a template there is a little more room than for the next one: what recurses is named.
  void check_nested(std::string_view what) {
    if (!stack_.is_used_up(256u << 10)) return;
    node_ = nullptr;  // its text may be as deep
    fail(std::string(what) + " are nested too deeply");
  }
  void step();
  void spend(std::size_t units);  // of Work; an error when the execution is to end
  [[nodiscard]] std::string callee(Args args, const Operand* final) const;
  void not_a_function(Args args, const Operand* final);

  [[nodiscard]] std::size_t mark() const { return variables_.size(); }
  void pop(std::size_t mark) { variables_.resize(mark); }
  Operand& variable(std::string_view name);
  void at(const Node& node) { node_ = &node; }
  [[noreturn]] void fail(std::string_view text, bool missing_key = false);
  [[nodiscard]] std::string context(const Node* node) const;
  // An error where a value is used that is not there; for lack of it a default may stand in.
  [[noreturn]] void fail_absent(AbsenceId why, const Node& node);
  [[noreturn]] void fail_no_entry(const Value& map, std::string_view name);
  void refuse_nil_inside(const Value& value, const Node& node);
  [[nodiscard]] AbsenceId why_nil(const Call& call, std::span<const Value> values);
  [[nodiscard]] AbsenceId what_index_lacks(Value item, std::span<const Value> path);
  [[nodiscard]] std::string shown_key(std::string_view key) const;

  const TreeSet& trees_;
  const std::string& shown_name_;
  std::string_view text_;
  const Options& options_;
  DataSource& source_;
  Work& work_;
  const Node* node_ = nullptr;
  std::string_view template_name_;
  std::vector<Variable> variables_;
  std::string out_;
  std::string callee_;
  bool nil_argument_ = false;
  bool in_interface_ = false;     // the last argument
  std::uint32_t interfaces_ = 0;  // a bit for each of the first arguments
  Execution result_;
  const bool strict_;  // nothing that is nil is printed (behaviour.md R5)
  Absences absences_;
  AbsenceId absence_ = Absences::kUnknown;  // of the last argument, if it is nil
  std::size_t lacking_ = 0;                 // how often something was asked for that is missing
  const Node* called_node_ = nullptr;       // the call that is carried out
  Pass pass_;
  std::optional<std::size_t> left_out_;
  bool outside_ = false;  // it has read what may be our credential
  int depth_ = 0;
  std::size_t steps_ = 0;
  std::int64_t live_before_ = Value::live_text();
  std::uint64_t look_at_ = 0;  // the Work after which Options::interrupted is asked again
  StackRoom stack_;
};

}  // namespace keybearer::tmpl
