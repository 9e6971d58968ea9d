#include "process/env_block.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <functional>
#include <mutex>
#include <set>

namespace keybearer {
namespace {

constexpr std::size_t kMaxString = 128 * 1024 - 1;  // with its NUL: MAX_ARG_STRLEN, execve(2)

// A quarter of the stack's limit, at least 128 KiB, at most 6 MiB (execve(2); the kernel's
// bprm_stack_limits), less a page for the program's name.
std::size_t max_total(std::optional<std::uint64_t> stack) {
  rlimit ours{};
  getrlimit(RLIMIT_STACK, &ours);
  return std::clamp<std::size_t>(stack.value_or(ours.rlim_cur) / 4, 128 * 1024, 6 << 20) - 4096;
}

}  // namespace

EnvBlock EnvBlock::from(const char* const* entries) {
  EnvBlock block;
  for (; entries != nullptr && *entries != nullptr; ++entries) {
    const std::string_view entry(*entries);
    const auto equals = entry.find('=');
    if (equals == std::string_view::npos || equals == 0) continue;
    block.set(std::string(entry.substr(0, equals)), entry.substr(equals + 1));
  }
  return block;
}

void EnvBlock::set(std::string name, std::string_view value) {
  set(std::move(name), std::make_shared<const Secret>(value));
}

void EnvBlock::set_cut(std::string name, std::string_view value, std::size_t most) {
  value = value.substr(0, value.find('\0'));
  if (value.size() > most) {
    while (most > 0 && (static_cast<unsigned char>(value[most]) & 0xC0) == 0x80) --most;
    value = value.substr(0, most);
  }
  set(std::move(name), value);
}

const Secret* EnvBlock::find(const std::string& name) const {
  const auto at = values_.find(name);
  return at == values_.end() ? nullptr : at->second.get();
}

bool operator==(const EnvBlock& a, const EnvBlock& b) {
  return std::ranges::equal(a.values_, b.values_, [](const auto& one, const auto& other) {
    return one.first == other.first && *one.second == *other.second;
  });
}

result<> EnvBlock::check(const std::vector<std::string>& argv,
                         std::optional<std::uint64_t> stack) const {
  const std::size_t most = max_total(stack);
  std::size_t total = 0;
  const auto count = [&total](std::size_t size) { total += size + 1 + sizeof(char*); };
  for (const std::string& argument : argv) count(argument.size());
  const std::string* largest = nullptr;
  std::size_t largest_size = 0;
  for (const auto& [name, value] : values_) {
    const std::size_t size = name.size() + 1 + value->size();
    count(size);
    if (value->reveal().find('\0') != std::string_view::npos) {
      return fail(ErrorKind::render,
                  "variable " + name + ": its value has a NUL byte, which no environment can hold");
    }
    if (size > kMaxString) {
      return fail(ErrorKind::render,
                  "variable " + name + ": " + std::to_string(value->size()) +
                      " bytes are more than the 128 KiB that the system allows; use a file");
    }
    if (size > largest_size) largest = &name, largest_size = size;
  }
  if (total <= most) return {};
  return fail(ErrorKind::render,
              "the environment: " + std::to_string(total) + " bytes are more than the " +
                  std::to_string(most) + " that the system allows (ulimit -s)" +
                  (largest != nullptr ? "; largest is " + *largest : "") + "; use files");
}

namespace {

struct Withheld {
  std::mutex mutex;
  std::set<std::string, std::less<>> names;
};

// One for the process, as the environment is.
Withheld& all_withheld() {
  static Withheld withheld;
  return withheld;
}

}  // namespace

void withhold_variables(std::span<const std::string> names) {
  Withheld& all = all_withheld();
  const std::lock_guard guard(all.mutex);
  all.names.insert(names.begin(), names.end());
}

EnvBlock without_credentials(const EnvBlock& block, std::span<const std::string> withheld) {
  Withheld& all = all_withheld();
  const std::lock_guard guard(all.mutex);
  EnvBlock out;
  for (const auto& [name, value] : block.values()) {
    const bool ours = name.starts_with("VAULT_") || name.starts_with("BAO_");
    const std::string_view rest =
        ours ? std::string_view(name).substr(name.find('_') + 1) : std::string_view{};
    // VAULT_WRAPPED_TOKEN and the like, too.
    const bool credential = rest.ends_with("TOKEN") || rest.ends_with("ROLE_ID") ||
                            rest.ends_with("SECRET_ID") || rest == "JWT" ||
                            rest.ends_with("PASSWORD");
    if (credential || all.names.contains(name) ||
        std::ranges::find(withheld, name) != withheld.end()) {
      continue;
    }
    out.set(name, value);
  }
  return out;
}

EnvStrings strings_of(const EnvBlock& block) {
  EnvStrings out;
  std::size_t size = 0;
  for (const auto& [name, value] : block.values()) size += name.size() + value->size() + 2;
  out.strings.reserve(size);
  std::vector<std::size_t> offsets;
  for (const auto& [name, value] : block.values()) {
    offsets.push_back(out.strings.size());
    out.strings.append(name);
    out.strings.push_back('=');
    out.strings.append(value->reveal());
    out.strings.push_back('\0');
  }
  char* begin =
      const_cast<char*>(out.strings.reveal().data());  // execve(2) wants char*; it changes nothing
  for (const std::size_t offset : offsets) out.pointers.push_back(begin + offset);
  out.pointers.push_back(nullptr);
  return out;
}

}  // namespace keybearer
