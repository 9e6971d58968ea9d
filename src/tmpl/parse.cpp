#include "tmpl/parse.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "tmpl/funcs.hpp"
#include "tmpl/lex.hpp"
#include "tmpl/number.hpp"
#include "tmpl/strconv.hpp"

namespace keybearer::tmpl {
namespace {

constexpr int kMaxDepth =
    1000;  // of nested control structures and parentheses; ours: Go's stack grows, ours does not

// Is nothing in it but blanks, comments and definitions? (parse.IsEmptyTree)
bool is_empty(const Node* node) {
  if (node == nullptr) return true;
  if (node->type == NodeType::text) {
    return static_cast<const TextNode*>(node)->text.find_first_not_of(" \t\r\n\v\f") ==
           std::string_view::npos;
  }
  if (node->type != NodeType::list) return false;
  return std::ranges::all_of(static_cast<const ListNode*>(node)->nodes,
                             [](const NodePtr& n) { return is_empty(n.get()); });
}

std::string token_text(const Token& token) {
  if (token.type == Tok::eof) return "EOF";
  if (token.type == Tok::error) return std::string(token.text);
  if (token.type > Tok::keyword) return "<" + std::string(token.text) + ">";
  if (token.text.size() > 10) {
    std::string_view cut = token.text;  // %.10q: ten runes
    std::size_t bytes = 0;
    for (int i = 0; i < 10 && bytes < cut.size(); ++i) {
      do {
        ++bytes;
      } while (bytes < cut.size() && (static_cast<unsigned char>(cut[bytes]) & 0xC0) == 0x80);
    }
    return quote(cut.substr(0, bytes)) + "...";
  }
  return quote(token.text);
}

class Parser {
 public:
  Parser(std::string_view text, std::string shown_name, std::string_view left,
         std::string_view right)
      : name_(std::move(shown_name)), lexer_(text, left, right) {}

  TreeSet run(const std::string& own_name) {
    auto root = std::make_unique<ListNode>(peek().pos);
    while (peek().type != Tok::eof) {
      if (peek().type == Tok::left_delim) {
        const Token delim = next();
        if (next_non_space().type == Tok::define) {
          definition();
          continue;
        }
        backup2(delim);
      }
      NodePtr node = text_or_action();
      if (node->type == NodeType::end || node->type == NodeType::else_)
        fail("unexpected " + node_text(*node));
      root->nodes.push_back(std::move(node));
    }
    add(own_name, std::move(root));
    return std::move(set_);
  }

 private:
  // Tokens, with up to three of look-ahead.
  Token next() {
    if (peeked_ > 0) {
      --peeked_;
    } else {
      token_[0] = lexer_.next();
      if (token_[0].type == Tok::error) {  // its text lives in the lexer
        error_text_ = token_[0].text;
        token_[0].text = error_text_;
      }
    }
    return token_[static_cast<std::size_t>(peeked_)];
  }
  void backup() { ++peeked_; }
  void backup2(const Token& t1) {
    token_[1] = t1;
    peeked_ = 2;
  }
  void backup3(const Token& t2, const Token& t1) {
    token_[1] = t1;
    token_[2] = t2;
    peeked_ = 3;
  }
  const Token& peek() {
    if (peeked_ > 0) return token_[static_cast<std::size_t>(peeked_ - 1)];
    (void)next();
    peeked_ = 1;
    return token_[0];
  }
  Token next_non_space() {
    Token token = next();
    while (token.type == Tok::space) token = next();
    return token;
  }
  Token peek_non_space() {
    const Token token = next_non_space();
    backup();
    return token;
  }

  [[noreturn]] void fail(const std::string& text) {
    throw ParseError{"template: " + name_ + ":" + std::to_string(token_[0].line) + ": " + text,
                     token_[0].line, token_[0].pos};
  }
  [[noreturn]] void unexpected(const Token& token, const std::string& context) {
    if (token.type == Tok::error) {
      std::string extra;
      if (action_line_ != 0 && action_line_ != token.line) {
        extra = " in action started at " + name_ + ":" + std::to_string(action_line_);
        if (token.text.ends_with(" action"))
          extra = extra.substr(std::string_view(" in action").size());
      }
      fail(token_text(token) + extra);
    }
    fail("unexpected " + token_text(token) + " in " + context);
  }
  Token expect(Tok type, const std::string& context) {
    const Token token = next_non_space();
    if (token.type != type) unexpected(token, context);
    return token;
  }

  // A definition has variables of its own, and look-ahead of its own.
  struct Fresh {
    explicit Fresh(Parser& p)
        : parser(p),
          vars(std::exchange(p.vars_, {"$"})),
          peeked(std::exchange(p.peeked_, 0)),
          range_depth(std::exchange(p.range_depth_, 0)),
          action_line(std::exchange(p.action_line_, 0)) {}
    Fresh(const Fresh&) = delete;
    ~Fresh() {
      parser.vars_ = std::move(vars);
      parser.range_depth_ = range_depth;
      parser.action_line_ = action_line;
    }
    Parser& parser;
    std::vector<std::string> vars;
    int peeked, range_depth, action_line;
  };
  struct Deeper {
    explicit Deeper(Parser& p) : parser(p) {
      if (++parser.depth_ > kMaxDepth)
        parser.fail("too many nested control structures or parentheses (at most 500)");
    }
    Deeper(const Deeper&) = delete;
    ~Deeper() { --parser.depth_; }
    Parser& parser;
  };

  void add(const std::string& name, std::unique_ptr<ListNode> root) {
    auto& known = set_.trees[name];
    if (is_empty(known.get())) {
      known = std::move(root);
    } else if (!is_empty(root.get())) {
      fail("template: multiple definition of template " + quote(name));
    }
  }

  void definition() {
    const Fresh fresh(*this);
    const std::string context = "define clause";
    const Token token = next_non_space();
    if (token.type != Tok::string && token.type != Tok::raw_string) unexpected(token, context);
    const std::string name = unquoted(token);
    expect(Tok::right_delim, context);
    auto [list, end] = item_list();
    if (end->type != NodeType::end) fail("unexpected " + node_text(*end) + " in " + context);
    add(name, std::move(list));
  }

  std::string unquoted(const Token& token) {
    auto text = unquote(token.text);
    if (!text) fail("invalid syntax");
    return *std::move(text);
  }

  std::pair<std::unique_ptr<ListNode>, NodePtr> item_list() {
    auto list = std::make_unique<ListNode>(peek_non_space().pos);
    while (peek_non_space().type != Tok::eof) {
      NodePtr node = text_or_action();
      if (node->type == NodeType::end || node->type == NodeType::else_)
        return {std::move(list), std::move(node)};
      list->nodes.push_back(std::move(node));
    }
    fail("unexpected EOF");
  }

  NodePtr text_or_action() {
    const Token token = next_non_space();
    if (token.type == Tok::text) return std::make_unique<TextNode>(token.pos, token.text);
    if (token.type != Tok::left_delim) unexpected(token, "input");
    action_line_ = token.line;
    NodePtr node = action();
    action_line_ = 0;
    return node;
  }

  NodePtr action() {
    const Deeper deeper(*this);
    const Token token = next_non_space();
    switch (token.type) {
      case Tok::block:
        return block();
      case Tok::break_:
        return loop_control(token, NodeType::break_, "{{break}}");
      case Tok::continue_:
        return loop_control(token, NodeType::continue_, "{{continue}}");
      case Tok::else_: {
        const Token after = peek_non_space();
        if (after.type == Tok::if_ || after.type == Tok::with)
          return std::make_unique<BareNode>(NodeType::else_, after.pos);
        return std::make_unique<BareNode>(NodeType::else_, expect(Tok::right_delim, "else").pos);
      }
      case Tok::end:
        return std::make_unique<BareNode>(NodeType::end, expect(Tok::right_delim, "end").pos);
      case Tok::if_:
        return control(NodeType::if_, "if");
      case Tok::range:
        return control(NodeType::range, "range");
      case Tok::with:
        return control(NodeType::with, "with");
      case Tok::template_:
        return template_call();
      default:
        break;
    }
    backup();
    const std::size_t pos = peek().pos;
    return std::make_unique<ActionNode>(pos, pipeline("command", Tok::right_delim));
  }

  NodePtr loop_control(const Token& token, NodeType type, const std::string& context) {
    const Token after = next_non_space();
    if (after.type != Tok::right_delim) unexpected(after, context);
    if (range_depth_ == 0) fail(context + " outside {{range}}");
    return std::make_unique<BareNode>(type, token.pos);
  }

  NodePtr control(NodeType type, const std::string& context) {
    const Deeper deeper(*this);
    const std::size_t variables = vars_.size();
    auto pipe = pipeline(context, Tok::right_delim);
    auto branch = std::make_unique<BranchNode>(type, pipe->pos);
    branch->pipe = std::move(pipe);
    if (type == NodeType::range) ++range_depth_;
    auto [list, next_node] = item_list();
    branch->list = std::move(list);
    if (type == NodeType::range) --range_depth_;
    if (next_node->type == NodeType::else_) {
      const Tok chained = type == NodeType::if_    ? Tok::if_
                          : type == NodeType::with ? Tok::with
                                                   : Tok::eof;
      if (chained != Tok::eof && peek().type == chained) {
        (void)next();
        branch->else_list = std::make_unique<ListNode>(next_node->pos);
        branch->else_list->nodes.push_back(control(type, context));
      } else {
        auto [else_list, end] = item_list();
        if (end->type != NodeType::end) fail("expected end; found " + node_text(*end));
        branch->else_list = std::move(else_list);
      }
    }
    vars_.resize(variables);
    return branch;
  }

  std::string template_name(const Token& token, const std::string& context) {
    if (token.type != Tok::string && token.type != Tok::raw_string) unexpected(token, context);
    return unquoted(token);
  }

  NodePtr block() {
    const std::string context = "block clause";
    const Token token = next_non_space();
    const std::string name = template_name(token, context);
    auto pipe = pipeline(context, Tok::right_delim);
    {
      const Fresh fresh(*this);
      auto [list, end] = item_list();
      if (end->type != NodeType::end) fail("unexpected " + node_text(*end) + " in " + context);
      add(name, std::move(list));
    }
    return std::make_unique<TemplateNode>(token.pos, name, std::move(pipe));
  }

  NodePtr template_call() {
    const std::string context = "template clause";
    const Token token = next_non_space();
    const std::string name = template_name(token, context);
    std::unique_ptr<PipeNode> pipe;
    if (next_non_space().type != Tok::right_delim) {
      backup();
      pipe = pipeline(context, Tok::right_delim);
    }
    return std::make_unique<TemplateNode>(token.pos, name, std::move(pipe));
  }

  void declare(PipeNode& pipe, const Token& variable) {
    pipe.decl.push_back(std::make_unique<VariableNode>(
        variable.pos, std::vector<std::string>{std::string(variable.text)}));
    vars_.emplace_back(variable.text);
  }

  // "$x :=", "$x =", "$i, $x :=" in front of a pipeline.
  void declarations(PipeNode& pipe, const std::string& context) {
    for (;;) {
      const Token variable = peek_non_space();
      if (variable.type != Tok::variable) return;
      (void)next();
      // In "$x foo" the blank must be given back: it makes $x an argument and not a declaration.
      const Token adjacent = peek();
      const Token after = peek_non_space();
      if (after.type == Tok::assign || after.type == Tok::declare) {
        pipe.is_assign = after.type == Tok::assign;
        (void)next_non_space();
        declare(pipe, variable);
        return;
      }
      if (after.type == Tok::character && after.text == ",") {
        (void)next_non_space();
        declare(pipe, variable);
        if (context == "range" && pipe.decl.size() < 2) {
          const Tok following = peek_non_space().type;
          if (following == Tok::variable || following == Tok::right_delim ||
              following == Tok::right_paren)
            continue;
          fail("range can only initialize variables");
        }
        fail("too many declarations in " + context);
      }
      if (adjacent.type == Tok::space)
        backup3(variable, adjacent);
      else
        backup2(variable);
      return;
    }
  }

  std::unique_ptr<PipeNode> pipeline(const std::string& context, Tok end) {
    const Deeper deeper(*this);
    const Token first = peek_non_space();
    auto pipe = std::make_unique<PipeNode>(first.pos, first.line);
    declarations(*pipe, context);
    for (;;) {
      const Token token = next_non_space();
      if (token.type == end) {
        check_pipeline(*pipe, context);
        return pipe;
      }
      switch (token.type) {
        case Tok::boolean:
        case Tok::char_constant:
        case Tok::complex:
        case Tok::dot:
        case Tok::field:
        case Tok::identifier:
        case Tok::number:
        case Tok::nil:
        case Tok::raw_string:
        case Tok::string:
        case Tok::variable:
        case Tok::left_paren:
          break;
        default:
          unexpected(token, context);
      }
      backup();
      pipe->cmds.push_back(command());
    }
  }

  void check_pipeline(const PipeNode& pipe, const std::string& context) {
    if (pipe.cmds.empty()) fail("missing value for " + context);
    for (std::size_t i = 1; i < pipe.cmds.size(); ++i) {
      switch (pipe.cmds[i]->args.front()->type) {
        case NodeType::boolean:
        case NodeType::dot:
        case NodeType::nil:
        case NodeType::number:
        case NodeType::string:
          fail("non executable command in pipeline stage " + std::to_string(i + 1));
        default:
          break;
      }
    }
  }

  std::unique_ptr<CommandNode> command() {
    auto command = std::make_unique<CommandNode>(peek_non_space().pos);
    for (;;) {
      (void)peek_non_space();
      if (NodePtr node = operand()) command->args.push_back(std::move(node));
      const Token token = next();
      if (token.type == Tok::space) continue;
      if (token.type == Tok::right_delim || token.type == Tok::right_paren) {
        backup();
      } else if (token.type != Tok::pipe) {
        unexpected(token, "operand");
      }
      break;
    }
    if (command->args.empty()) fail("empty command");
    return command;
  }

  NodePtr operand() {
    NodePtr node = term();
    if (!node || peek().type != Tok::field) return node;
    const std::size_t pos = peek().pos;
    std::vector<std::string> fields;
    while (peek().type == Tok::field) fields.emplace_back(next().text.substr(1));
    const auto extend = [&fields](std::vector<std::string> ident) {
      ident.insert(ident.end(), fields.begin(), fields.end());
      return ident;
    };
    switch (node->type) {
      case NodeType::field:
        return std::make_unique<FieldNode>(pos, extend(static_cast<FieldNode&>(*node).ident));
      case NodeType::variable:
        return std::make_unique<VariableNode>(pos, extend(static_cast<VariableNode&>(*node).ident));
      case NodeType::boolean:
      case NodeType::string:
      case NodeType::number:
      case NodeType::nil:
      case NodeType::dot:
        fail("unexpected . after term " + quote(node_text(*node)));
      default:
        break;
    }
    auto chain = std::make_unique<ChainNode>(pos, std::move(node));
    chain->fields = std::move(fields);
    return chain;
  }

  NodePtr term() {
    const Token token = next_non_space();
    switch (token.type) {
      case Tok::identifier: {
        const Function* function = find_function(token.text);
        if (function == nullptr) {
          const auto reason = refused_function(token.text);
          fail(reason.empty() ? "function " + quote(token.text) + " not defined" : reason);
        }
        set_.changes_maps = set_.changes_maps || function->changes_maps;
        return std::make_unique<IdentifierNode>(token.pos, std::string(token.text), function);
      }
      case Tok::dot:
        return std::make_unique<BareNode>(NodeType::dot, token.pos);
      case Tok::nil:
        return std::make_unique<BareNode>(NodeType::nil, token.pos);
      case Tok::variable:
        if (std::ranges::find(vars_, token.text) == vars_.end())
          fail("undefined variable " + quote(token.text));
        return std::make_unique<VariableNode>(token.pos,
                                              std::vector<std::string>{std::string(token.text)});
      case Tok::field:
        return std::make_unique<FieldNode>(
            token.pos, std::vector<std::string>{std::string(token.text.substr(1))});
      case Tok::boolean:
        return std::make_unique<BoolNode>(token.pos, token.text == "true");
      case Tok::char_constant:
      case Tok::complex:
      case Tok::number: {
        auto number = make_number(token);
        if (!number) fail(number.error());
        return *std::move(number);
      }
      case Tok::left_paren:
        return pipeline("parenthesized pipeline", Tok::right_paren);
      case Tok::string:
      case Tok::raw_string: {
        const std::string text = unquoted(token);
        return std::make_unique<StringNode>(token.pos, std::string(token.text), text);
      }
      default:
        break;
    }
    backup();
    return nullptr;
  }

  std::string name_;
  Lexer lexer_;
  std::array<Token, 3> token_;
  int peeked_ = 0;
  std::string error_text_;
  std::vector<std::string> vars_ = {"$"};
  int action_line_ = 0;
  int range_depth_ = 0;
  int depth_ = 0;
  TreeSet set_;
};

}  // namespace

std::expected<TreeSet, ParseError> parse(std::string_view text, const std::string& own_name,
                                         const std::string& shown_name, std::string_view left,
                                         std::string_view right) {
  try {
    return Parser(text, shown_name, left, right).run(own_name);
  } catch (ParseError& error) {
    return std::unexpected(std::move(error));
  }
}

}  // namespace keybearer::tmpl
