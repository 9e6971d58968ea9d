#include "render/dependency_growth.hpp"

#include <algorithm>
#include <iterator>

namespace keybearer::render {
namespace {

constexpr std::size_t kMostAbandoned = 100;

// Functions that give something else each time.
constexpr std::string_view kChanging[] = {"timestamp",
                                          "uuidv4",
                                          "now",
                                          "randAlpha",
                                          "randAlphaNum",
                                          "randAscii",
                                          "randBytes",
                                          "randInt",
                                          "randNumeric",
                                          "shuffle",
                                          "genPrivateKey",
                                          "genCA",
                                          "genCAWithKey",
                                          "genSelfSignedCert",
                                          "genSignedCert",
                                          "genSelfSignedCertWithKey",
                                          "genSignedCertWithKey",
                                          "bcrypt",
                                          "htpasswd",
                                          "encryptAES",
                                          "ago",
                                          "plugin"};

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool has_word(std::string_view text, std::string_view word) {
  for (auto at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    std::string_view before = text.substr(0, at);
    if (before.ends_with("sprig_")) before.remove_suffix(6);
    const auto end = at + word.size();
    const bool begins = before.empty() || (!is_letter(before.back()) && before.back() != '.');
    if (begins && (end == text.size() || !is_letter(text[end]))) return true;
  }
  return false;
}

const char* function_of(tmpl::Dependency::Kind kind) {
  switch (kind) {
    case tmpl::Dependency::Kind::read:
    case tmpl::Dependency::Kind::write:
      return "secret";
    case tmpl::Dependency::Kind::list:
      return "secrets";
    case tmpl::Dependency::Kind::file:
      return "file";
    case tmpl::Dependency::Kind::pki:
      return "pkiCert";
  }
  return "";
}

}  // namespace

bool DependencyGrowth::incomplete(std::set<std::string> asked) {
  std::ranges::set_difference(asked_, asked, std::inserter(abandoned_, abandoned_.end()));
  asked_.merge(asked);
  return abandoned_.size() <= kMostAbandoned;
}

void DependencyGrowth::complete() {
  asked_.clear();
  abandoned_.clear();
}

Error growth_error(std::string_view name, std::string_view template_text,
                   const tmpl::Dependency& asked) {
  std::string changing;
  for (const std::string_view function : kChanging) {
    if (has_word(template_text, function))
      changing.append(changing.empty() ? "" : ", ").append(function);
  }
  std::string text(name);
  text += ": " + std::string(function_of(asked.kind)) + " \"" + asked.path +
          "\" is asked for with another argument at each evaluation";
  text +=
      changing.empty() ? "; give it one that stays" : " (" + changing + "); give it one that stays";
  return {ErrorKind::render, std::move(text)};
}

}  // namespace keybearer::render
