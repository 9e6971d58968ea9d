#pragma once
// Which headers pass, both ways. Pure. What concerns one connection only stays (RFC 9110 section
// 7.6.1), cookies and CORS never pass, and no token but the one that was chosen.

#include "http/message.hpp"
#include "serve/token_guard.hpp"

namespace keybearer::serve {

struct ForwardOptions {
  Credential credential = Credential::none;
  bool login = false;          // Authorization is the login itself
  bool plain_content = false;  // the answer must be readable for us
  bool upgrade = false;
  std::string_view vault_namespace;  // for requests without one
};
[[nodiscard]] http::Headers headers_up(const http::RequestHead& head,
                                       const ForwardOptions& options);
// `encrypted`: the listener's connection; Strict-Transport-Security means nothing on a plain one.
[[nodiscard]] http::Headers headers_down(const http::Headers& headers, bool encrypted,
                                         bool upgrade);

}  // namespace keybearer::serve
