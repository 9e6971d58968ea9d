#include "tmpl/formats/yaml_parse.hpp"

#include <algorithm>

namespace keybearer::tmpl::yaml {

Event Parser::next() {
  switch (state_) {
    case State::stream_start:
      (void)peek();
      scanner_.skip();
      state_ = State::implicit_document;
      return {.kind = Event::Kind::stream_start};
    case State::implicit_document:
      return document_start(true);
    case State::document_start:
      return document_start(false);
    case State::document_content:
      return document_content();
    case State::document_end:
      return document_end();
    case State::block_node:
      return node(true, false);
    case State::block_sequence_first:
      begin_collection();
      return block_sequence();
    case State::block_sequence:
      return block_sequence();
    case State::indentless_sequence:
      return indentless_sequence();
    case State::block_mapping_first:
      begin_collection();
      return block_mapping();
    case State::block_mapping:
      return block_mapping();
    case State::block_mapping_value:
      return block_mapping_value();
    case State::flow_sequence_first:
      begin_collection();
      return flow_sequence(true);
    case State::flow_sequence:
      return flow_sequence(false);
    case State::flow_pair_key:
      return flow_pair_key();
    case State::flow_pair_value:
      return flow_pair_value();
    case State::flow_pair_end:
      (void)peek();
      state_ = State::flow_sequence;
      return {.kind = Event::Kind::mapping_end};
    case State::flow_mapping_first:
      begin_collection();
      return flow_mapping(true);
    case State::flow_mapping:
      return flow_mapping(false);
    case State::flow_mapping_value:
      return flow_mapping_value();
    case State::flow_mapping_empty_value:
      (void)peek();
      return empty_and(State::flow_mapping);
    case State::end:
      break;
  }
  return {.kind = Event::Kind::stream_end};
}

void Parser::begin_collection() {
  marks_.push_back(peek().begin);
  scanner_.skip();
}

Event Parser::collection_end(Event::Kind kind) {
  pop();
  marks_.pop_back();
  scanner_.skip();
  return {.kind = kind};
}

// --- documents ---

Event Parser::document_start(bool implicit) {
  while (!implicit && at_any(Kind::document_end)) scanner_.skip();
  if (implicit && !at_any(Kind::version_directive, Kind::tag_directive, Kind::document_start,
                          Kind::stream_end)) {
    directives();
    states_.push_back(State::document_end);
    state_ = State::block_node;
    return {.kind = Event::Kind::document_start};
  }
  if (at_any(Kind::stream_end)) {
    state_ = State::end;
    scanner_.skip();
    return {.kind = Event::Kind::stream_end};
  }
  directives();
  if (!at_any(Kind::document_start))
    Scanner::fail("did not find expected <document start>", peek().begin);
  states_.push_back(State::document_end);
  state_ = State::document_content;
  scanner_.skip();
  return {.kind = Event::Kind::document_start};
}

Event Parser::document_content() {
  if (!at_any(Kind::version_directive, Kind::tag_directive, Kind::document_start,
              Kind::document_end, Kind::stream_end))
    return node(true, false);
  pop();
  return empty();
}

Event Parser::document_end() {
  if (at_any(Kind::document_end)) scanner_.skip();
  tags_.clear();
  state_ = State::document_start;
  return {.kind = Event::Kind::document_end};
}

void Parser::directives() {
  bool versioned = false;
  for (; at_any(Kind::version_directive, Kind::tag_directive); scanner_.skip()) {
    const Token& token = peek();
    if (token.kind == Kind::tag_directive) {
      add_directive(token.text, token.suffix, false, token.begin);
      continue;
    }
    if (versioned) Scanner::fail("found duplicate %YAML directive", token.begin);
    if (token.major != 1 || token.minor != 1)
      Scanner::fail("found incompatible YAML document", token.begin);
    versioned = true;
  }
  add_directive("!", "!", true, {});
  add_directive("!!", "tag:yaml.org,2002:", true, {});
}

void Parser::add_directive(std::string handle, std::string prefix, bool again, const Mark& mark) {
  const bool known =
      std::ranges::any_of(tags_, [&handle](const auto& tag) { return tag.first == handle; });
  if (known && !again) Scanner::fail("found duplicate %TAG directive", mark);
  if (!known) tags_.emplace_back(std::move(handle), std::move(prefix));
}

// --- nodes ---

std::string Parser::resolved_tag(const Token& token, const Mark& begin) const {
  if (token.text.empty()) return token.suffix;
  for (const auto& [handle, prefix] : tags_) {
    if (handle == token.text && !(prefix + token.suffix).empty()) return prefix + token.suffix;
  }
  Scanner::fail("found undefined tag handle", token.begin, begin);
}

Event Parser::node(bool block, bool indentless) {
  Event event{.kind = Event::Kind::scalar};
  if (at_any(Kind::alias)) {
    pop();
    event = {.kind = Event::Kind::alias, .anchor = std::move(peek().text)};
    scanner_.skip();
    return event;
  }
  const Mark begin = peek().begin;
  Token tag{.kind = Kind::tag};
  bool anchored = false, tagged = false;
  while ((at_any(Kind::anchor) && !anchored) || (at_any(Kind::tag) && !tagged)) {
    if (peek().kind == Kind::anchor) {
      anchored = true;
      event.anchor = std::move(peek().text);
    } else {
      tagged = true;
      tag = std::move(peek());
    }
    scanner_.skip();
  }
  const Token& token = peek();
  if (tagged) event.tag = resolved_tag(tag, begin);

  const auto starts = [&](Event::Kind kind, State next) {
    event.kind = kind;
    state_ = next;
    return std::move(event);
  };
  if (indentless && token.kind == Kind::block_entry)
    return starts(Event::Kind::sequence_start, State::indentless_sequence);
  if (token.kind == Kind::scalar) {
    event.implicit = (event.tag.empty() && token.plain) || event.tag == "!";
    event.text = std::move(peek().text);
    pop();
    scanner_.skip();
    return event;
  }
  if (token.kind == Kind::flow_sequence_start)
    return starts(Event::Kind::sequence_start, State::flow_sequence_first);
  if (token.kind == Kind::flow_mapping_start)
    return starts(Event::Kind::mapping_start, State::flow_mapping_first);
  if (block && token.kind == Kind::block_sequence_start)
    return starts(Event::Kind::sequence_start, State::block_sequence_first);
  if (block && token.kind == Kind::block_mapping_start)
    return starts(Event::Kind::mapping_start, State::block_mapping_first);
  if (!event.anchor.empty() || !event.tag.empty()) {
    pop();
    event.implicit = event.tag.empty();
    return event;
  }
  Scanner::fail("did not find expected node content", token.begin, begin);
}

// --- block collections ---

Event Parser::block_sequence() {
  if (at_any(Kind::block_entry)) {
    scanner_.skip();
    if (!at_any(Kind::block_entry, Kind::block_end))
      return node_and(State::block_sequence, true, false);
    return empty_and(State::block_sequence);
  }
  if (at_any(Kind::block_end)) return collection_end(Event::Kind::sequence_end);
  Scanner::fail("did not find expected '-' indicator", peek().begin, marks_.back());
}

Event Parser::indentless_sequence() {
  if (at_any(Kind::block_entry)) {
    scanner_.skip();
    if (!at_any(Kind::block_entry, Kind::key, Kind::value, Kind::block_end))
      return node_and(State::indentless_sequence, true, false);
    return empty_and(State::indentless_sequence);
  }
  pop();
  return {.kind = Event::Kind::sequence_end};
}

Event Parser::block_mapping() {
  if (at_any(Kind::key)) {
    scanner_.skip();
    if (!at_any(Kind::key, Kind::value, Kind::block_end))
      return node_and(State::block_mapping_value, true, true);
    return empty_and(State::block_mapping_value);
  }
  if (at_any(Kind::block_end)) return collection_end(Event::Kind::mapping_end);
  Scanner::fail("did not find expected key", peek().begin, marks_.back());
}

Event Parser::block_mapping_value() {
  if (at_any(Kind::value)) {
    scanner_.skip();
    if (!at_any(Kind::key, Kind::value, Kind::block_end))
      return node_and(State::block_mapping, true, true);
  }
  return empty_and(State::block_mapping);
}

// --- flow collections ---

Event Parser::flow_sequence(bool first) {
  if (!at_any(Kind::flow_sequence_end)) {
    if (!first) {
      if (!at_any(Kind::flow_entry))
        Scanner::fail("did not find expected ',' or ']'", peek().begin, marks_.back());
      scanner_.skip();
    }
    if (at_any(Kind::key)) {  // [a: b] holds a map
      state_ = State::flow_pair_key;
      scanner_.skip();
      return {.kind = Event::Kind::mapping_start};
    }
    if (!at_any(Kind::flow_sequence_end)) return node_and(State::flow_sequence, false, false);
  }
  return collection_end(Event::Kind::sequence_end);
}

Event Parser::flow_pair_key() {
  if (!at_any(Kind::value, Kind::flow_entry, Kind::flow_sequence_end))
    return node_and(State::flow_pair_value, false, false);
  scanner_.skip();
  return empty_and(State::flow_pair_value);
}

Event Parser::flow_pair_value() {
  if (at_any(Kind::value)) {
    scanner_.skip();
    if (!at_any(Kind::flow_entry, Kind::flow_sequence_end))
      return node_and(State::flow_pair_end, false, false);
  }
  return empty_and(State::flow_pair_end);
}

Event Parser::flow_mapping(bool first) {
  if (!at_any(Kind::flow_mapping_end)) {
    if (!first) {
      if (!at_any(Kind::flow_entry))
        Scanner::fail("did not find expected ',' or '}'", peek().begin, marks_.back());
      scanner_.skip();
    }
    if (at_any(Kind::key)) {
      scanner_.skip();
      if (!at_any(Kind::value, Kind::flow_entry, Kind::flow_mapping_end))
        return node_and(State::flow_mapping_value, false, false);
      return empty_and(State::flow_mapping_value);
    }
    if (!at_any(Kind::flow_mapping_end))
      return node_and(State::flow_mapping_empty_value, false, false);
  }
  return collection_end(Event::Kind::mapping_end);
}

Event Parser::flow_mapping_value() {
  if (at_any(Kind::value)) {
    scanner_.skip();
    if (!at_any(Kind::flow_entry, Kind::flow_mapping_end))
      return node_and(State::flow_mapping, false, false);
  }
  return empty_and(State::flow_mapping);
}

}  // namespace keybearer::tmpl::yaml
