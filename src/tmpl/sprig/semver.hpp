#pragma once
// Semantic versions and constraints on them.
//
// Source: github.com/Masterminds/semver v3.3.0: NewVersion, NewConstraint, Check.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tmpl/funcs/funcs.hpp"

namespace keybearer::tmpl::sprig {

struct Version {
  std::uint64_t major = 0, minor = 0, patch = 0;
  std::string prerelease, metadata;
  std::string original;  // as it was read

  // Also "v1" and "1.2". Throws CallError.
  [[nodiscard]] static Version parse(std::string_view text);
  [[nodiscard]] std::string text() const;
  // Below, at or above 0; metadata does not count.
  [[nodiscard]] int compare(const Version& other) const;
  bool operator==(const Version&) const = default;  // in everything
};

// What `semver` gives: a *semver.Version with its methods.
[[nodiscard]] Value version_object(Version version);

// ">= 1.2, < 3 || ~4.1".
class Constraints {
 public:
  explicit Constraints(std::string_view text);  // throws CallError
  [[nodiscard]] bool allow(const Version& version) const;

 private:
  struct One {
    std::string operation;
    Version version;
    // Which parts were left out or an x; dirty: any of them.
    bool dirty = false, minor_dirty = false, patch_dirty = false;

    explicit One(std::string_view text);
    [[nodiscard]] bool allows(const Version& v) const;
    [[nodiscard]] bool not_equal(const Version& v) const;
    [[nodiscard]] bool greater(const Version& v) const;
    [[nodiscard]] bool at_most(const Version& v) const;
    [[nodiscard]] bool tilde(const Version& v) const;
    [[nodiscard]] bool caret(const Version& v) const;
  };
  std::vector<std::vector<One>> any_of_;
};

}  // namespace keybearer::tmpl::sprig
