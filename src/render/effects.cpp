#include "render/effects.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/fd.hpp"
#include "base/fingerprint.hpp"
#include "tmpl/funcs/write_file.hpp"

namespace keybearer::render {
namespace {

// Does the file hold exactly these bytes?
bool holds(const std::string& path, std::string_view bytes) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info{};
  if (!fd || fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode) ||
      static_cast<std::size_t>(info.st_size) != bytes.size())
    return false;
  char buffer[16384];
  for (;;) {
    const ssize_t n = read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n == 0 && bytes.empty();
    const auto size = static_cast<std::size_t>(n);
    if (!bytes.starts_with(std::string_view(buffer, size))) return false;
    bytes.remove_prefix(size);
  }
}

}  // namespace

result<bool> carry_out(std::span<const tmpl::FileEffect> effects) {
  bool changed = false;
  for (const tmpl::FileEffect& effect : effects) {
    const std::string_view content = effect.content->reveal();
    const bool same = effect.append ? content.empty() : holds(effect.path, content);
    const auto done = tmpl::write_file({.path = effect.path,
                                        .user = effect.user,
                                        .group = effect.group,
                                        .mode = effect.mode,
                                        .append = effect.append,
                                        .content = content,
                                        .sandbox = effect.sandbox});
    if (!done)
      return fail(ErrorKind::io, effect.context + ": error calling writeToFile: " + done.error());
    changed = changed || !same;
  }
  return changed;
}

result<> carry_out(const std::vector<RenderedVariable>& variables,
                   std::map<std::string, std::uint64_t>& known) {
  for (const RenderedVariable& variable : variables) {
    if (variable.effects.empty()) continue;
    const std::uint64_t now = fingerprint_of(*variable.value, variable.effects);
    const auto before = known.find(variable.name);
    if (before != known.end() && before->second == now) continue;
    if (const auto done = carry_out(variable.effects); !done) return std::unexpected(done.error());
    known[variable.name] = now;
  }
  return {};
}

std::uint64_t fingerprint_of(const Secret& content, std::span<const tmpl::FileEffect> effects) {
  if (effects.empty()) return fingerprint(content.reveal());
  Secret all = content.clone();
  for (const tmpl::FileEffect& effect : effects) {
    all.append("\n" + std::to_string(fingerprint(effect.path)) + " " +
               std::to_string(fingerprint(effect.content->reveal())));
  }
  return fingerprint(all.reveal());
}

}  // namespace keybearer::render
