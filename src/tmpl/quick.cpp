#include "tmpl/quick.hpp"

#include <algorithm>
#include <array>

namespace keybearer::tmpl {
namespace {

// Sorted. Each takes no longer than its arguments are.
constexpr auto kQuick = std::to_array<std::string_view>(
    {"and", "base64Decode", "env", "envOrDefault", "eq", "index", "len", "ne", "not", "or", "print",
     "printf", "println", "secret", "toLower", "toUpper", "trim", "trimPrefix", "trimSpace"});

class Counter {
 public:
  std::size_t actions = 0;

  bool list(const ListNode* list) {
    return list == nullptr ||
           std::ranges::all_of(list->nodes, [this](const Node* node) { return statement(*node); });
  }

 private:
  bool statement(const Node& node) {
    ++actions;
    switch (node.type) {
      case NodeType::text:
        --actions;
        return true;
      case NodeType::action:
        return value(*as<ActionNode>(node).pipe, as<ActionNode>(node).pipe->decl.empty());
      case NodeType::if_:
      case NodeType::with: {
        const auto& branch = as<BranchNode>(node);
        return value(*branch.pipe, false) && list(branch.list) && list(branch.else_list);
      }
      default:  // range, template
        return false;
    }
  }
  // Text is only put together where it is printed at once: what is kept could be doubled again and
  // again. And a server's format may ask for a width of a million.
  static bool is_quick(std::span<const Node* const> args, bool printed) {
    if (args.front()->type != NodeType::identifier) return true;
    const std::string_view name = as<IdentifierNode>(*args.front()).name;
    if (name.starts_with("print") && !printed) return false;
    return name != "printf" || (args.size() > 1 && args[1]->type == NodeType::string);
  }
  // `printed`: what it makes is not kept.
  bool value(const Node& node, bool printed) {
    const auto each = [this, printed](const Node* inner) { return value(*inner, printed); };
    switch (node.type) {
      case NodeType::pipe:
        return std::ranges::all_of(as<PipeNode>(node).cmds, each);
      case NodeType::command:
        return is_quick(as<CommandNode>(node).args, printed) &&
               std::ranges::all_of(as<CommandNode>(node).args, each);
      case NodeType::chain:
        return value(*as<ChainNode>(node).node, printed);
      case NodeType::identifier:
        return std::ranges::binary_search(kQuick, as<IdentifierNode>(node).name);
      default:  // fields, variables, constants
        return true;
    }
  }
};

}  // namespace

std::optional<std::size_t> quick_actions(const TreeSet& trees) {
  Counter counter;
  for (const auto& [name, tree] : trees.trees)
    if (!counter.list(tree)) return std::nullopt;
  return counter.actions;
}

}  // namespace keybearer::tmpl
