#pragma once
// One request on its way through the proxy. Internal to serve/proxy*.cpp.

#include <memory>
#include <optional>
#include <string>

#include "serve/proxy.hpp"

namespace keybearer::serve {

// The path as policies write it.
[[nodiscard]] inline std::string_view below_v1(const Target& target) {
  std::string_view path = target.path;
  if (path.starts_with("/v1/")) path.remove_prefix(4);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

class WholeBody final : public http::BodySource {
 public:
  explicit WholeBody(Secret bytes) : bytes_(std::move(bytes)) {}
  boost::asio::awaitable<result<std::string_view>> read() override {
    co_return std::exchange(read_, true) ? std::string_view{} : bytes_.reveal();
  }
  bool rewind() override {
    read_ = false;
    return true;
  }
  [[nodiscard]] const Secret& bytes() const { return bytes_; }

 private:
  Secret bytes_;
  bool read_ = false;
};

// The client's, as it comes; what is wrong with it is the client's fault and not the server's.
class ClientBody final : public http::BodySource {
 public:
  ClientBody(http::Exchange& exchange, std::size_t limit) : exchange_(exchange), left_(limit) {}
  boost::asio::awaitable<result<std::string_view>> read() override {
    auto piece = co_await exchange_.read();
    if (piece && piece->size() > left_) {
      Error error{ErrorKind::refused,
                  "the request's body is too large (listener.max_request_size)"};
      error.status = 413;
      piece = std::unexpected(std::move(error));
    }
    if (!piece) {
      failure = piece.error();
      co_return piece;
    }
    left_ -= piece->size();
    co_return piece;
  }
  std::optional<Error> failure = {};

 private:
  http::Exchange& exchange_;
  std::size_t left_;
};

struct Proxy::Job {
  http::Exchange& exchange;
  const Request& request;
  std::string_view path;  // below /v1/
  Credential credential = Credential::none;
  vault::Token token = {};  // ours, when it goes out with it
  std::string accessor = {}, mount = {};
  std::unique_ptr<WholeBody> whole = {};
  std::unique_ptr<ClientBody> streamed = {};
  std::string upgrade = {};

  [[nodiscard]] const http::RequestHead& head() const { return exchange.head(); }
  [[nodiscard]] bool ours() const { return credential == Credential::ours; }
  [[nodiscard]] bool repeatable() const {
    const auto& method = head().method;
    return !head().has_body() &&
           (method == "GET" || method == "HEAD" || method == "LIST" || method == "SCAN");
  }
  [[nodiscard]] OwnLogin own(const vault::Token& in_force) const {
    return {in_force != nullptr ? in_force->reveal() : std::string_view{}, accessor, mount};
  }
};

}  // namespace keybearer::serve
