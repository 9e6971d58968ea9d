#pragma once
// The tree of a parsed template. Mirrors Go's text/template/parse/node.go: same nodes, same
// positions, and node_text() prints them as Go does in error messages.

#include <complex>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "json/value.hpp"

namespace keybearer::tmpl {

struct Function;

enum class NodeType : std::uint8_t {
  text,
  action,
  boolean,
  chain,
  command,
  dot,
  else_,
  end,
  field,
  identifier,
  if_,
  list,
  nil,
  number,
  pipe,
  range,
  string,
  template_,
  variable,
  with,
  break_,
  continue_,
};

struct Node {
  Node(NodeType t, std::size_t p) : type(t), pos(p) {}
  virtual ~Node() = default;
  NodeType type;
  std::size_t pos;  // byte offset in the template's text
};
using NodePtr = std::unique_ptr<Node>;

struct ListNode final : Node {
  explicit ListNode(std::size_t p) : Node(NodeType::list, p) {}
  std::vector<NodePtr> nodes;
};
struct TextNode final : Node {
  TextNode(std::size_t p, std::string_view t) : Node(NodeType::text, p), text(t) {}
  std::string_view text;  // into the template's text
};
struct CommandNode final : Node {
  explicit CommandNode(std::size_t p) : Node(NodeType::command, p) {}
  std::vector<NodePtr> args;
};
struct VariableNode final : Node {
  VariableNode(std::size_t p, std::vector<std::string> i)
      : Node(NodeType::variable, p), ident(std::move(i)) {}
  std::vector<std::string> ident;  // the name with its $, then fields
};
struct PipeNode final : Node {
  PipeNode(std::size_t p, int l) : Node(NodeType::pipe, p), line(l) {}
  int line;
  bool is_assign = false;
  std::vector<std::unique_ptr<VariableNode>> decl;
  std::vector<std::unique_ptr<CommandNode>> cmds;
};
struct ActionNode final : Node {
  ActionNode(std::size_t p, std::unique_ptr<PipeNode> pi)
      : Node(NodeType::action, p), pipe(std::move(pi)) {}
  std::unique_ptr<PipeNode> pipe;
};
struct IdentifierNode final : Node {
  IdentifierNode(std::size_t p, std::string n, const Function* f)
      : Node(NodeType::identifier, p), name(std::move(n)), function(f) {}
  std::string name;
  const Function* function;
};
struct FieldNode final : Node {
  FieldNode(std::size_t p, std::vector<std::string> i)
      : Node(NodeType::field, p), ident(std::move(i)) {}
  std::vector<std::string> ident;
};
struct ChainNode final : Node {
  ChainNode(std::size_t p, NodePtr n) : Node(NodeType::chain, p), node(std::move(n)) {}
  NodePtr node;
  std::vector<std::string> fields;
};
struct BoolNode final : Node {
  BoolNode(std::size_t p, bool v) : Node(NodeType::boolean, p), value(v) {}
  bool value;
};
struct NumberNode final : Node {
  NumberNode(std::size_t p, std::string t) : Node(NodeType::number, p), text(std::move(t)) {}
  std::string text;
  bool is_int = false, is_uint = false, is_float = false, is_complex = false, is_char = false;
  std::int64_t int_value = 0;
  std::uint64_t uint_value = 0;
  double float_value = 0;
  std::complex<double> complex_value;
};
struct StringNode final : Node {
  StringNode(std::size_t p, std::string q, std::string_view t)
      : Node(NodeType::string, p), quoted(std::move(q)), value(t) {}
  std::string quoted;
  Value value;
};
struct BareNode final : Node {  // dot, nil, end, else, break, continue
  using Node::Node;
};
struct BranchNode final : Node {  // if, range, with
  BranchNode(NodeType t, std::size_t p) : Node(t, p) {}
  std::unique_ptr<PipeNode> pipe;
  std::unique_ptr<ListNode> list, else_list;
};
struct TemplateNode final : Node {
  TemplateNode(std::size_t p, std::string n, std::unique_ptr<PipeNode> pi)
      : Node(NodeType::template_, p), name(std::move(n)), pipe(std::move(pi)) {}
  std::string name;
  std::unique_ptr<PipeNode> pipe;
};

[[nodiscard]] std::string node_text(const Node& node);

}  // namespace keybearer::tmpl
