#pragma once
// One KV 2 secret, compared every 10 s.

#include "fixture.hpp"

namespace keybearer::secrets {

constexpr auto kData = "GET /v1/kv/data/app";
constexpr auto kMetadata = "GET /v1/kv/metadata/app";
const inline auto kApp = read("kv/data/app");

struct KvFixture : Fixture {
  KvFixture() { config.template_config.static_secret_render_interval.every = 10s; }
};

}  // namespace keybearer::secrets
