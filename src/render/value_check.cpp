#include "render/value_check.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

#include "json/json.hpp"
#include "tmpl/funcs/base64.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/funcs/regex.hpp"
#include "tmpl/go/go_url.hpp"

namespace keybearer::render {
namespace {

using Type = config::ValueRule::Type;

std::optional<std::int64_t> integer(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  std::int64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return out;
}

bool is_port(std::string_view text) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto number = integer(text);
  return std::ranges::all_of(text, digit) && number && *number >= 1 && *number <= 65535;
}

bool is_bool(std::string_view text) {
  constexpr std::string_view kForms[] = {"1", "t", "T", "TRUE",  "true",  "True",
                                         "0", "f", "F", "FALSE", "false", "False"};
  return std::ranges::find(kForms, text) != std::end(kForms);
}

bool is_url(std::string_view text) {
  const bool printable =
      std::ranges::all_of(text, [](unsigned char c) { return c > ' ' && c != 0x7f; });
  const auto scheme = text.find("://");
  if (!printable || scheme == std::string_view::npos || scheme + 3 == text.size()) return false;
  const auto url = tmpl::parse_url(text);
  return url && !url->scheme.empty();
}

// RFC 7468: blocks one after another, each whole.
bool is_pem(std::string_view text) {
  constexpr std::string_view kBegin = "-----BEGIN ", kEnd = "-----END ", kDashes = "-----";
  int blocks = 0;
  for (auto at = text.find(kBegin); at != std::string_view::npos; at = text.find(kBegin)) {
    text.remove_prefix(at + kBegin.size());
    const auto label_end = text.find(kDashes);
    if (label_end == std::string_view::npos) return false;
    const std::string end =
        std::string(kEnd) + std::string(text.substr(0, label_end)) + std::string(kDashes);
    text.remove_prefix(label_end + kDashes.size());
    const auto stop = text.find(end);
    if (stop == std::string_view::npos) return false;
    std::string_view body = text.substr(0, stop);
    if (const auto headers = body.find("\n\n");  // "Proc-Type: ..." of old keys
        headers != std::string_view::npos && body.substr(0, headers).contains(':'))
      body.remove_prefix(headers + 2);
    std::string digits;
    std::ranges::copy_if(body, std::back_inserter(digits),
                         [](char c) { return c != '\n' && c != '\r' && c != ' ' && c != '\t'; });
    if (digits.empty() || !tmpl::base64_decoded(digits)) return false;
    text.remove_prefix(stop + end.size());
    ++blocks;
  }
  return blocks > 0;
}

// "": it is one.
std::string_view type_fault(Type type, std::string_view value) {
  switch (type) {
    case Type::string:
      return "";
    case Type::integer:
      return integer(value) ? "" : "is not a whole number";
    case Type::boolean:
      return is_bool(value) ? "" : "is neither true nor false";
    case Type::port:
      return is_port(value) ? "" : "is not a port (1 to 65535)";
    case Type::url:
      return is_url(value) ? "" : "is not a URL (SCHEME://...)";
    case Type::pem:
      return is_pem(value) ? "" : "is not PEM (-----BEGIN ...), or a block of it is cut off";
    case Type::json:
      return json::parse(value) ? "" : "is not JSON";
  }
  return "";
}

}  // namespace

ValueCheck::ValueCheck(Type type) : type_(type) {}
ValueCheck::~ValueCheck() = default;

result<std::shared_ptr<const ValueCheck>> ValueCheck::make(const config::ValueRule& rule) {
  std::shared_ptr<ValueCheck> made(new ValueCheck(rule.type));
  try {
    if (!rule.pattern.empty()) made->pattern_ = std::make_unique<tmpl::Regex>(rule.pattern);
  } catch (const tmpl::CallError& error) {
    return fail(ErrorKind::config, error.text);
  }
  return made;
}

std::string ValueCheck::fault(std::string_view value) const {
  if (const auto wrong = type_fault(type_, value); !wrong.empty()) return std::string(wrong);
  if (pattern_ && !pattern_->matches(value)) return "does not fit its pattern";
  return "";
}

}  // namespace keybearer::render
