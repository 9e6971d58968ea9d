// Any bytes as a client's requests, in pieces of any size: no crash, no endless loop; how the bytes
// were cut changes nothing, and what rules let pass is one path only.

#include <string>

#include "http/message.hpp"
#include "serve/router.hpp"
#include "serve/token_guard.hpp"

namespace {

using namespace keybearer;

struct Parsed {
  std::string heads, body;
  int status = 0;
};

void look_at(const http::RequestHead& head) {
  static const serve::Rules rules([] {
    config::Listener listener;
    listener.allow = {{"", {"GET kv/data/app/*"}}};
    return listener;
  }());
  static const serve::Router router = [] {
    serve::Router made;
    made.add({.path = "/v1/*", .methods = {}, .handler = {}});
    return made;
  }();
  const auto found = router.find(head, {.address = "127.0.0.1", .reached = "127.0.0.1"}, rules);
  if (!found) return;
  if (!found->target.path.starts_with("/v1/kv/data/app/")) __builtin_trap();
  if (found->target.path.find("/../") != std::string::npos) __builtin_trap();
  (void)serve::choose_credential(config::ApiProxy::UseToken::yes, head, found->asked.path);
  (void)serve::check_token_use(head, found->asked.path, found->target.query,
                               {"token", "accessor", "auth/x"}, true, false);
}

Parsed parse(std::string_view bytes, std::size_t piece) {
  Parsed out;
  std::string pending;
  std::size_t fed = 0;
  const auto more = [&] {
    if (fed == bytes.size()) return false;
    const auto part = bytes.substr(fed, piece);
    pending += part;
    fed += part.size();
    return true;
  };
  for (;;) {
    http::HeadReader reader;
    std::optional<http::RequestHead> head;
    do {
      auto read = reader.read(pending);
      if (!read) {
        out.status = read.error().status;
        return out;
      }
      head = *std::move(read);
    } while (!head && more());
    if (!head) return out;
    pending.erase(0, reader.size());
    out.heads += head->method + " " + head->target + "\n";
    look_at(*head);
    http::BodyDecoder body(head->length, head->chunked);
    while (!body.done()) {
      const auto step = body.next(pending);
      if (!step) {
        out.status = step.error().status;
        return out;
      }
      out.body += step->data;
      const std::size_t used = step->used;
      pending.erase(0, used);
      if (used == 0 && !body.done() && !more()) return out;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Parsed whole = parse(bytes, bytes.size()), cut = parse(bytes, 1 + data[0] % 16);
  if (whole.heads != cut.heads || whole.status != cut.status) __builtin_trap();
  return 0;
}
