#include "cli/advice.hpp"

#include <linux/magic.h>
#include <sys/vfs.h>

#include <filesystem>

#include "base/file.hpp"
#include "config/method.hpp"
#include "config/scalars.hpp"

namespace keybearer::cli {
namespace {

bool is_token_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

// A service, batch or recovery token as servers write them: hvs.CAES..., s.4xQ...; 20 characters at
// least, so that `s.name` of an expression is none.
bool has_token(std::string_view text) {
  constexpr std::size_t kShortest = 20;
  for (const std::string_view prefix : {"hvs.", "hvb.", "hvr.", "s.", "b."}) {
    for (auto at = text.find(prefix); at != std::string_view::npos;
         at = text.find(prefix, at + 1)) {
      if (at > 0 && (is_token_character(text[at - 1]) || text[at - 1] == '.')) continue;
      std::size_t end = at + prefix.size();
      while (end < text.size() && is_token_character(text[end])) ++end;
      if (end - at - prefix.size() >= kShortest) return true;
    }
  }
  return false;
}

// Credentials of [auto_auth.method] that a file gives as they are.
void add_literal_credentials(const config::Config& config,
                             const std::vector<config::Origin>& origins,
                             std::vector<std::string>& out) {
  const config::MethodSpec* spec = config::MethodSpec::find(config.auto_auth.method.type);
  if (spec == nullptr || !config.credential_variables.empty()) return;  // made of a variable
  for (const config::MethodKey& key : spec->keys()) {
    if (key.type != config::MethodKey::Type::secret) continue;
    for (const config::Origin& origin : origins) {
      if (origin.key != "auto_auth.method." + std::string(key.name) ||
          origin.from.kind != config::SourceLocation::Kind::file)
        continue;
      const config::MethodKey* twin = spec->file_of(key);
      out.push_back(origin.from.text() + ": " + std::string(key.name) +
                    " stands in the configuration as text" +
                    (twin ? "; use " + std::string(twin->name) + ", or a variable" : ""));
    }
  }
}

void add_tokens_in_templates(const config::Config& config, std::vector<std::string>& out) {
  const auto say = [&out](const config::SourceLocation& place, const std::string& where) {
    out.push_back(place.text() + ": " + where +
                  ": there is a Vault token in this text; a token "
                  "belongs into a secret or a credential file");
  };
  for (const config::Template& spec : config.templates) {
    std::string text = spec.contents;
    if (!spec.source.empty()) {
      if (auto read = read_file(spec.source)) text = *read;
    }
    if (has_token(text)) say(spec.place, "template " + config::escaped(spec.destination));
  }
  for (const config::EnvVar& variable : config.env)
    if (has_token(variable.value.contents)) say(variable.value.place, "env." + variable.name);
}

void add_bare_env_from(const config::Config& config, std::vector<std::string>& out) {
  for (const config::EnvFrom& from : config.env_from) {
    if (!from.prefix.empty() || !from.keys.empty() || !from.names.empty()) continue;
    out.push_back(from.place.text() + ": env_from of " + config::escaped(from.secret) +
                  " without prefix, keys or names: whoever writes the secret chooses the "
                  "variables' names");
  }
}

}  // namespace

std::vector<std::string> warnings(const config::Config& config,
                                  const std::vector<config::Origin>& origins) {
  std::vector<std::string> out = config.warnings;
  add_literal_credentials(config, origins, out);
  add_tokens_in_templates(config, out);
  add_bare_env_from(config, out);
  return out;
}

std::string note_on_disks(const config::Config& config,
                          const std::function<bool(const std::string&)>& in_memory) {
  std::string files;
  for (const config::Template& spec : config.templates) {
    if (!spec.enabled || in_memory(std::filesystem::path(spec.destination).parent_path().string()))
      continue;
    files += (files.empty() ? "" : ", ") + config::escaped(spec.destination);
  }
  if (files.empty()) return files;
  return "written to a disk, where backups find it: " + files +
         "; a directory on tmpfs (such as /run) keeps it in memory";
}

bool is_in_memory(const std::string& directory) {
  std::filesystem::path path = directory.empty() ? "." : directory;
  struct statfs about{};
  while (statfs(path.c_str(), &about) != 0) {  // not made yet: where it will be made
    if (!path.has_relative_path()) return false;
    path = path.has_parent_path() ? path.parent_path() : ".";
  }
  return about.f_type == TMPFS_MAGIC || about.f_type == RAMFS_MAGIC;
}

}  // namespace keybearer::cli
