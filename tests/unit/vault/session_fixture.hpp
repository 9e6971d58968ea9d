#pragma once
// A session on a server that answers what it is told to.

#include <memory>
#include <optional>

#include "support/fake_http.hpp"
#include "support/io.hpp"
#include "vault/session.hpp"

namespace keybearer::vault {

struct SessionFixture {
  test::Io io;
  test::FakeHttp* http = nullptr;
  std::optional<Session> session;

  explicit SessionFixture(SessionOptions options = {}) {
    auto fake = std::make_unique<test::FakeHttp>();
    http = fake.get();
    session.emplace(std::move(fake), std::move(options));
  }
};

}  // namespace keybearer::vault
