#include "tmpl/sprig/semver.hpp"

#include <algorithm>
#include <array>

#include "tmpl/exec.hpp"
#include "tmpl/funcs/regex.hpp"
#include "tmpl/go/go_strings.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/object.hpp"
#include "tmpl/sprig/convert.hpp"

namespace keybearer::tmpl::sprig {
namespace {

// The library's own expressions, compiled when the first version is read.
#define KEYBEARER_SEMVER_TAIL                  \
  R"((-([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?)" \
  R"((\+([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?)"
#define KEYBEARER_SEMVER_LOOSE \
  R"((v?([0-9|x|X|\*]+)(\.[0-9|x|X|\*]+)?(\.[0-9|x|X|\*]+)?)" KEYBEARER_SEMVER_TAIL ")"
#define KEYBEARER_SEMVER_ONE R"((=||!=|>|<|>=|=>|<=|=<|~|~>|\^)\s*)" KEYBEARER_SEMVER_LOOSE
struct Patterns {
  Regex version{R"(^v?([0-9]+)(\.[0-9]+)?(\.[0-9]+)?)" KEYBEARER_SEMVER_TAIL "$"};
  Regex range{R"(\s*)" KEYBEARER_SEMVER_LOOSE R"(\s+-\s+)" KEYBEARER_SEMVER_LOOSE R"(\s*)"};
  Regex each{KEYBEARER_SEMVER_ONE};
  Regex one{R"(^\s*)" KEYBEARER_SEMVER_ONE R"(\s*$)"};
  Regex all{R"(^(\s*)" KEYBEARER_SEMVER_ONE R"(\s*)((?:\s+|,\s*))" KEYBEARER_SEMVER_ONE
            R"(\s*)*$)"};
};
#undef KEYBEARER_SEMVER_TAIL
#undef KEYBEARER_SEMVER_LOOSE
#undef KEYBEARER_SEMVER_ONE

const Patterns& patterns() {
  static const Patterns instance;
  return instance;
}

std::string_view without_dot(std::string_view part) {
  if (part.starts_with('.')) part.remove_prefix(1);
  return part;
}
bool is_x(std::string_view part) {
  return part == "x" || part == "X" || part == "*";
}
bool is_all_digits(std::string_view part) {
  return part.find_first_not_of("0123456789") == std::string_view::npos;
}

std::uint64_t segment(std::string_view digits) {
  if (digits.empty()) return 0;
  const auto number = parse_uint(digits, 10);
  if (number) return *number;
  throw CallError{"Error parsing version segment: strconv.ParseUint: parsing " + quote(digits) +
                  ": " + std::string(number.error())};
}
void check_prerelease(std::string_view prerelease) {
  for (const Value& part : split_text(prerelease, ".")) {
    const std::string_view text = part.as_text();
    if (is_all_digits(text) && text.size() > 1 && text[0] == '0')
      throw CallError{"Version segment starts with 0"};
    const auto known = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
    };
    if (!std::ranges::all_of(text, known)) throw CallError{"Invalid Prerelease string"};
  }
}
void check_metadata(std::string_view metadata) {
  const auto known = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.';
  };
  if (!std::ranges::all_of(metadata, known)) throw CallError{"Invalid Metadata string"};
}

// Numbers come before text, and by value.
int compare_part(std::string_view a, std::string_view b) {
  if (a == b) return 0;
  if (a.empty() || b.empty()) return a.empty() ? -1 : 1;
  const auto x = parse_uint(a, 10), y = parse_uint(b, 10);
  if (!x && !y) return a > b ? 1 : -1;
  if (!x || !y) return x ? -1 : 1;
  return *x > *y ? 1 : -1;
}
int compare_prerelease(std::string_view a, std::string_view b) {
  const List x = split_text(a, "."), y = split_text(b, ".");
  for (std::size_t i = 0; i < std::max(x.size(), y.size()); ++i) {
    const int order = compare_part(i < x.size() ? x[i].as_text() : std::string_view(),
                                   i < y.size() ? y[i].as_text() : std::string_view());
    if (order != 0) return order;
  }
  return 0;
}

// --- the object ---

class VersionObject final : public Struct {
 public:
  VersionObject(Version version, bool pointer) : version(std::move(version)), pointer_(pointer) {}
  const Version version;

  [[nodiscard]] std::string_view type_name() const override {
    return pointer_ ? "*semver.Version" : "semver.Version";
  }
  [[nodiscard]] std::optional<Value> field(std::string_view) const override { return std::nullopt; }
  [[nodiscard]] std::vector<Field> all_fields() const override {
    return {{"major", Value::uint64(version.major)}, {"minor", Value::uint64(version.minor)},
            {"patch", Value::uint64(version.patch)}, {"pre", Value(version.prerelease)},
            {"metadata", Value(version.metadata)},   {"original", Value(version.original)}};
  }
  [[nodiscard]] bool equals(const Object& other) const override {
    return pointer_ ? this == &other : deep_equals(other);
  }
  [[nodiscard]] bool deep_equals(const Object& other) const override {
    return type_name() == other.type_name() &&
           version == static_cast<const VersionObject&>(other).version;
  }
  [[nodiscard]] const Function* method(std::string_view name) const override;
  [[nodiscard]] std::optional<Value> in_json() const override { return Value(version.text()); }
  void print(std::string& out) const override { out += version.text(); }

 private:
  bool pointer_;  // what Inc... and Set... give is none
};

const Version& version_of(const Value& value) {
  if (value.is_nil()) throw CallError{kNilDereference};
  return static_cast<const VersionObject&>(*value.as_object()).version;
}
const Version& self(const Evaluation& e) {
  return version_of(e.called_on);
}
// A version that follows from another keeps its "v".
Value derived(const Evaluation& e, Version next) {
  next.original = (self(e).original.starts_with('v') ? "v" : "") + next.text();
  return Value::object(std::make_shared<VersionObject>(std::move(next), false));
}

Value major(Evaluation& e, Arguments) {
  return Value::uint64(self(e).major);
}
Value minor(Evaluation& e, Arguments) {
  return Value::uint64(self(e).minor);
}
Value patch(Evaluation& e, Arguments) {
  return Value::uint64(self(e).patch);
}
Value prerelease(Evaluation& e, Arguments) {
  return self(e).prerelease;
}
Value metadata(Evaluation& e, Arguments) {
  return self(e).metadata;
}
Value original(Evaluation& e, Arguments) {
  return self(e).original;
}
Value text(Evaluation& e, Arguments) {
  return self(e).text();
}
Value inc_major(Evaluation& e, Arguments) {
  return derived(e, {self(e).major + 1, 0, 0, "", "", ""});
}
Value inc_minor(Evaluation& e, Arguments) {
  return derived(e, {self(e).major, self(e).minor + 1, 0, "", "", ""});
}
Value inc_patch(Evaluation& e, Arguments) {
  const std::uint64_t more = self(e).prerelease.empty() ? 1 : 0;
  return derived(e, {self(e).major, self(e).minor, self(e).patch + more, "", "", ""});
}
Value set_prerelease(Evaluation& e, Arguments a) {
  check_prerelease(a[0].as_text());
  Version next = self(e);
  next.prerelease = a[0].as_text();
  return derived(e, std::move(next));
}
Value set_metadata(Evaluation& e, Arguments a) {
  check_metadata(a[0].as_text());
  Version next = self(e);
  next.metadata = a[0].as_text();
  return derived(e, std::move(next));
}
Value compare(Evaluation& e, Arguments a) {
  return Value::integer(self(e).compare(version_of(a[0])));
}
Value equal(Evaluation& e, Arguments a) {
  return self(e).compare(version_of(a[0])) == 0;
}
Value less_than(Evaluation& e, Arguments a) {
  return self(e).compare(version_of(a[0])) < 0;
}
Value less_than_equal(Evaluation& e, Arguments a) {
  return self(e).compare(version_of(a[0])) <= 0;
}
Value greater_than(Evaluation& e, Arguments a) {
  return self(e).compare(version_of(a[0])) > 0;
}
Value greater_than_equal(Evaluation& e, Arguments a) {
  return self(e).compare(version_of(a[0])) >= 0;
}

constexpr Function kMethods[] = {
    {"IncMajor", inc_major, ""},
    {"IncMinor", inc_minor, ""},
    {"IncPatch", inc_patch, ""},
    {"Major", major, ""},
    {"Metadata", metadata, ""},
    {"Minor", minor, ""},
    {"Patch", patch, ""},
    {"Prerelease", prerelease, ""},
    {"SetMetadata", set_metadata, "s"},
    {"SetPrerelease", set_prerelease, "s"},
    {"String", text, ""},
    {"Value", text, ""},
};
constexpr Function kPointerMethods[] = {
    {"Compare", compare, "V"},          {"Equal", equal, "V"},
    {"GreaterThan", greater_than, "V"}, {"GreaterThanEqual", greater_than_equal, "V"},
    {"LessThan", less_than, "V"},       {"LessThanEqual", less_than_equal, "V"},
    {"Original", original, ""},
};

const Function* VersionObject::method(std::string_view name) const {
  if (const auto* at = std::ranges::find(kMethods, name, &Function::name); at != std::end(kMethods))
    return at;
  const auto* at = std::ranges::find(kPointerMethods, name, &Function::name);
  return pointer_ && at != std::end(kPointerMethods) ? at : nullptr;
}

// "1.2 - 1.4" is ">= 1.2, <= 1.4".
std::string without_ranges(std::string_view constraint) {
  std::string out(constraint);
  for (const Regex::Match& match : patterns().range.find_all(constraint)) {
    const auto at = out.find(match[0]);
    if (at == std::string::npos) continue;
    out.replace(at, match[0].size(),
                ">= " + std::string(match[1]) + ", <= " + std::string(match[11]) + " ");
  }
  return out;
}

}  // namespace

Version Version::parse(std::string_view text) {
  const auto match = patterns().version.find(text);
  if (!match) throw CallError{"Invalid Semantic Version"};
  Version version;
  version.original = text;
  version.prerelease = (*match)[5];
  version.metadata = (*match)[8];
  version.major = segment((*match)[1]);
  version.minor = segment(without_dot((*match)[2]));
  version.patch = segment(without_dot((*match)[3]));
  check_prerelease(version.prerelease);
  return version;
}

std::string Version::text() const {
  std::string out =
      std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
  if (!prerelease.empty()) out += "-" + prerelease;
  if (!metadata.empty()) out += "+" + metadata;
  return out;
}

int Version::compare(const Version& other) const {
  const std::array mine{major, minor, patch}, theirs{other.major, other.minor, other.patch};
  if (mine != theirs) return mine < theirs ? -1 : 1;
  if (prerelease.empty() || other.prerelease.empty())
    return static_cast<int>(prerelease.empty()) - static_cast<int>(other.prerelease.empty());
  return compare_prerelease(prerelease, other.prerelease);
}

Value version_object(Version version) {
  return Value::object(std::make_shared<VersionObject>(std::move(version), true));
}

Constraints::Constraints(std::string_view text) {
  const std::string all = without_ranges(text);
  for (const Value& part : split_text(all, "||")) {
    if (!patterns().all.matches(part.as_text()))
      throw CallError{"improper constraint: " + std::string(part.as_text())};
    auto& all_of = any_of_.emplace_back();
    for (const Regex::Match& match : patterns().each.find_all(part.as_text()))
      all_of.emplace_back(match[0]);
  }
}

Constraints::One::One(std::string_view text) {
  const auto match = patterns().one.find(text);
  if (!match) throw CallError{"improper constraint: " + std::string(text)};
  const auto group = [&match](std::size_t i) { return std::string((*match)[i]); };
  operation = group(1);
  std::string wanted = group(2);
  const std::string first = group(3), second = group(4), third = group(5), tail = group(6);
  if (first.empty() || is_x(first)) {
    wanted = "0.0.0" + tail;
    dirty = true;
  } else if (second.empty() || is_x(without_dot(second))) {
    wanted = first + ".0.0" + tail;
    dirty = minor_dirty = true;
  } else if (third.empty() || is_x(without_dot(third))) {
    wanted = first + second + ".0" + tail;
    dirty = patch_dirty = true;
  }
  try {
    version = Version::parse(wanted);
  } catch (const CallError&) {
    throw CallError{"constraint Parser Error"};
  }
}

bool Constraints::allow(const Version& version) const {
  return std::ranges::any_of(any_of_, [&version](const std::vector<One>& all_of) {
    return std::ranges::all_of(all_of, [&version](const One& one) { return one.allows(version); });
  });
}

bool Constraints::One::allows(const Version& v) const {
  // A pre-release is only for those who ask for one.
  const bool unwanted = !v.prerelease.empty() && version.prerelease.empty();
  if (operation == "!=") return !(dirty && unwanted) && not_equal(v);
  if (unwanted) return false;
  if (operation == ">") return greater(v);
  if (operation == "<") return v.compare(version) < 0;
  if (operation == ">=" || operation == "=>") return v.compare(version) >= 0;
  if (operation == "<=" || operation == "=<") return at_most(v);
  if (operation == "~" || operation == "~>") return tilde(v);
  if (operation == "^") return caret(v);
  return dirty ? tilde(v) : v.compare(version) == 0;
}

bool Constraints::One::not_equal(const Version& v) const {
  if (dirty) {
    if (version.major != v.major) return true;
    if (version.minor != v.minor && !minor_dirty) return true;
    if (minor_dirty) return false;
    if (version.patch != v.patch && !patch_dirty) return true;
    if (patch_dirty)
      return (!v.prerelease.empty() || !version.prerelease.empty()) &&
             compare_prerelease(v.prerelease, version.prerelease) != 0;
  }
  return v.compare(version) != 0;
}

// >11 begins at 12, >11.1 at 11.2.
bool Constraints::One::greater(const Version& v) const {
  if (!dirty || v.major != version.major)
    return dirty ? v.major > version.major : v.compare(version) > 0;
  if (minor_dirty) return false;
  return patch_dirty ? v.minor > version.minor : v.compare(version) > 0;
}

// <=11 ends before 12, <=11.1 before 11.2.
bool Constraints::One::at_most(const Version& v) const {
  if (!dirty) return v.compare(version) <= 0;
  if (v.major > version.major) return false;
  return v.major != version.major || v.minor <= version.minor || minor_dirty;
}

bool Constraints::One::tilde(const Version& v) const {
  if (v.compare(version) < 0) return false;
  const bool zero = version.major == 0 && version.minor == 0 && version.patch == 0;
  if (zero && !minor_dirty && !patch_dirty) return true;
  return v.major == version.major && (v.minor == version.minor || minor_dirty);
}

// Nothing left of the first part that is not 0 may change.
bool Constraints::One::caret(const Version& v) const {
  if (v.compare(version) < 0) return false;
  if (version.major > 0 || minor_dirty) return v.major == version.major;
  if (v.major > 0) return false;
  if (version.minor > 0 || patch_dirty) return v.minor == version.minor;
  return v.minor == 0 && v.patch == version.patch;
}

}  // namespace keybearer::tmpl::sprig
