#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/exit_code.hpp"
#include "cli/commands.hpp"
#include "cli/fetch.hpp"
#include "cli/session.hpp"
#include "cli/startup.hpp"
#include "cli/terminal.hpp"
#include "config/scalars.hpp"
#include "render/value.hpp"
#include "tmpl/absence.hpp"

namespace keybearer::cli {
namespace {

using boost::asio::awaitable;

constexpr const char* kMasked = "********";

void print_line(std::string_view name, std::size_t width, std::string_view value) {
  std::printf("%-*.*s  %.*s\n", static_cast<int>(width), static_cast<int>(name.size()), name.data(),
              static_cast<int>(value.size()), value.data());
}

// What the server says of a secret beside its values.
void print_metadata(const std::string& path, const Value& answer) {
  std::printf("%s\n", config::escaped(path).c_str());
  const Value* metadata = value_at(answer, "data").find("metadata");
  if (metadata != nullptr && metadata->is_map()) {
    for (const char* name : {"version", "created_time", "deletion_time"}) {
      const Value* value = metadata->find(name);
      if (value == nullptr) continue;
      const Secret text = render::text_of(*value);
      if (!text.empty()) print_line(std::string("# ") + name, 16, config::escaped(text.reveal()));
    }
  }
  const Value* lease = answer.find("lease_id");
  if (lease == nullptr || !lease->is_text() || lease->as_text().empty()) return;
  const Value* ttl = answer.find("lease_duration");
  print_line("# lease", 16,
             (ttl != nullptr ? std::string(render::text_of(*ttl).reveal()) + " s" : "") +
                 ", revoked when this command ends");
}

awaitable<int> show(vault::Client& client, const config::Config& config,
                    tmpl::Dependency dependency, std::string key, bool show_values) {
  FetchedSource source(config);
  if (auto fetched = co_await source.fetch(client, dependency); !fetched) {
    complain_of(fetched.error());
    co_return exit_code_of(fetched.error());
  }
  const std::string& path = source.path_of(dependency);
  const Value* answer = source.find(dependency);
  const Value& data = render::data_of(*answer);
  if (!data.is_map()) {
    complain(path + ": has no keys");
    co_return kNotReady;
  }
  if (!key.empty()) {
    const Value* member = data.find(key);
    if (member == nullptr) {
      complain(tmpl::missing_key_text(data, key, path));
      co_return kNotReady;
    }
    const Secret text = render::text_of(*member);
    std::fwrite(text.reveal().data(), 1, text.size(), stdout);
    if (isatty(STDOUT_FILENO) != 0) std::puts("");
    co_return kOk;
  }
  print_metadata(path, *answer);
  std::size_t width = 0;
  for (const auto& [name, value] : data.entries())
    width = std::max(width, config::escaped(name.as_text()).size());
  for (const auto& [name, value] : data.entries()) {
    const Secret text = show_values ? render::text_of(value) : Secret(kMasked);
    print_line(config::escaped(name.as_text()), width, config::escaped(text.reveal()));
  }
  co_return kOk;
}

}  // namespace

int get(const GetOptions& options) {
  if (options.show_values && isatty(STDOUT_FILENO) == 0 && !options.path.contains('#')) {
    complain("get: --show-values shows secrets, on a terminal only; for one: get PATH#KEY");
    return kUsage;
  }
  auto loaded = load_configuration(options.input, Templates::parsed_later);
  if (!loaded) {
    print_problems(loaded.error());
    return code_of(loaded.error());
  }
  const auto hash = options.path.rfind('#');
  const std::string key = hash == std::string::npos ? "" : options.path.substr(hash + 1);
  auto dependency = render::dependency_of(loaded->config, options.path.substr(0, hash));
  if (!dependency || (hash != std::string::npos && key.empty())) {
    complain("get: expected PATH or PATH#KEY, such as kv/data/app#password");
    return kUsage;
  }
  return with_login(loaded->config, [&](vault::Client& client, const vault::Auth&) {
    return show(client, loaded->config, *dependency, key, options.show_values);
  });
}

}  // namespace keybearer::cli
