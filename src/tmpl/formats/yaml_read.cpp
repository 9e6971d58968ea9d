// YAML to values: yaml.v2's decode.go. A document without aliases becomes values as its events come,
// however deep it is; one with aliases becomes a tree first, and aliases are decoded again each time,
// as there, within yaml.v2's limits.

#include <deque>
#include <map>
#include <optional>
#include <set>

#include "tmpl/formats/yaml.hpp"
#include "tmpl/formats/yaml_parse.hpp"
#include "tmpl/funcs/base64.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/go/format.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl::yaml {
namespace {

// Of a tree: each level takes our stack.
constexpr int kMaxDepth = 4'000;

Value scalar(const Event& event) {
  if (event.tag.empty() && !event.implicit) return Value(event.text);
  const Resolved resolved = resolve(event.tag, event.text);
  if (resolved.kind == Resolved::Kind::other && short_tag(event.tag) == "!!binary") {
    const auto bytes = base64_decoded(event.text);
    if (!bytes) throw CallError{"yaml: !!binary value contains invalid base64 data"};
    return Value(*bytes);
  }
  return resolved.value;
}

void check_key(const Value& key) {
  if (key.is_map() || key.is_list())
    throw CallError{"yaml: invalid map key: " + type_name(key) + "{[masked]}"};
}

// --- without aliases ---

class Builder {
 public:
  // From the document's first event. What can't be decoded is told behind what can't be parsed.
  Value build(Parser& parser, Event event) {
    for (;; event = parser.next()) {
      Value done;
      switch (event.kind) {
        case Event::Kind::sequence_start:
          open({.list = true});
          continue;
        case Event::Kind::mapping_start:
          open({.map = Value::map(Type::any_map)});
          continue;
        case Event::Kind::sequence_end:
        case Event::Kind::mapping_end:
          done = close();
          break;
        default:
          attempt([&] { done = scalar(event); });
      }
      if (open_.empty()) {
        (void)parser.next();  // an error right behind the document is an error of it
        if (wrong_) throw CallError{*wrong_};
        return done;
      }
      place(std::move(done));
    }
  }

 private:
  struct Open {
    bool list = false, has_key = false;
    List items = {};
    Value map = {}, key = {};
  };

  template <class Step>
  void attempt(Step step) {
    try {
      if (!wrong_) step();
    } catch (const CallError& error) {
      wrong_ = error.text;
    }
  }
  // Together: each of the two has yaml.v2's own limit.
  void open(Open level) {
    if (open_.size() >= kMostParsed) throw CallError{"yaml: exceeded max depth of 10000"};
    open_.push_back(std::move(level));
  }
  Value close() {
    Open& top = open_.back();
    top.items.shrink_to_fit();
    Value done = top.list ? Value::list(std::move(top.items)) : std::move(top.map);
    open_.pop_back();
    return done;
  }
  void place(Value value) {
    Open& into = open_.back();
    if (into.list) {
      into.items.push_back(std::move(value));
    } else if (!into.has_key) {
      attempt([&] { check_key(value); });
      into.key = std::move(value);
      into.has_key = true;
    } else {
      if (!wrong_) into.map.set_key(into.key, std::move(value));
      into.has_key = false;
    }
  }

  std::vector<Open> open_;
  std::optional<std::string> wrong_;
};

// --- with aliases ---

struct Node {
  enum class Kind : std::uint8_t { scalar, wrong, sequence, mapping, alias } kind = Kind::scalar;
  bool merges = false;          // scalar: <<
  Value value = {};             // scalar; wrong: why it is no value
  const Node* first = nullptr;  // of a collection; of an alias what it stands for
  const Node* next = nullptr;
};

class Composer {
 public:
  const Node* compose(Parser& parser, Event event) {
    for (;; event = parser.next()) {
      Node* node = make(event);
      if (!event.anchor.empty() && event.kind != Event::Kind::alias && node != nullptr)
        anchors_[event.anchor] = node;
      if (event.kind == Event::Kind::sequence_start || event.kind == Event::Kind::mapping_start) {
        open_.push_back({node, nullptr});
        continue;
      }
      if (node == nullptr) {  // a collection's end
        node = open_.back().node;
        open_.pop_back();
      }
      if (open_.empty()) {
        (void)parser.next();
        return node;
      }
      Open& into = open_.back();
      (into.last != nullptr ? into.last->next : into.node->first) = node;
      into.last = node;
    }
  }

 private:
  struct Open {
    Node* node;
    Node* last;
  };

  Node* make(const Event& event) {
    switch (event.kind) {
      case Event::Kind::sequence_start:
        return &nodes_.emplace_back(Node::Kind::sequence);
      case Event::Kind::mapping_start:
        return &nodes_.emplace_back(Node::Kind::mapping);
      case Event::Kind::sequence_end:
      case Event::Kind::mapping_end:
        return nullptr;
      case Event::Kind::alias: {
        const auto target = anchors_.find(event.anchor);
        if (target == anchors_.end()) throw CallError{"yaml: unknown anchor '[masked]' referenced"};
        Node& node = nodes_.emplace_back(Node::Kind::alias);
        node.first = target->second;
        return &node;
      }
      default:
        break;
    }
    Node& node = nodes_.emplace_back();
    node.merges = event.text == "<<" && (event.implicit || short_tag(event.tag) == "!!merge");
    try {
      node.value = scalar(event);
    } catch (const CallError& error) {
      node.kind = Node::Kind::wrong;
      node.value = Value(error.text);
    }
    return &node;
  }

  std::deque<Node> nodes_;
  std::vector<Open> open_;
  std::map<std::string, const Node*> anchors_;
};

class Decoder {
 public:
  Value decode(const Node& node, int depth);

 private:
  void count();
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
  spend(50);
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
      return node.value;
    case Node::Kind::wrong:
      throw CallError{std::string(node.value.as_text())};
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
    throw CallError{"yaml: anchor '[masked]' value contains itself"};
  ++alias_depth_;
  Value value = decode(*node.first, depth + 1);
  --alias_depth_;
  inside_.erase(&node);
  return value;
}

Value Decoder::sequence(const Node& node, int depth) {
  std::size_t size = 0;
  for (const Node* child = node.first; child != nullptr; child = child->next) ++size;
  List items;
  items.reserve(size);
  for (const Node* child = node.first; child != nullptr; child = child->next)
    items.push_back(decode(*child, depth + 1));
  return Value::list(std::move(items));
}

void Decoder::mapping(const Node& node, Value& into, int depth) {
  for (const Node* name = node.first; name != nullptr; name = name->next->next) {
    const Node& member = *name->next;
    if (name->merges) {
      merge(member, into, depth);
      continue;
    }
    const Value key = decode(*name, depth + 1);
    check_key(key);
    into.set_key(key, decode(member, depth + 1));
  }
}

const Node& behind_alias(const Node& node) {
  return node.kind == Node::Kind::alias ? *node.first : node;
}

void Decoder::merge_one(const Node& node, Value& into, int depth) {
  if (behind_alias(node).kind != Node::Kind::mapping)
    throw CallError{"yaml: map merge requires map or sequence of maps as the value"};
  count();
  check_depth(depth);
  const bool is_alias = node.kind == Node::Kind::alias;
  if (is_alias) {
    if (!inside_.insert(&node).second)
      throw CallError{"yaml: anchor '[masked]' value contains itself"};
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
  std::vector<const Node*> maps;
  for (const Node* child = node.first; child != nullptr; child = child->next) maps.push_back(child);
  for (auto map = maps.rbegin(); map != maps.rend(); ++map) merge_one(**map, into, depth);
}

}  // namespace

Value read(std::string_view text) {
  Parser parser(text);
  (void)parser.next();  // the stream's start
  if (parser.next().kind == Event::Kind::stream_end) return {};
  Event first = parser.next();
  // UTF-16 is not looked through.
  const bool may_repeat = text.contains('*') || text.contains("<<") || text.starts_with('\xFF') ||
                          text.starts_with('\xFE');
  if (!may_repeat) return Builder().build(parser, std::move(first));
  Composer composer;
  return Decoder().decode(*composer.compose(parser, std::move(first)), 0);
}

}  // namespace keybearer::tmpl::yaml
