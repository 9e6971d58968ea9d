#include "tmpl/parse.hpp"

#include <algorithm>
#include <span>

#include "tmpl/funcs/funcs.hpp"
#include "tmpl/go/number.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/stack.hpp"
#include "tmpl/token_reader.hpp"

namespace keybearer::tmpl {
namespace {

constexpr int kMaxDepth = 10'000;  // of parentheses, as in Go, and of control structures

constexpr std::size_t kMaxText = 64u << 20;

// Is nothing in it but blanks, comments and definitions? (parse.IsEmptyTree)
bool is_empty(const Node* node) {
  if (node == nullptr) return true;
  if (node->type == NodeType::text) {
    return as<TextNode>(*node).text.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos;
  }
  return node->type == NodeType::list && std::ranges::all_of(as<ListNode>(*node).nodes, is_empty);
}

class Parser : private TokenReader {
 public:
  Parser(std::string_view text, std::string shown_name, std::string_view left,
         std::string_view right, FindFunction find)
      : TokenReader(text, std::move(shown_name), left, right), find_(find) {}

  TreeSet run(const std::string& own_name) {
    const std::uint32_t pos = peek().pos;
    const std::size_t from = nodes_.size();
    while (peek().type != Tok::eof) {
      if (peek().type == Tok::left_delim) {
        const std::size_t delim = at_;
        (void)next();
        if (next_non_space().type == Tok::define) {
          definition();
          continue;
        }
        at_ = delim;
      }
      const Node* node = text_or_action();
      if (node->type == NodeType::end || node->type == NodeType::else_)
        fail("unexpected " + node_text(*node));
      nodes_.push_back(node);
    }
    add(own_name, list(pos, from));
    return std::move(set_);
  }

 private:
  // --- scopes ---
  // A definition has variables of its own.
  struct Fresh {
    explicit Fresh(Parser& p)
        : parser(p),
          vars(std::exchange(p.vars_, {"$"})),
          range_depth(std::exchange(p.range_depth_, 0)),
          action_line(std::exchange(p.action_line_, 0)) {}
    Fresh(const Fresh&) = delete;
    ~Fresh() {
      parser.vars_ = std::move(vars);
      parser.range_depth_ = range_depth;
      parser.action_line_ = action_line;
    }
    Parser& parser;
    std::vector<std::string_view> vars;
    int range_depth;
    std::uint32_t action_line;
  };
  struct Deeper {
    Deeper(Parser& p, int& depth, const char* text) : count(depth) {
      if (++count > kMaxDepth + 1 || p.stack_.is_used_up()) p.fail(text);
    }
    Deeper(const Deeper&) = delete;
    ~Deeper() { --count; }
    int& count;
  };

  // --- nodes ---
  // The nodes that were put aside since `from`, as a list of their own.
  std::span<const Node* const> taken(std::size_t from) {
    const auto kept = set_.arena.keep(std::span<const Node* const>(nodes_).subspan(from));
    nodes_.resize(from);
    return kept;
  }
  const ListNode* list(std::uint32_t pos, std::size_t from) {
    return set_.arena.make<ListNode>(Node{NodeType::list, pos}, taken(from));
  }
  const Node* bare(NodeType type, std::uint32_t pos) {
    return set_.arena.make<BareNode>(Node{type, pos});
  }

  void add(const std::string& name, const ListNode* root) {
    auto& known = set_.trees[name];
    if (is_empty(known)) {
      known = root;
    } else if (!is_empty(root)) {
      fail("template: multiple definition of template " + quote(name));
    }
  }

  void definition() {
    const Fresh fresh(*this);
    constexpr std::string_view kContext = "define clause";
    const std::string name = template_name(next_non_space(), kContext);
    expect(Tok::right_delim, kContext);
    define(name, kContext, nullptr);
  }
  // What is wrong with a block's end is told with the line of its beginning.
  void define(const std::string& name, std::string_view context, const Token* opening) {
    const auto [body, end] = item_list();
    if (end->type != NodeType::end)
      fail("unexpected " + node_text(*end) + " in " + std::string(context),
           opening != nullptr ? *opening : last_read());
    add(name, body);
  }

  // Up to {{end}} or {{else}}.
  std::pair<const ListNode*, const Node*> item_list() {
    const std::uint32_t pos = peek_non_space().pos;
    const std::size_t from = nodes_.size();
    while (peek_non_space().type != Tok::eof) {
      const Node* node = text_or_action();
      if (node->type == NodeType::end || node->type == NodeType::else_)
        return {list(pos, from), node};
      nodes_.push_back(node);
    }
    fail("unexpected EOF");
  }

  const Node* text_or_action() {
    const Token& token = next_non_space();
    if (token.type == Tok::text)
      return set_.arena.make<TextNode>(Node{NodeType::text, token.pos}, text_of(token));
    if (token.type != Tok::left_delim) unexpected(token, "input");
    action_line_ = token.line;
    const Node* node = action();
    action_line_ = 0;
    return node;
  }

  const Node* action() {
    const Deeper deeper(*this, depth_, "too many nested control structures");
    const Token& token = next_non_space();
    switch (token.type) {
      case Tok::block:
        return block();
      case Tok::break_:
        return loop_control(token, NodeType::break_, "{{break}}");
      case Tok::continue_:
        return loop_control(token, NodeType::continue_, "{{continue}}");
      case Tok::else_: {
        const Token& after = peek_non_space();
        if (after.type == Tok::if_ || after.type == Tok::with)
          return bare(NodeType::else_, after.pos);
        return bare(NodeType::else_, expect(Tok::right_delim, "else").pos);
      }
      case Tok::end:
        return bare(NodeType::end, expect(Tok::right_delim, "end").pos);
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
    const std::uint32_t pos = peek().pos;
    const PipeNode* pipe = pipeline("command", Tok::right_delim);
    return set_.arena.make<ActionNode>(Node{NodeType::action, pos}, pipe);
  }

  const Node* loop_control(const Token& token, NodeType type, std::string_view context) {
    const Token& after = next_non_space();
    if (after.type != Tok::right_delim) unexpected(after, context);
    if (range_depth_ == 0) fail(std::string(context) + " outside {{range}}");
    return bare(type, token.pos);
  }

  const Node* control(NodeType type, std::string_view context) {
    const Deeper deeper(*this, depth_, "too many nested control structures");
    const std::size_t variables = vars_.size();
    const PipeNode* pipe = pipeline(context, Tok::right_delim);
    auto* branch = set_.arena.make<BranchNode>(Node{type, pipe->pos}, pipe, nullptr, nullptr);
    if (type == NodeType::range) ++range_depth_;
    const auto [body, next_node] = item_list();
    branch->list = body;
    if (type == NodeType::range) --range_depth_;
    if (next_node->type == NodeType::else_) {
      const Tok chained = type == NodeType::if_    ? Tok::if_
                          : type == NodeType::with ? Tok::with
                                                   : Tok::eof;
      if (chained != Tok::eof && peek().type == chained) {
        (void)next();
        const std::size_t from = nodes_.size();
        nodes_.push_back(control(type, context));
        branch->else_list = list(next_node->pos, from);
      } else {
        const auto [else_list, end] = item_list();
        if (end->type != NodeType::end) fail("expected end; found " + node_text(*end));
        branch->else_list = else_list;
      }
    }
    vars_.resize(variables);
    return branch;
  }

  const Node* block() {
    constexpr std::string_view kContext = "block clause";
    const Token& token = next_non_space();
    const std::string name = template_name(token, kContext);
    const PipeNode* pipe = pipeline(kContext, Tok::right_delim);
    {
      const Token& opening = last_read();
      const Fresh fresh(*this);
      define(name, kContext, &opening);
    }
    return call(token, name, pipe);
  }

  const Node* template_call() {
    constexpr std::string_view kContext = "template clause";
    const Token& token = next_non_space();
    const std::string name = template_name(token, kContext);
    const PipeNode* pipe = nullptr;
    if (next_non_space().type != Tok::right_delim) {
      backup();
      pipe = pipeline(kContext, Tok::right_delim);
    }
    return call(token, name, pipe);
  }
  const Node* call(const Token& token, const std::string& name, const PipeNode* pipe) {
    return set_.arena.make<TemplateNode>(Node{NodeType::template_, token.pos},
                                         set_.arena.keep_text(name), pipe);
  }

  // --- pipelines ---
  void declare(const Token& variable) {
    nodes_.push_back(set_.arena.make<VariableNode>(Node{NodeType::variable, variable.pos},
                                                   text_of(variable), Names()));
    vars_.push_back(text_of(variable));
  }

  // "$x :=", "$x =", "$i, $x :=" in front of a pipeline. Puts the variables aside; returns whether
  // they are assigned to.
  bool declarations(std::string_view context) {
    for (int declared = 0;;) {
      const Token& variable = peek_non_space();
      if (variable.type != Tok::variable) return false;
      const std::size_t before = at_;
      (void)next();
      const Token& after = next_non_space();
      if (after.type == Tok::assign || after.type == Tok::declare) {
        declare(variable);
        return after.type == Tok::assign;
      }
      if (after.type != Tok::character || text_of(after) != ",") {
        at_ = before;  // an argument and not a declaration
        return false;
      }
      declare(variable);
      if (context != "range" || ++declared >= 2)
        fail("too many declarations in " + std::string(context));
      const Tok following = peek_non_space().type;
      if (following != Tok::variable && following != Tok::right_delim &&
          following != Tok::right_paren)
        fail("range can only initialize variables");
    }
  }

  const PipeNode* pipeline(std::string_view context, Tok end) {
    const Deeper deeper(*this, expressions_, "max expression depth exceeded");
    const Token& first = peek_non_space();
    const std::size_t from = nodes_.size();
    const bool is_assign = declarations(context);
    const std::size_t commands = nodes_.size();
    for (;;) {
      const Token& token = next_non_space();
      if (token.type == end) break;
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
      nodes_.push_back(command());
    }
    check_pipeline(std::span<const Node* const>(nodes_).subspan(commands), context);
    const auto cmds = taken(commands);
    const auto decl = taken(from);
    return set_.arena.make<PipeNode>(Node{NodeType::pipe, first.pos}, first.line, is_assign, decl,
                                     cmds);
  }
  void check_pipeline(std::span<const Node* const> commands, std::string_view context) {
    if (commands.empty()) fail("missing value for " + std::string(context));
    for (std::size_t i = 1; i < commands.size(); ++i) {
      switch (as<CommandNode>(*commands[i]).args.front()->type) {
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

  const CommandNode* command() {
    const std::uint32_t pos = peek_non_space().pos;
    const std::size_t from = nodes_.size();
    for (;;) {
      (void)peek_non_space();
      if (const Node* node = operand()) nodes_.push_back(node);
      const Token& token = next();
      if (token.type == Tok::space) continue;
      if (token.type == Tok::right_delim || token.type == Tok::right_paren) {
        backup();
      } else if (token.type != Tok::pipe) {
        unexpected(token, "operand");
      }
      break;
    }
    if (nodes_.size() == from) fail("empty command");
    return set_.arena.make<CommandNode>(Node{NodeType::command, pos}, taken(from));
  }

  const Node* operand() {
    const Node* node = term();
    if (node == nullptr || peek().type != Tok::field) return node;
    const std::uint32_t pos = peek().pos;
    names_.clear();
    if (node->type == NodeType::field) names_.push_back(as<FieldNode>(*node).fields.front());
    while (peek().type == Tok::field) names_.push_back(text_of(next()).substr(1));
    const Names fields = set_.arena.keep(Names(names_));
    switch (node->type) {
      case NodeType::field:
        return set_.arena.make<FieldNode>(Node{NodeType::field, pos}, fields);
      case NodeType::variable:
        return set_.arena.make<VariableNode>(Node{NodeType::variable, pos},
                                             as<VariableNode>(*node).name, fields);
      case NodeType::boolean:
      case NodeType::string:
      case NodeType::number:
      case NodeType::nil:
      case NodeType::dot:
        fail("unexpected . after term " + quote(node_text(*node)));
      default:
        return set_.arena.make<ChainNode>(Node{NodeType::chain, pos}, node, fields);
    }
  }

  const Node* term() {
    const Token& token = next_non_space();
    const std::string_view text = text_of(token);
    Arena& arena = set_.arena;
    switch (token.type) {
      case Tok::identifier: {
        const Function* function = find_(text);
        if (function == nullptr) {
          const auto reason = find_ == find_function ? refused_function(text) : std::string();
          fail(reason.empty() ? "function " + quote(text) + " not defined" : reason);
        }
        set_.changes_maps = set_.changes_maps || function->changes_maps;
        return arena.make<IdentifierNode>(Node{NodeType::identifier, token.pos}, text, function);
      }
      case Tok::dot:
        return bare(NodeType::dot, token.pos);
      case Tok::nil:
        return bare(NodeType::nil, token.pos);
      case Tok::variable:
        if (std::ranges::find(vars_, text) == vars_.end())
          fail("undefined variable " + quote(text));
        return arena.make<VariableNode>(Node{NodeType::variable, token.pos}, text, Names());
      case Tok::field: {
        const std::string_view name = text.substr(1);
        return arena.make<FieldNode>(Node{NodeType::field, token.pos}, arena.keep(Names(&name, 1)));
      }
      case Tok::boolean:
        return arena.make<BoolNode>(Node{NodeType::boolean, token.pos}, text == "true");
      case Tok::char_constant:
      case Tok::complex:
      case Tok::number: {
        const auto number = make_number(token.type, token.pos, text);
        if (!number) fail(number.error());
        return arena.make<NumberNode>(*number);
      }
      case Tok::left_paren:
        return pipeline("parenthesized pipeline", Tok::right_paren);
      case Tok::string:
      case Tok::raw_string:
        return arena.make<StringNode>(Node{NodeType::string, token.pos}, text,
                                      arena.keep(Value(unquoted(token))));
      default:
        break;
    }
    backup();
    return nullptr;
  }

  std::vector<const Node*> nodes_;  // put aside until their list is complete
  std::vector<std::string_view> names_;
  std::vector<std::string_view> vars_ = {"$"};
  int range_depth_ = 0;
  int depth_ = 0;        // of control structures
  int expressions_ = 0;  // of parentheses, and the one around them
  StackRoom stack_;
  FindFunction find_;
  TreeSet set_;
};

}  // namespace

std::expected<TreeSet, ParseError> parse(std::string_view text, const std::string& own_name,
                                         const std::string& shown_name, std::string_view left,
                                         std::string_view right, FindFunction find) {
  if (text.size() > kMaxText)
    return std::unexpected(ParseError{"template: " + shown_name + ": larger than 64 MiB", 0, 0});
  try {
    return Parser(text, shown_name, left, right, find).run(own_name);
  } catch (ParseError& error) {
    return std::unexpected(std::move(error));
  }
}

}  // namespace keybearer::tmpl
