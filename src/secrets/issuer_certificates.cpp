#include "secrets/issuer_certificates.hpp"

#include <utility>

namespace keybearer::secrets {

using boost::asio::awaitable;
using namespace std::chrono_literals;

namespace {

constexpr Duration kRemembered = 1min;

}  // namespace

awaitable<std::string> IssuerCertificates::get(vault::Client& client, std::string path) {
  const std::pair<const vault::Client*, std::string> key{&client, path};
  for (;;) {
    const auto known = looks_.find(key);
    if (known == looks_.end() || known->second->cancelled ||
        (!known->second->in_flight && Clock::now() - known->second->sent >= kRemembered))
      break;
    const std::shared_ptr<Look> look = known->second;
    while (look->in_flight) co_await look->ended.wait(look->ended.generation());
    if (!look->cancelled) co_return look->certificate;
  }
  const auto look = std::make_shared<Look>();
  look->sent = Clock::now();
  looks_.insert_or_assign(key, look);
  // Where this coroutine is cancelled, one of those who wait asks in its place.
  const struct End {
    Look& look;
    ~End() {
      look.cancelled = std::exchange(look.in_flight, false);
      look.ended.set();
    }
  } end{*look};
  const auto told = co_await client.read(std::move(path));
  if (told) look->certificate = std::string(text_at(told->data(), "certificate"));
  look->in_flight = false;
  co_return look->certificate;
}

}  // namespace keybearer::secrets
