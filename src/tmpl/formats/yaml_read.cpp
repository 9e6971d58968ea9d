// YAML to values: libyaml's events to a tree of nodes, then yaml.v2's decode.go. Aliases are
// decoded anew each time, as there, within yaml.v2's limits.

#include <yaml.h>

#include <map>
#include <memory>
#include <set>

#include "tmpl/formats/yaml.hpp"
#include "tmpl/funcs/base64.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/go/format.hpp"

namespace keybearer::tmpl::yaml {
namespace {

// yaml.v2 stops at 10,000; each level takes our stack here and in every function after.
constexpr int kMaxDepth = 1000;

struct Node {
  enum class Kind : std::uint8_t { scalar, sequence, mapping, alias } kind = Kind::scalar;
  bool implicit = false;  // scalar: neither quoted nor tagged
  std::string tag, text;  // scalar
  std::vector<std::unique_ptr<Node>> children;
  const Node* target = nullptr;  // alias
};
using NodePtr = std::unique_ptr<Node>;

std::string text_of(const yaml_char_t* text) {
  return text != nullptr ? reinterpret_cast<const char*>(text) : "";
}

class Composer {
 public:
  explicit Composer(std::string_view text);
  ~Composer();
  Composer(const Composer&) = delete;
  Composer& operator=(const Composer&) = delete;

  NodePtr document();  // nullptr: there is none

 private:
  void next();
  [[noreturn]] void fail() const;
  void check_version() const;
  NodePtr node(int depth);
  NodePtr scalar();
  void check_escapes() const;
  NodePtr alias();
  NodePtr collection(int depth, Node::Kind kind, yaml_event_type_t end, const yaml_char_t* anchor);

  std::string_view text_;
  bool slashes_;  // there is an escaped one somewhere
  yaml_parser_t parser_{};
  yaml_event_t event_{};
  std::map<std::string, const Node*> anchors_;
};

Composer::Composer(std::string_view text) : text_(text), slashes_(text.contains("\\/")) {
  if (yaml_parser_initialize(&parser_) == 0) throw CallError{"yaml: out of memory"};
  yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                               text.size());
}
Composer::~Composer() {
  yaml_event_delete(&event_);
  yaml_parser_delete(&parser_);
}

// The place is where yaml.v2 says it is: scanner errors count lines from 1, others from 0.
void Composer::fail() const {
  std::size_t line = 0;
  if (parser_.problem_mark.line != 0) {
    line = parser_.problem_mark.line + (parser_.error == YAML_SCANNER_ERROR ? 1 : 0);
  } else {
    line = parser_.context_mark.line;
  }
  throw CallError{
      "yaml: " + (line != 0 ? "line " + std::to_string(line) + ": " : std::string()) +
      (parser_.problem != nullptr ? parser_.problem : "unknown problem parsing YAML content")};
}

void Composer::next() {
  yaml_event_delete(&event_);
  if (yaml_parser_parse(&parser_, &event_) == 0) fail();
}

// libyaml takes 1.2 too; yaml.v2 does not.
void Composer::check_version() const {
  const auto* version = event_.data.document_start.version_directive;
  if (version == nullptr || (version->major == 1 && version->minor == 1)) return;
  const std::size_t line = event_.start_mark.line;
  throw CallError{"yaml: " + (line != 0 ? "line " + std::to_string(line) + ": " : std::string()) +
                  "found incompatible YAML document"};
}

NodePtr Composer::document() {
  next();  // the stream's start
  next();
  if (event_.type == YAML_STREAM_END_EVENT) return nullptr;
  check_version();
  next();
  NodePtr root = node(0);
  next();  // an error right after the document is an error of it
  return root;
}

NodePtr Composer::node(int depth) {
  if (depth > kMaxDepth)
    throw CallError{"yaml: exceeded max depth of " + std::to_string(kMaxDepth)};
  switch (event_.type) {
    case YAML_SCALAR_EVENT:
      return scalar();
    case YAML_ALIAS_EVENT:
      return alias();
    case YAML_SEQUENCE_START_EVENT:
      return collection(depth, Node::Kind::sequence, YAML_SEQUENCE_END_EVENT,
                        event_.data.sequence_start.anchor);
    case YAML_MAPPING_START_EVENT:
      return collection(depth, Node::Kind::mapping, YAML_MAPPING_END_EVENT,
                        event_.data.mapping_start.anchor);
    default:
      throw CallError{"yaml: unexpected event"};
  }
}

// libyaml knows the escape \/ of JSON, which yaml.v2 does not. Marks count characters.
void Composer::check_escapes() const {
  std::size_t line = 0, index = 0;
  bool escaped = false;
  for (const char c : text_) {
    if ((static_cast<unsigned char>(c) & 0xC0) == 0x80) continue;
    if (index > event_.start_mark.index && index < event_.end_mark.index) {
      if (escaped && c == '/') {
        throw CallError{
            "yaml: " + (line != 0 ? "line " + std::to_string(line + 1) + ": " : std::string()) +
            "found unknown escape character"};
      }
      escaped = c == '\\' && !escaped;
    }
    if (c == '\n') ++line;
    ++index;
  }
}

NodePtr Composer::scalar() {
  const auto& scalar = event_.data.scalar;
  if (slashes_ && scalar.style == YAML_DOUBLE_QUOTED_SCALAR_STYLE) check_escapes();
  auto node = std::make_unique<Node>();
  node->text.assign(reinterpret_cast<const char*>(scalar.value), scalar.length);
  node->tag = text_of(scalar.tag);
  node->implicit = scalar.plain_implicit != 0;
  if (scalar.anchor != nullptr) anchors_[text_of(scalar.anchor)] = node.get();
  return node;
}

NodePtr Composer::alias() {
  auto node = std::make_unique<Node>();
  node->kind = Node::Kind::alias;
  const auto target = anchors_.find(text_of(event_.data.alias.anchor));
  if (target == anchors_.end()) throw CallError{"yaml: unknown anchor '[value]' referenced"};
  node->target = target->second;
  return node;
}

NodePtr Composer::collection(int depth, Node::Kind kind, yaml_event_type_t end,
                             const yaml_char_t* anchor) {
  auto node = std::make_unique<Node>();
  node->kind = kind;
  if (anchor != nullptr) anchors_[text_of(anchor)] = node.get();
  for (next(); event_.type != end; next()) node->children.push_back(this->node(depth + 1));
  return node;
}

class Decoder {
 public:
  Value decode(const Node& node, int depth);

 private:
  void count();
  Value scalar(const Node& node) const;
  Value sequence(const Node& node, int depth);
  void mapping(const Node& node, Value& into, int depth);
  void merge(const Node& node, Value& into, int depth);
  void merge_one(const Node& node, Value& into, int depth);

  std::set<const Node*> inside_;  // aliases being decoded
  long decoded_ = 0, by_alias_ = 0;
  int alias_depth_ = 0;
};

// Of many decoded nodes only a part may come from aliases: 99 % up to 400,000, down to 10 % at ten
// times as many.
double allowed_alias_ratio(double decoded) {
  constexpr double kLow = 400'000, kHigh = 4'000'000;
  if (decoded <= kLow) return 0.99;
  if (decoded >= kHigh) return 0.10;
  return 0.99 - 0.89 * ((decoded - kLow) / (kHigh - kLow));
}

void Decoder::count() {
  ++decoded_;
  if (alias_depth_ > 0) ++by_alias_;
  const auto decoded = static_cast<double>(decoded_);
  if (by_alias_ > 100 && decoded_ > 1000 &&
      static_cast<double>(by_alias_) / decoded > allowed_alias_ratio(decoded))
    throw CallError{"yaml: document contains excessive aliasing"};
}

// Aliases may nest deeper than the document does.
void check_depth(int depth) {
  if (depth > kMaxDepth)
    throw CallError{"yaml: exceeded max depth of " + std::to_string(kMaxDepth)};
}

Value Decoder::decode(const Node& node, int depth) {
  count();
  check_depth(depth);
  switch (node.kind) {
    case Node::Kind::scalar:
      return scalar(node);
    case Node::Kind::sequence:
      return sequence(node, depth);
    case Node::Kind::mapping: {
      Value map = Value::map(Type::any_map);
      mapping(node, map, depth);
      return map;
    }
    case Node::Kind::alias:
      break;
  }
  if (!inside_.insert(&node).second)
    throw CallError{"yaml: anchor '[value]' value contains itself"};
  ++alias_depth_;
  Value value = decode(*node.target, depth + 1);
  --alias_depth_;
  inside_.erase(&node);
  return value;
}

Value Decoder::scalar(const Node& node) const {
  if (node.tag.empty() && !node.implicit) return Value(node.text);
  const Resolved resolved = resolve(node.tag, node.text);
  if (resolved.kind == Resolved::Kind::other && short_tag(node.tag) == "!!binary") {
    const auto bytes = base64_decoded(node.text);
    if (!bytes) throw CallError{"yaml: !!binary value contains invalid base64 data"};
    return Value(*bytes);
  }
  return resolved.value;
}

Value Decoder::sequence(const Node& node, int depth) {
  List items;
  items.reserve(node.children.size());
  for (const NodePtr& child : node.children) items.push_back(decode(*child, depth + 1));
  return Value::list(std::move(items));
}

bool is_merge(const Node& node) {
  return node.kind == Node::Kind::scalar && node.text == "<<" &&
         (node.implicit || short_tag(node.tag) == "!!merge");
}

void Decoder::mapping(const Node& node, Value& into, int depth) {
  for (std::size_t i = 0; i + 1 < node.children.size(); i += 2) {
    const Node& name = *node.children[i];
    const Node& member = *node.children[i + 1];
    if (is_merge(name)) {
      merge(member, into, depth);
      continue;
    }
    const Value key = decode(name, depth + 1);
    if (key.is_map() || key.is_list())
      throw CallError{"yaml: invalid map key: " + type_name(key) + "{[value]}"};
    into.set_key(key, decode(member, depth + 1));
  }
}

const Node& behind_alias(const Node& node) {
  return node.kind == Node::Kind::alias ? *node.target : node;
}

void Decoder::merge_one(const Node& node, Value& into, int depth) {
  if (behind_alias(node).kind != Node::Kind::mapping)
    throw CallError{"yaml: map merge requires map or sequence of maps as the value"};
  count();
  check_depth(depth);
  const bool is_alias = node.kind == Node::Kind::alias;
  if (is_alias) {
    if (!inside_.insert(&node).second)
      throw CallError{"yaml: anchor '[value]' value contains itself"};
    ++alias_depth_;
    count();
  }
  mapping(behind_alias(node), into, depth + 1);
  if (is_alias) {
    --alias_depth_;
    inside_.erase(&node);
  }
}

// From the last of a list to the first: the first wins.
void Decoder::merge(const Node& node, Value& into, int depth) {
  if (node.kind != Node::Kind::sequence) return merge_one(node, into, depth);
  for (auto child = node.children.rbegin(); child != node.children.rend(); ++child)
    merge_one(**child, into, depth);
}

}  // namespace

Value read(std::string_view text) {
  Composer composer(text);
  const NodePtr root = composer.document();
  return root != nullptr ? Decoder().decode(*root, 0) : Value();
}

}  // namespace keybearer::tmpl::yaml
