#include "tmpl/node.hpp"

#include "tmpl/strconv.hpp"

namespace keybearer::tmpl {
namespace {

std::string joined(const std::vector<std::string>& parts, const char* before_each) {
  std::string out;
  for (const std::string& part : parts) out += before_each + part;
  return out;
}

std::string pipe_text(const PipeNode& pipe) {
  std::string out;
  for (const auto& variable : pipe.decl) out += (out.empty() ? "" : ", ") + node_text(*variable);
  if (!pipe.decl.empty()) out += pipe.is_assign ? " = " : " := ";
  bool first = true;
  for (const auto& command : pipe.cmds) {
    if (!first) out += " | ";
    first = false;
    out += node_text(*command);
  }
  return out;
}

std::string command_text(const CommandNode& command) {
  std::string out;
  for (const NodePtr& argument : command.args) {
    if (!out.empty()) out += ' ';
    out +=
        argument->type == NodeType::pipe ? "(" + node_text(*argument) + ")" : node_text(*argument);
  }
  return out;
}

std::string branch_text(const char* name, const BranchNode& branch) {
  std::string out =
      std::string("{{") + name + " " + node_text(*branch.pipe) + "}}" + node_text(*branch.list);
  if (branch.else_list) out += "{{else}}" + node_text(*branch.else_list);
  return out + "{{end}}";
}

}  // namespace

std::string node_text(const Node& node) {
  switch (node.type) {
    case NodeType::text:
      return std::string(static_cast<const TextNode&>(node).text);
    case NodeType::action:
      return "{{" + node_text(*static_cast<const ActionNode&>(node).pipe) + "}}";
    case NodeType::boolean:
      return static_cast<const BoolNode&>(node).value ? "true" : "false";
    case NodeType::chain: {
      const auto& chain = static_cast<const ChainNode&>(node);
      const std::string inner = node_text(*chain.node);
      return (chain.node->type == NodeType::pipe ? "(" + inner + ")" : inner) +
             joined(chain.fields, ".");
    }
    case NodeType::command:
      return command_text(static_cast<const CommandNode&>(node));
    case NodeType::dot:
      return ".";
    case NodeType::else_:
      return "{{else}}";
    case NodeType::end:
      return "{{end}}";
    case NodeType::break_:
      return "{{break}}";
    case NodeType::continue_:
      return "{{continue}}";
    case NodeType::nil:
      return "nil";
    case NodeType::field:
      return joined(static_cast<const FieldNode&>(node).ident, ".");
    case NodeType::identifier:
      return static_cast<const IdentifierNode&>(node).name;
    case NodeType::if_:
      return branch_text("if", static_cast<const BranchNode&>(node));
    case NodeType::range:
      return branch_text("range", static_cast<const BranchNode&>(node));
    case NodeType::with:
      return branch_text("with", static_cast<const BranchNode&>(node));
    case NodeType::list: {
      std::string out;
      for (const NodePtr& child : static_cast<const ListNode&>(node).nodes)
        out += node_text(*child);
      return out;
    }
    case NodeType::number:
      return static_cast<const NumberNode&>(node).text;
    case NodeType::pipe:
      return pipe_text(static_cast<const PipeNode&>(node));
    case NodeType::string:
      return static_cast<const StringNode&>(node).quoted;
    case NodeType::template_: {
      const auto& call = static_cast<const TemplateNode&>(node);
      return "{{template " + quote(call.name) + (call.pipe ? " " + node_text(*call.pipe) : "") +
             "}}";
    }
    case NodeType::variable: {
      const auto& ident = static_cast<const VariableNode&>(node).ident;
      std::string out = ident.front();
      for (std::size_t i = 1; i < ident.size(); ++i) out += "." + ident[i];
      return out;
    }
  }
  return {};
}

}  // namespace keybearer::tmpl
