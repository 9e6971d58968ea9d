#pragma once
// Made-up secrets from a JSON file, as the data source of templates: `keybearer render --values`
// needs no server.
//
//   {"kv/data/app": {"data": {"user": "ann"}},          what .Data is
//    "database/creds/app": {"lease_id": "x", "lease_duration": 3600, "data": {"username": "u"}},
//    "kv/metadata": ["app", "team/"],                   for `secrets`
//    "kv/data/none": null,                              not there, as an optional secret may be
//    "/etc/app/motd": "hello"}                          for `file`, else the disk is read
//
// An answer as servers give it (vault read -format=json) is known by its lease_id, lease_duration
// and the like. Paths meet as with a server: kv/app and kv/data/app are one; a list that is not in
// the file is made of its paths. A [[secret]] with optional = true stands in for what is missing.

#include <map>
#include <string>

#include "config/config.hpp"
#include "tmpl/template.hpp"

namespace keybearer::cli {

class ValuesFile final : public tmpl::DataSource {
 public:
  // "-" is standard input. Errors (config) name the file, line and column, or the path at fault;
  // they show no value. The configuration must outlive it.
  [[nodiscard]] static result<ValuesFile> read(const std::string& file,
                                               const config::Config& config);
  [[nodiscard]] static result<ValuesFile> parse(std::string_view text, const std::string& file,
                                                const config::Config& config);

  [[nodiscard]] const Value* find(const tmpl::Dependency& dependency) override;
  [[nodiscard]] std::uint64_t generation(const tmpl::Dependency&) const override { return 1; }
  [[nodiscard]] Absence absence(const tmpl::Dependency&) const override { return Absence::absent; }

  // Why find() has nothing: names the path, what the file has, and what was probably meant.
  [[nodiscard]] std::string why_missing(const tmpl::Dependency& dependency) const;

 private:
  ValuesFile(std::string file, Value paths, const config::Config& config)
      : file_(std::move(file)), paths_(std::move(paths)), config_(&config) {}
  [[nodiscard]] std::optional<Value> answer(const tmpl::Dependency& dependency) const;
  [[nodiscard]] const Value* entry(std::string_view path) const;
  [[nodiscard]] std::optional<Value> list(const tmpl::Dependency& dependency) const;

  std::string file_;
  Value paths_;  // the file's object
  const config::Config* config_;
  std::map<std::string, Value> answers_;  // by the dependency's id
};

}  // namespace keybearer::cli
