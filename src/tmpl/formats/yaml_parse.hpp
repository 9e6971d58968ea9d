#pragma once
// The events of a YAML stream, as yaml.v2 (parserc.go) makes them of its tokens.

#include <string>
#include <string_view>
#include <vector>

#include "tmpl/formats/yaml_scan.hpp"

namespace keybearer::tmpl::yaml {

struct Event {
  enum class Kind : std::uint8_t {
    stream_start,
    stream_end,
    document_start,
    document_end,
    alias,
    scalar,
    sequence_start,
    sequence_end,
    mapping_start,
    mapping_end,
  };
  Kind kind;
  std::string anchor = {};  // of an alias: which
  std::string tag = {};
  std::string text = {};  // scalar
  bool implicit = false;  // scalar: neither quoted nor tagged
};

class Parser {
 public:
  explicit Parser(std::string_view text) : scanner_(text) {}
  // Throws CallError with yaml.v2's text. It must not be asked behind stream_end.
  Event next();

 private:
  // What may come next. A node's own follower is on the stack.
  enum class State : std::uint8_t {
    stream_start,
    implicit_document,
    document_start,
    document_content,
    document_end,
    block_node,
    block_sequence_first,
    block_sequence,
    indentless_sequence,
    block_mapping_first,
    block_mapping,
    block_mapping_value,
    flow_sequence_first,
    flow_sequence,
    flow_pair_key,
    flow_pair_value,
    flow_pair_end,
    flow_mapping_first,
    flow_mapping,
    flow_mapping_value,
    flow_mapping_empty_value,
    end,
  };
  using Kind = Token::Kind;

  Token& peek() { return scanner_.peek(); }
  template <class... Kinds>
  bool at_any(Kinds... kinds) {
    return ((peek().kind == kinds) || ...);
  }
  Event empty() const { return {.kind = Event::Kind::scalar, .implicit = true}; }
  Event empty_and(State next) {
    state_ = next;
    return empty();
  }
  Event node_and(State then, bool block, bool indentless) {
    states_.push_back(then);
    return node(block, indentless);
  }
  void pop() {
    state_ = states_.back();
    states_.pop_back();
  }
  Event collection_end(Event::Kind kind);
  void begin_collection();

  Event document_start(bool implicit);
  Event document_content();
  Event document_end();
  void directives();
  void add_directive(std::string handle, std::string prefix, bool again, const Mark& mark);
  Event node(bool block, bool indentless);
  std::string resolved_tag(const Token& token, const Mark& begin) const;
  Event block_sequence();
  Event indentless_sequence();
  Event block_mapping();
  Event block_mapping_value();
  Event flow_sequence(bool first);
  Event flow_pair_key();
  Event flow_pair_value();
  Event flow_mapping(bool first);
  Event flow_mapping_value();

  Scanner scanner_;
  State state_ = State::stream_start;
  std::vector<State> states_;
  std::vector<Mark> marks_;                                // where the open collections began
  std::vector<std::pair<std::string, std::string>> tags_;  // of directives: handle and prefix
};

}  // namespace keybearer::tmpl::yaml
