#pragma once
// Secrets for a command that looks once: asked for one after another, without waits and retries.

#include <boost/asio/awaitable.hpp>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config/config.hpp"
#include "render/renderer.hpp"
#include "secrets/rules.hpp"
#include "tmpl/template.hpp"
#include "vault/client.hpp"

namespace keybearer::cli {

// The path as the API has it ("kv/data/app" of "kv/app"), and the capability that is needed there.
[[nodiscard]] std::pair<std::string, const char*> api_path(const tmpl::Dependency& dependency,
                                                           const vault::Mount* mount);

// The same session in the namespace that it is asked for in.
[[nodiscard]] vault::Client& client_for(vault::Client& client, const secrets::Rules& rules,
                                        const tmpl::Dependency& dependency);

class FetchedSource final : public tmpl::DataSource {
 public:
  explicit FetchedSource(const config::Config& config) : rules_(config.secrets) {}
  [[nodiscard]] const Value* find(const tmpl::Dependency& dependency) override;
  [[nodiscard]] std::uint64_t generation(const tmpl::Dependency& dependency) const override;
  [[nodiscard]] Absence absence(const tmpl::Dependency& dependency) const override;

  // Reads, lists or writes it; what the server says no to is remembered as absent or denied.
  boost::asio::awaitable<result<>> fetch(vault::Client& client, const tmpl::Dependency& dependency);
  [[nodiscard]] const secrets::Rules& rules() const { return rules_; }
  // Where it was asked for ("kv/data/app" of "kv/app"); before that, as it is written.
  [[nodiscard]] const std::string& path_of(const tmpl::Dependency& dependency) const;

 private:
  secrets::Rules rules_;
  std::map<std::string, Value> answers_;    // by id
  std::map<std::string, std::string> ids_;  // of what was read, by path as the API has it
  std::map<std::string, Absence> absent_;
  std::map<std::string, std::string> paths_;  // by id
};

// Evaluates until nothing more is missing that `wanted` allows to ask for. `failed` gets what the
// server refused.
boost::asio::awaitable<render::Evaluation> evaluate_all(
    vault::Client& client, render::Renderer& renderer, FetchedSource& source,
    std::function<bool(const tmpl::Dependency&)> wanted,
    std::vector<std::pair<tmpl::Dependency, Error>>& failed);

}  // namespace keybearer::cli
