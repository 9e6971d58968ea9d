#pragma once
// A configuration and its templates, parsed: replaced together by a reload, and kept by whoever
// still evaluates them.

#include <memory>

#include "config/config.hpp"
#include "render/renderer.hpp"

namespace keybearer {

struct Rendering {
  std::shared_ptr<const config::Config> config;
  render::Renderer renderer;  // refers to `config`
};

}  // namespace keybearer
