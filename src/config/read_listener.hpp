#pragma once
// [[listener]], [api_proxy] and [cache]. Internal to config/.

#include "config/reader.hpp"

namespace keybearer::config {

void read_listeners(Context& context, Reader& top, Config& config);
void read_api_proxy(Context& context, Reader& top, ApiProxy& proxy);
void read_cache(Context& context, Reader& top, Cache& cache);

}  // namespace keybearer::config
