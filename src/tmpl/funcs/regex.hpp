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
  // FindAllString: at most `most`; below 0: all.
  [[nodiscard]] std::vector<std::string_view> find_texts(std::string_view text,
                                                         std::int64_t most = -1) const;
  // FindAllStringSubmatch.
  [[nodiscard]] std::vector<Match> find_all(std::string_view text, std::int64_t most = -1) const;
  // ReplaceAllString: $1, ${name}, $$ in `replacement`, or with `literal` nothing of the kind.
  [[nodiscard]] std::string replace_all(std::string_view text, std::string_view replacement,
                                        bool literal = false) const;

 private:
  class Haystack;
  // The first from `at` on; of its groups the first `count`.
  [[nodiscard]] bool find_from(const Haystack& text, std::size_t at, std::size_t count,
                               Match& match) const;
  template <class Found>
  void each(std::string_view text, std::int64_t most, std::size_t count, Found found) const;
  [[nodiscard]] std::size_t groups() const { return names_.size(); }

  std::unique_ptr<re2::RE2> re_;
  std::vector<std::string> names_;  // of the groups; the first is the whole
  bool ascii_ = false;              // no part of it matches U+FFFD, or between a character's bytes

  friend class RegexCache;
};

// The last expressions that one evaluation used: a template's loop asks for the same again.
class RegexCache {
 public:
  [[nodiscard]] const Regex& get(std::string_view pattern);

 private:
  struct Known {
    std::string pattern;
    std::unique_ptr<Regex> regex;
  };
  std::vector<Known> small_;
  Known large_;           // by itself: it may need much memory
  std::size_t next_ = 0;  // to give way
};

}  // namespace keybearer::tmpl
