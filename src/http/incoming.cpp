// For clients that know whole bodies only (tests).
#include "http/stream_client.hpp"

namespace keybearer::http {
namespace {

class WholeAnswer final : public Incoming {
 public:
  explicit WholeAnswer(Response response) : body_(std::move(response.body)) {
    status = response.status;
    if (!response.content_type.empty()) headers.emplace_back("Content-Type", response.content_type);
    length = body_.size();
    asked = response.asked;
  }
  boost::asio::awaitable<result<std::string_view>> read() override {
    if (read_) co_return std::string_view{};
    read_ = true;
    co_return body_.reveal();
  }

 private:
  Secret body_;
  bool read_ = false;
};

}  // namespace

boost::asio::awaitable<result<std::unique_ptr<Incoming>>> open(Client& client,
                                                               StreamRequest request) {
  if (auto* const streaming = dynamic_cast<StreamClient*>(&client))
    co_return co_await streaming->open(std::move(request));
  Request whole{.method = std::move(request.method),
                .target = std::move(request.target),
                .headers = std::move(request.headers),
                .token = std::move(request.token),
                .timeout = request.timeout,
                .gate = request.gate};
  while (request.body != nullptr) {
    const auto piece = co_await request.body->read();
    if (!piece) co_return std::unexpected(piece.error());
    if (piece->empty()) break;
    whole.body.append(*piece);
  }
  auto response = co_await client.send(std::move(whole));
  if (!response) co_return std::unexpected(response.error());
  co_return std::make_unique<WholeAnswer>(*std::move(response));
}

}  // namespace keybearer::http
