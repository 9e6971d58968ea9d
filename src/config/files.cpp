#include "config/files.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/file.hpp"
#include "config/syntax.hpp"

namespace keybearer::config {
namespace {

constexpr std::size_t kLargest = 16u << 20;  // of a file

// Moves, because copies lose their places.
void merge(toml::table& into, toml::table&& from) {
  for (auto&& [key, node] : from) {
    toml::node* present = into.get(key);
    if (present != nullptr && present->is_table() && node.is_table()) {
      merge(*present->as_table(), std::move(*node.as_table()));
    } else if (present != nullptr && present->is_array_of_tables() && node.is_array_of_tables()) {
      for (auto& item : *node.as_array())
        present->as_array()->push_back(std::move(*item.as_table()));
    } else {
      node.visit(
          [&into, &key](auto& concrete) { into.insert_or_assign(key, std::move(concrete)); });
    }
  }
}

std::vector<std::string> files_of(const std::string& path, Context& context) {
  struct stat info{};
  const auto problem = [&](const std::string& text) {
    context.problems.push_back({SourceLocation::in_file(path), text});
  };
  if (stat(path.c_str(), &info) != 0) {
    problem(std::string("can't be read: ") + strerrordesc_np(errno));
    return {};
  }
  if (!S_ISDIR(info.st_mode)) return {path};
  std::vector<std::string> files;
  if (DIR* directory = opendir(path.c_str())) {
    while (const dirent* entry = readdir(directory)) {
      const std::string_view name(entry->d_name);
      if (name.ends_with(".toml") && !name.starts_with('.'))  // an editor's lock is .#agent.toml
        files.push_back(path + "/" + entry->d_name);
    }
    closedir(directory);
  }
  std::ranges::sort(files);
  if (files.empty()) problem("a directory without any *.toml in it");
  return files;
}

// By its mode: everybody, or a group that is neither root's nor ours.
bool others_can_write(const struct stat& info) {
  const bool by_group = (info.st_mode & 020) != 0 && info.st_gid != 0 && info.st_gid != getegid();
  return by_group || (info.st_mode & 002) != 0;
}

// A ConfigMap's directory has mode 0777, on a mount that nobody can write.
bool read_only(const std::string& path) {
  struct statvfs info{};
  return statvfs(path.c_str(), &info) == 0 && (info.f_flag & ST_RDONLY) != 0;
}

}  // namespace

toml::table read_files(const std::vector<std::string>& paths, Context& context,
                       std::vector<std::string>& files) {
  toml::table all;
  for (const std::string& path : paths) {
    for (const std::string& file : files_of(path, context)) {
      const auto problem = [&](std::string text, const toml::source_position& at = {}) {
        context.problems.push_back(
            {SourceLocation::in_file(file, at.line, at.column), std::move(text)});
      };
      files.push_back(file);
      auto text = read_file(file, {.limit = kLargest, .regular = false});  // <( ) is a pipe
      if (!text) {
        problem("can't be read: " + text.error().text);
        continue;
      }
      if (file.ends_with(".hcl") || file.ends_with(".json")) {
        problem("Vault Agent's own format is not supported yet; write it as TOML");
        continue;
      }
      auto parsed = toml::parse(*text, file);
      if (!parsed) {
        const auto& at = parsed.error().source().begin;
        problem(explain_syntax_error(*text, at.line, at.column, parsed.error().description()), at);
        continue;
      }
      context.texts.emplace(file, SourceText(std::move(*text)));
      merge(all, std::move(parsed).table());
    }
  }
  return all;
}

void check_owners(const std::vector<std::string>& paths, const std::vector<std::string>& files,
                  Context& context, std::vector<std::string>& warnings) {
  std::vector<std::string> all = files;
  for (const std::string& path : paths)
    if (std::ranges::find(files, path) == files.end()) all.push_back(path);
  for (const std::string& path : all) {
    struct stat info{};
    if (stat(path.c_str(), &info) != 0 || !(S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)) ||
        read_only(path))
      continue;
    const bool by_mode = others_can_write(info);
    const bool by_owner = info.st_uid != 0 && info.st_uid != geteuid();
    if (!by_mode && !by_owner) continue;
    const std::string why = std::string(by_mode ? "others can write " : "another user owns ") +
                            (S_ISDIR(info.st_mode) ? "this directory" : "this file") +
                            ", and can choose what keybearer runs; " +
                            (by_mode ? "chmod go-w" : "chown it to the user that runs keybearer");
    if (geteuid() == 0 && by_mode)
      context.problems.push_back({SourceLocation::in_file(path), why});
    else
      warnings.push_back(escaped(path) + ": " + why);
  }
}

}  // namespace keybearer::config
