#pragma once
// From tables to structs, one read_SECTION.cpp each. Internal to config/.

#include "config/reader.hpp"

namespace keybearer::config {

void read_all_sections(Context& context, const toml::table& table, Config& config);

inline constexpr const char* kRevokes = "true; false with render --once and with [state]";

void read_general(Reader& top, Config& config);
void read_notify(Context& context, Reader& top, Notify& notify);
void read_vault(Context& context, Reader& top, Vault& vault);
void read_auto_auth(Context& context, Reader& top, AutoAuth& auth,
                    std::vector<std::string>& warnings);
void read_template_config(Context& context, Reader& top, TemplateConfig& config);
void read_lease_table(Context& context, Reader& top, Lease& lease);
// After [lease] and [template_config], whose values a secret has unless it says otherwise.
void read_secrets(Context& context, Reader& top, Config& config);
void read_stale(Reader& r, Stale& stale);  // max_stale and on_stale
void read_state(Context& context, Reader& top, State& state);
void read_templates(Context& context, Reader& top, Config& config);
void read_env(Context& context, Reader& top, Config& config);
// After [exec], which says what names are allowed.
void read_env_from(Context& context, Reader& top, Config& config);
void read_exec(Context& context, Reader& top, Exec& exec);
void read_outage(Context& context, Reader& top, Outage& outage);
void read_metrics(Context& context, Reader& top, Metrics& metrics);
void read_control(Context& context, Reader& top, Control& control);
// A value of [env] or of `values`: template text, or a table. `variable`: of [env], with its own
// keys.
[[nodiscard]] ValueSource read_value(Context& context, const toml::node& node,
                                     const std::string& name, EnvVar* variable);

}  // namespace keybearer::config
