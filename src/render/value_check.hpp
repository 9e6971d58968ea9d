#pragma once
// What a variable of [env] must look like (type, pattern), so that a program never starts with a
// value that it can't use. Pure; no text of it holds the value.
//
// Types: int (a whole number of 64 bits), bool (as Go's strconv.ParseBool), port (1 to 65535), url
// (with a scheme and "://"), pem (at least one block, nothing cut off), json. The pattern is RE2's
// and is searched for: ^ and $ make it the whole value.

#include <memory>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "config/config.hpp"

namespace keybearer::tmpl {
class Regex;
}

namespace keybearer::render {

class ValueCheck {
 public:
  // Error kind config: the pattern is none.
  [[nodiscard]] static result<std::shared_ptr<const ValueCheck>> make(
      const config::ValueRule& rule);
  ~ValueCheck();

  // "is not a port (1 to 65535)"; "": it fits.
  [[nodiscard]] std::string fault(std::string_view value) const;

 private:
  explicit ValueCheck(config::ValueRule::Type type);
  config::ValueRule::Type type_;
  std::unique_ptr<const tmpl::Regex> pattern_;
};

}  // namespace keybearer::render
