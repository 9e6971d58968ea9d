#pragma once
// The tree of a parsed template. Mirrors Go's text/template/parse/node.go: same nodes, same
// positions, and node_text() prints them as Go does in error messages.
//
// Nodes live in a tree's arena and point into the template's text; they are freed together.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <forward_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "json/value.hpp"

namespace keybearer::tmpl {

struct Function;

// Memory for nodes: handed out in order, freed at once.
class Arena {
 public:
  template <class T, class... Args>
  T* make(Args&&... args) {
    static_assert(std::is_trivially_destructible_v<T>);
    return new (take(sizeof(T), alignof(T))) T{std::forward<Args>(args)...};
  }
  template <class T>
  std::span<const T> keep(std::span<const T> items) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (items.empty()) return {};
    void* to = take(items.size_bytes(), alignof(T));
    std::memcpy(to, items.data(), items.size_bytes());
    return {static_cast<const T*>(to), items.size()};
  }
  const Value* keep(Value value) { return &values_.emplace_front(std::move(value)); }
  std::string_view keep_text(std::string text) { return values_.emplace_front(text).as_text(); }

 private:
  void* take(std::size_t bytes, std::size_t align) {
    const std::size_t at = (used_ + align - 1) & ~(align - 1);
    if (blocks_.empty() || at + bytes > size_) return grow(bytes);
    used_ = at + bytes;
    return blocks_.back().get() + at;
  }
  void* grow(std::size_t bytes) {
    size_ = std::max(bytes, std::clamp(size_ * 2, kFirst, kBlock));
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(size_));
    used_ = bytes;
    return blocks_.back().get();
  }

  static constexpr std::size_t kFirst = 512, kBlock = 16384;
  std::vector<std::unique_ptr<char[]>> blocks_;
  std::size_t size_ = 0, used_ = 0;
  std::forward_list<Value> values_;
};

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
  NodeType type;
  std::uint32_t pos;  // byte offset in the template's text
};
using Names = std::span<const std::string_view>;

struct ListNode : Node {
  std::span<const Node* const> nodes;
};
struct TextNode : Node {
  std::string_view text;
};
struct CommandNode : Node {
  std::span<const Node* const> args;
};
struct VariableNode : Node {
  std::string_view name;  // with its $
  Names fields;
};
struct PipeNode : Node {
  std::uint32_t line;
  bool is_assign;
  std::span<const Node* const> decl;  // VariableNode
  std::span<const Node* const> cmds;  // CommandNode
};
struct ActionNode : Node {
  const PipeNode* pipe;
};
struct IdentifierNode : Node {
  std::string_view name;
  const Function* function;
};
struct FieldNode : Node {
  Names fields;
};
struct ChainNode : Node {
  const Node* node;
  Names fields;
};
struct BoolNode : Node {
  bool value;
};
struct NumberNode : Node {
  std::string_view text;
  bool is_int = false, is_uint = false, is_float = false, is_complex = false, is_char = false;
  std::int64_t int_value = 0;
  std::uint64_t uint_value = 0;
  double float_value = 0;
  double re = 0, im = 0;  // of a complex one
};
struct StringNode : Node {
  std::string_view quoted;
  const Value* value;
};
struct BareNode : Node {};  // dot, nil, end, else, break, continue
struct BranchNode : Node {  // if, range, with
  const PipeNode* pipe;
  const ListNode* list;
  const ListNode* else_list;
};
struct TemplateNode : Node {
  std::string_view name;
  const PipeNode* pipe;
};

template <class T>
const T& as(const Node& node) {
  return static_cast<const T&>(node);
}

[[nodiscard]] std::string node_text(const Node& node);

}  // namespace keybearer::tmpl
