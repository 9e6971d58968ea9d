#include "config/diff.hpp"

#include <algorithm>

namespace keybearer::config {

std::string_view section_name(Section section) {
  constexpr std::array<std::string_view, kSections> kNames = {
      "top level",         "log",     "[notify]",   "[vault]",      "[auto_auth]",
      "[template_config]", "[lease]", "[[secret]]", "[[template]]", "[env]",
      "[[env_from]]",      "[exec]",  "[outage]"};
  return kNames[static_cast<std::size_t>(section)];
}

bool Diff::any() const {
  return std::ranges::any_of(changes, [](Change change) { return change != Change::same; });
}

Diff diff(const Config& a, const Config& b) {
  Diff out;
  const auto live = [&out](Section section, bool same) {
    if (!same) out.changes[static_cast<std::size_t>(section)] = Change::live;
  };
  const auto restart = [&out](const char* key, bool same) {
    if (same) return;
    out.changes[static_cast<std::size_t>(Section::general)] = Change::restart;
    out.needs_restart.emplace_back(key);
  };
  // Taken once: the process's own identity and protection, and what decides how a run ends.
  restart("name", a.name == b.name);
  restart("pid_file", a.pid_file == b.pid_file);
  restart("exit_after_auth", a.exit_after_auth == b.exit_after_auth);
  restart("hardening", a.hardening == b.hardening);
  live(Section::log,
       a.log_level == b.log_level && a.log_format == b.log_format && a.log_file == b.log_file);
  live(Section::notify, a.notify == b.notify);
  live(Section::vault, a.vault == b.vault);
  live(Section::auto_auth, a.auto_auth == b.auto_auth);
  live(Section::template_config, a.template_config == b.template_config);
  live(Section::lease, a.lease == b.lease);
  live(Section::secrets, a.secrets == b.secrets);
  live(Section::templates, a.templates == b.templates);
  live(Section::env, a.env == b.env);
  live(Section::env_from, a.env_from == b.env_from);
  live(Section::exec, a.exec == b.exec && a.credential_variables == b.credential_variables);
  live(Section::outage, a.outage == b.outage);
  return out;
}

}  // namespace keybearer::config
