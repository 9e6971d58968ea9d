#pragma once
// Go's regular expressions by RE2, which stays behind regex.cpp.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace re2 {
class RE2;
}

namespace keybearer::tmpl {

class Regex {
 public:
  // Throws CallError with Go's text: "error parsing regexp: missing closing ]: `[`".
  explicit Regex(std::string_view pattern);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  // The whole match, then each group; a group that took no part has no data.
  using Match = std::vector<std::string_view>;

  [[nodiscard]] bool matches(std::string_view text) const;
  // FindStringSubmatch.
  [[nodiscard]] std::optional<Match> find(std::string_view text) const;
  // FindAllStringSubmatch: at most `most`; below 0: all.
  [[nodiscard]] std::vector<Match> find_all(std::string_view text, std::int64_t most = -1) const;
  // ReplaceAllString: $1, ${name}, $$ in `replacement`, or with `literal` nothing of the kind.
  [[nodiscard]] std::string replace_all(std::string_view text, std::string_view replacement,
                                        bool literal = false) const;

 private:
  class Haystack;
  [[nodiscard]] bool find_from(const Haystack& text, std::size_t at, Match& match) const;

  std::unique_ptr<re2::RE2> re_;
  std::vector<std::string> names_;  // of the groups; the first is the whole
};

[[nodiscard]] bool regex_matches(std::string_view pattern, std::string_view text);
// regexp.ReplaceAllString.
[[nodiscard]] std::string regex_replace(std::string_view pattern, std::string_view replacement,
                                        std::string_view text);

}  // namespace keybearer::tmpl
