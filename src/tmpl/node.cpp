#include "tmpl/node.hpp"

#include "tmpl/go/strconv.hpp"

namespace keybearer::tmpl {
namespace {

// Appends, so that the text of a big tree is built once.
class Printer {
 public:
  std::string out;

  void print(const Node& node) {
    switch (node.type) {
      case NodeType::text:
        out += as<TextNode>(node).text;
        break;
      case NodeType::action:
        out += "{{";
        print(*as<ActionNode>(node).pipe);
        out += "}}";
        break;
      case NodeType::boolean:
        out += as<BoolNode>(node).value ? "true" : "false";
        break;
      case NodeType::chain:
        operand(*as<ChainNode>(node).node);
        names(as<ChainNode>(node).fields);
        break;
      case NodeType::command:
        command(as<CommandNode>(node));
        break;
      case NodeType::dot:
        out += '.';
        break;
      case NodeType::else_:
        out += "{{else}}";
        break;
      case NodeType::end:
        out += "{{end}}";
        break;
      case NodeType::break_:
        out += "{{break}}";
        break;
      case NodeType::continue_:
        out += "{{continue}}";
        break;
      case NodeType::nil:
        out += "nil";
        break;
      case NodeType::field:
        names(as<FieldNode>(node).fields);
        break;
      case NodeType::identifier:
        out += as<IdentifierNode>(node).name;
        break;
      case NodeType::if_:
        branch("if", as<BranchNode>(node));
        break;
      case NodeType::range:
        branch("range", as<BranchNode>(node));
        break;
      case NodeType::with:
        branch("with", as<BranchNode>(node));
        break;
      case NodeType::list:
        for (const Node* child : as<ListNode>(node).nodes) print(*child);
        break;
      case NodeType::number:
        out += as<NumberNode>(node).text;
        break;
      case NodeType::pipe:
        pipe(as<PipeNode>(node));
        break;
      case NodeType::string:
        out += as<StringNode>(node).quoted;
        break;
      case NodeType::template_: {
        const auto& call = as<TemplateNode>(node);
        out += "{{template " + quote(call.name);
        if (call.pipe != nullptr) {
          out += ' ';
          print(*call.pipe);
        }
        out += "}}";
        break;
      }
      case NodeType::variable:
        out += as<VariableNode>(node).name;
        names(as<VariableNode>(node).fields);
        break;
    }
  }

 private:
  void names(Names parts) {
    for (const std::string_view part : parts) {
      out += '.';
      out += part;
    }
  }
  void operand(const Node& node) {
    if (node.type == NodeType::pipe) out += '(';
    print(node);
    if (node.type == NodeType::pipe) out += ')';
  }
  void command(const CommandNode& command) {
    for (const Node* argument : command.args) {
      if (argument != command.args.front()) out += ' ';
      operand(*argument);
    }
  }
  void pipe(const PipeNode& pipe) {
    for (const Node* variable : pipe.decl) {
      if (variable != pipe.decl.front()) out += ", ";
      print(*variable);
    }
    if (!pipe.decl.empty()) out += pipe.is_assign ? " = " : " := ";
    for (const Node* step : pipe.cmds) {
      if (step != pipe.cmds.front()) out += " | ";
      print(*step);
    }
  }
  void branch(const char* name, const BranchNode& branch) {
    out += "{{";
    out += name;
    out += ' ';
    print(*branch.pipe);
    out += "}}";
    print(*branch.list);
    if (branch.else_list != nullptr) {
      out += "{{else}}";
      print(*branch.else_list);
    }
    out += "{{end}}";
  }
};

}  // namespace

std::string node_text(const Node& node) {
  Printer printer;
  printer.print(node);
  return std::move(printer.out);
}

}  // namespace keybearer::tmpl
