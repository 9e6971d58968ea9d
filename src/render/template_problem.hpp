#pragma once
// A template that is wrong by itself, told as a problem of the configuration.

#include <string>
#include <string_view>

#include "config/config.hpp"
#include "config/load.hpp"
#include "tmpl/template.hpp"

namespace keybearer::render {

// At the place in the template's own file or inside agent.toml; Go's prefix, "template: NAME:3:9: ",
// would be a second place. `name`: what the template makes; `text`: the template.
[[nodiscard]] config::Problem template_problem(const config::ValueSource& source,
                                               const std::string& name, std::string_view text,
                                               const tmpl::TemplateError& error);

}  // namespace keybearer::render
