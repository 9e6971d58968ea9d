// sprig's regex.go. The must* forms return Go's error; the others panic with "regexp: Compile(...)"
// before it.

#include <algorithm>
#include <optional>

#include "base/bytes.hpp"
#include "base/utf8.hpp"
#include "json/capacity.hpp"
#include "json/pool.hpp"
#include "tmpl/exec.hpp"
#include "tmpl/funcs/regex.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/sprig/convert.hpp"
#include "tmpl/sprig/sprig.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl::sprig {
namespace {

// strconv.CanBackquote.
bool can_backquote(std::string_view text) {
  while (!text.empty()) {
    const Rune rune = decode_rune(text);
    if (!rune.valid() || rune.code == 0xFEFF || rune.code == '`' || rune.code == 0x7F ||
        (rune.code < ' ' && rune.code != '\t'))
      return false;
    text.remove_prefix(rune.width);
  }
  return true;
}

using Call = Value (*)(Evaluation&, Arguments);
// regexp.MustCompile's panic.
template <Call call>
Value panicking(Evaluation& e, Arguments a) {
  try {
    return call(e, a);
  } catch (const CallError& error) {
    const std::string pattern(a[0].as_text());
    const std::string shown = can_backquote(pattern) ? "`" + pattern + "`" : quote(pattern);
    throw CallError{"regexp: Compile(" + shown + "): " + error.text};
  }
}

Value match(Evaluation& e, Arguments a) {
  return e.regexes.get(a[0].as_text()).matches(a[1].as_text());
}
Value match_or_false(Evaluation& e, Arguments a) {
  try {
    return match(e, a);
  } catch (const CallError&) {
    return false;
  }
}
Value find(Evaluation& e, Arguments a) {
  const auto found = e.regexes.get(a[0].as_text()).find_texts(a[1].as_text(), 1);
  return found.empty() ? std::string_view() : found.front();
}
Value find_all(Evaluation& e, Arguments a) {
  const std::string_view text = a[1].as_text();
  const auto all = e.regexes.get(a[0].as_text()).find_texts(text, a[2].as_int());
  constexpr std::size_t kFirstRoom = 10;
  List out;
  out.reserve(go_appended(all.size(), kFirstRoom));
  ValuePool pool(2 * text.size());
  for (const std::string_view found : all) out.push_back(pool.text(Type::string, found));
  return out.empty() ? Value::nil_of(Type::strings) : Value::strings(std::move(out));
}
Value replace_all(Evaluation& e, Arguments a) {
  return e.regexes.get(a[0].as_text()).replace_all(a[1].as_text(), a[2].as_text());
}
Value replace_all_literal(Evaluation& e, Arguments a) {
  return e.regexes.get(a[0].as_text()).replace_all(a[1].as_text(), a[2].as_text(), true);
}
Value split(Evaluation& e, Arguments a) {
  const Regex& regex = e.regexes.get(a[0].as_text());
  const std::string_view text = a[1].as_text();
  const std::int64_t most = a[2].as_int();
  if (most == 0) return Value::nil_of(Type::strings);
  if (a[0].size() != 0 && text.empty()) return Value::strings({Value("")});
  List parts;
  ValuePool pool(2 * text.size());
  const auto add = [&](std::string_view part) { parts.push_back(pool.text(Type::string, part)); };
  std::size_t begin = 0, end = 0;
  const auto all = regex.find_texts(text, most);
  parts.reserve(go_appended(all.size() + 1, all.size()));
  for (const std::string_view found : all) {
    if (most > 0 && std::cmp_equal(parts.size(), most - 1)) break;
    end = static_cast<std::size_t>(found.data() - text.data());
    const std::size_t next = end + found.size();
    if (next != 0) add(text.substr(begin, end - begin));
    begin = next;
  }
  if (end != text.size()) add(text.substr(begin));
  return Value::strings(std::move(parts));
}
Value quote_meta(Evaluation&, Arguments a) {
  static constexpr std::string_view kSpecial = "\\.+*?()|[]{}^$";
  static constexpr Escapes kTable = escapes([](unsigned char c) -> std::optional<Escape> {
    if (!kSpecial.contains(static_cast<char>(c))) return std::nullopt;
    const char quoted[] = {'\\', static_cast<char>(c)};
    return escape_of({quoted, 2});
  });
  const std::string_view text = a[0].as_text();
  Output out(text.size() + text.size() / 8);
  append_escaped(
      out, text, kTable,
      [](unsigned char c) {  // all of them, and a few more
        return (c >= '$' && c <= '.') || c == '?' || (c >= '[' && c <= '^') ||
               (c >= '{' && c <= '}');
      },
      [](std::string_view, char*&) { return std::size_t{1}; }, spend);
  return out.take();
}

constexpr Function kFunctions[] = {
    {"sprig_mustRegexFind", find, "ss"},
    {"sprig_mustRegexFindAll", find_all, "ssi"},
    {"sprig_mustRegexMatch", match, "ss"},
    {"sprig_mustRegexReplaceAll", replace_all, "sss"},
    {"sprig_mustRegexReplaceAllLiteral", replace_all_literal, "sss"},
    {"sprig_mustRegexSplit", split, "ssi"},
    {"sprig_regexFind", panicking<find>, "ss"},
    {"sprig_regexFindAll", panicking<find_all>, "ssi"},
    {"sprig_regexMatch", match_or_false, "ss"},
    {"sprig_regexQuoteMeta", quote_meta, "s"},
    {"sprig_regexReplaceAll", panicking<replace_all>, "sss"},
    {"sprig_regexReplaceAllLiteral", panicking<replace_all_literal>, "sss"},
    {"sprig_regexSplit", panicking<split>, "ssi"},
};

}  // namespace

std::span<const Function> pattern_functions() {
  return kFunctions;
}

}  // namespace keybearer::tmpl::sprig
