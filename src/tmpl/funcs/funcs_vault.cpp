// Functions that ask for something: secrets, files, the environment, the time.

#include <algorithm>

#include "crypto/digest.hpp"
#include "tmpl/exec.hpp"
#include "tmpl/funcs/time_object.hpp"
#include "tmpl/go/go_strings.hpp"
#include "tmpl/go/go_url.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/object.hpp"
#include "tmpl/sandbox.hpp"

namespace keybearer::tmpl {
namespace {

// A pointer that is nil: `.Auth` of an answer without one.
class NilPointer final : public Struct {
 public:
  NilPointer(std::string_view type, std::span<const std::string_view> fields)
      : type_(type), fields_(fields) {}
  [[nodiscard]] std::string_view type_name() const override { return type_; }
  [[nodiscard]] std::optional<Value> field(std::string_view name) const override {
    if (std::ranges::find(fields_, name) == fields_.end()) return std::nullopt;
    return Value();
  }
  [[nodiscard]] bool is_nil() const override { return true; }

 private:
  std::string_view type_;
  std::span<const std::string_view> fields_;
};

// A part of the answer with Go's field names for its members.
struct FieldName {
  std::string_view go, json;
  enum class As { text, number, boolean, map, strings, string_map, time } as;
};

Value go_value(const Value& member, FieldName::As as) {
  switch (as) {
    case FieldName::As::text:
      return member.is_text() ? Value(member.as_text()) : Value("");
    case FieldName::As::number: {
      const auto number = member.is_text() ? parse_int(member.as_text(), 10)
                                           : std::expected<std::int64_t, std::string_view>(0);
      return Value::integer(number.value_or(0));
    }
    case FieldName::As::boolean:
      return member.type() == Type::boolean && member.as_bool();
    case FieldName::As::map:
      return member.is_map() ? member : Value::nil_of(Type::map);
    case FieldName::As::strings:
      return member.is_list() ? Value::strings(member.items()) : Value::nil_of(Type::strings);
    case FieldName::As::time:
      return time_object_from(member.is_text() ? member.as_text() : std::string_view());
    case FieldName::As::string_map: {
      if (!member.is_map()) return Value::nil_of(Type::string_map);
      Value map = Value::map(Type::string_map);
      for (const auto& [key, value] : member.entries())
        map.append_sorted(key, value.is_text() ? Value(value.as_text()) : Value(""));
      return map;
    }
  }
  return {};
}

class Part : public Struct {
 public:
  Part(std::string_view type, Value json, std::span<const FieldName> fields)
      : type_(type), json_(std::move(json)), fields_(fields) {}
  [[nodiscard]] std::string_view type_name() const override { return type_; }
  [[nodiscard]] bool equals(const Object& other) const override {  // the same part of one answer
    const auto* part = dynamic_cast<const Part*>(&other);
    return part != nullptr &&
           (part->json_.is_same(json_) || (part->json_.is_nil_of() && json_.is_nil_of()));
  }
  [[nodiscard]] std::optional<Value> field(std::string_view name) const override {
    const auto at = std::ranges::find(fields_, name, &FieldName::go);
    if (at == fields_.end()) return std::nullopt;
    return go_value(value_at(json_, at->json), at->as);
  }
  [[nodiscard]] std::vector<Field> fields() const override {
    std::vector<Field> out;
    for (const FieldName& name : fields_)
      out.push_back({name.go, go_value(value_at(json_, name.json), name.as)});
    return out;
  }

 protected:
  [[nodiscard]] const Value& json() const { return json_; }

 private:
  std::string_view type_;
  Value json_;
  std::span<const FieldName> fields_;
};

using As = FieldName::As;
constexpr FieldName kSecretFields[] = {{"RequestID", "request_id", As::text},
                                       {"LeaseID", "lease_id", As::text},
                                       {"LeaseDuration", "lease_duration", As::number},
                                       {"Renewable", "renewable", As::boolean},
                                       {"Data", "data", As::map},
                                       {"Warnings", "warnings", As::strings}};
constexpr FieldName kAuthFields[] = {
    {"ClientToken", "client_token", As::text},       {"Accessor", "accessor", As::text},
    {"Policies", "policies", As::strings},           {"Metadata", "metadata", As::string_map},
    {"LeaseDuration", "lease_duration", As::number}, {"Renewable", "renewable", As::boolean}};
constexpr FieldName kWrapFields[] = {{"Token", "token", As::text},
                                     {"TTL", "ttl", As::number},
                                     {"CreationTime", "creation_time", As::time},
                                     {"WrappedAccessor", "wrapped_accessor", As::text}};
constexpr std::string_view kSecretNames[] = {"RequestID", "LeaseID",  "LeaseDuration", "Renewable",
                                             "Data",      "Warnings", "Auth",          "WrapInfo"};
constexpr std::string_view kAuthNames[] = {"ClientToken", "Accessor",      "Policies",
                                           "Metadata",    "LeaseDuration", "Renewable"};
constexpr std::string_view kWrapNames[] = {"Token", "TTL", "CreationTime", "WrappedAccessor"};

class SecretStruct final : public Part {
 public:
  explicit SecretStruct(Value envelope)
      : Part("*dependency.Secret", std::move(envelope), kSecretFields) {}
  [[nodiscard]] std::optional<Value> field(std::string_view name) const override {
    if (name == "Auth") return pointer("*dependency.SecretAuth", "auth", kAuthFields, kAuthNames);
    if (name == "WrapInfo")
      return pointer("*dependency.SecretWrapInfo", "wrap_info", kWrapFields, kWrapNames);
    return Part::field(name);
  }
  [[nodiscard]] std::vector<Field> fields() const override {
    std::vector<Field> out = Part::fields();
    out.push_back({"Auth", *field("Auth")});
    out.push_back({"WrapInfo", *field("WrapInfo")});
    return out;
  }

 private:
  [[nodiscard]] Value pointer(std::string_view type, std::string_view member,
                              std::span<const FieldName> fields,
                              std::span<const std::string_view> names) const {
    const Value& part = value_at(json(), member);
    if (!part.is_map()) return nil_pointer(type, names);
    return Value::object(std::make_shared<Part>(type, part, fields));
  }
};

class PkiStruct final : public Struct {
 public:
  explicit PkiStruct(Value bundle) : bundle_(std::move(bundle)) {}
  [[nodiscard]] std::string_view type_name() const override { return "dependency.PemEncoded"; }
  [[nodiscard]] bool comparable() const override { return false; }
  [[nodiscard]] std::optional<Value> field(std::string_view name) const override {
    if (name == "Data") return pki_object(bundle_);
    const Value* member = bundle_.find(name);
    if (member == nullptr) return std::nullopt;
    return member->is_list() && member->size() == 0 ? Value::nil_of(Type::strings) : *member;
  }
  [[nodiscard]] std::vector<Field> fields() const override {
    std::vector<Field> out;
    for (const std::string_view name : {"Cert", "Key", "CA", "CAChain"})
      out.push_back({name, field(name).value_or(Value())});
    return out;
  }

 private:
  Value bundle_;
};

// k=v, split at the first '=', both halves trimmed; "" is passed over.
std::vector<std::pair<std::string, std::string>> pairs(const Evaluation& e, Arguments arguments) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const Value& argument : arguments) {
    const std::string_view text = argument.as_text();
    if (text.empty()) continue;
    const auto equals = text.find('=');
    if (equals == std::string_view::npos)
      throw CallError{"not k=v pair " + e.shown(argument, quote(text))};
    std::string key(trimmed_space(text.substr(0, equals)));
    std::string value(trimmed_space(text.substr(equals + 1)));
    const auto known = std::ranges::find(out, key, &std::pair<std::string, std::string>::first);
    if (known != out.end())
      known->second = std::move(value);
    else
      out.emplace_back(std::move(key), std::move(value));
  }
  return out;
}

// Never answered by a server: better said at once than waited for.
void refuse_dots(const Evaluation& e, const std::string& path) {
  if (e.options().as_reference) return;
  if (const auto good = check_path(path); !good) throw CallError{good.error().text};
}

Value secret(Evaluation& e, Arguments a) {
  if (a.empty()) return {};
  Dependency dependency;
  if (a.size() == 1) {
    auto read = read_dependency(a[0].as_text());
    if (!read) {
      std::string raw(trimmed(trimmed_space(a[0].as_text()), "/"));
      // url.Parse names what comes before the fragment, when that is what is wrong.
      const std::string before = raw.substr(0, raw.find('#'));
      if (!parse_url(before)) raw = before;
      throw CallError{raw.empty()
                          ? read.error().text
                          : "parse " + e.shown(a[0], quote(raw)) + ": " + read.error().text};
    }
    dependency = std::move(*read);
  } else {
    const std::string path(trimmed(trimmed_space(a[0].as_text()), "/"));
    auto data = pairs(e, a.subspan(1));
    if (path.empty()) throw CallError{"vault.write: invalid format: \"\""};
    dependency = write_dependency(path, std::move(data));
  }
  refuse_dots(e, dependency.path);
  bool there = false;
  const Value answer = e.ask(std::move(dependency), there);
  if (!there) return {};
  return answer.is_nil() ? nil_pointer("*dependency.Secret", kSecretNames) : secret_object(answer);
}

Value secrets(Evaluation& e, Arguments a) {
  const std::string path(trimmed(trimmed_space(a[0].as_text()), "/"));
  if (a[0].size() == 0) return Value::nil_of(Type::strings);
  if (path.empty()) throw CallError{"vault.list: invalid format: \"\""};
  refuse_dots(e, path);
  bool there = false;
  Value answer = e.ask(
      {.kind = Dependency::Kind::list, .path = path, .id = "vault.list(" + path + ")"}, there);
  if (!there || !answer.is_list() || answer.size() == 0) return Value::nil_of(Type::strings);
  List names = answer.items();
  std::ranges::sort(names, {}, &Value::as_text);
  return Value::strings(std::move(names));
}

std::string sorted_pairs(const std::vector<std::pair<std::string, std::string>>& args) {
  std::vector<std::string> lines;
  for (const auto& [key, value] : args) lines.push_back(key + "=" + quote(value));
  std::ranges::sort(lines);
  std::string all;
  for (const std::string& line : lines) all += line;
  return all;
}

// Known by path and all arguments, wherever it is asked for: what two templates ask for with the
// same ones is one certificate (S6; consul-template's id has the destination in their place).
Value pki_cert(Evaluation& e, Arguments a) {
  if (a.empty()) return {};
  auto args = pairs(e, a.subspan(1));
  const std::string_view raw = trimmed(trimmed_space(a[0].as_text()), "/");
  if (raw.empty()) throw CallError{"vault.read: invalid format: \"\""};
  const auto url = parse_url(raw);
  if (!url) throw CallError{"parse " + e.shown(a[0], quote(raw)) + ": " + url.error()};
  const std::string& path = url->path;
  refuse_dots(e, path);
  const std::string known_by = sha256_hex(sorted_pairs(args)).substr(0, 16);
  bool there = false;
  const Value answer = e.ask({.kind = Dependency::Kind::pki,
                              .path = path,
                              .args = std::move(args),
                              .destination = e.options().destination,
                              .id = "vault.pki(" + path + " -> " + known_by + ")"},
                             there);
  return there ? pki_object(answer) : Value();
}

Value file(Evaluation& e, Arguments a) {
  const std::string path(trimmed_space(a[0].as_text()));
  if (a[0].size() == 0) return "";
  if (path.empty()) throw CallError{"file: invalid format: \"\""};
  const std::string& sandbox = e.options().sandbox_path;
  std::string id = "file(" + path + ")";
  if (!sandbox.empty() && !e.options().as_reference) id = "file(" + path + " in " + sandbox + ")";
  const result<std::string> beneath =
      sandbox.empty() ? result<std::string>() : resolve_beneath(sandbox, path);
  if (!beneath && beneath.error().kind != ErrorKind::not_found)
    throw CallError{beneath.error().text};
  bool there = false;
  const Value answer =
      e.ask({.kind = Dependency::Kind::file, .path = path, .sandbox = sandbox, .id = std::move(id)},
            there);
  // What is not there is waited for, like a file without a sandbox.
  if (!beneath) throw CallError{beneath.error().text};
  return there ? answer : Value("");
}

Value env(Evaluation& e, Arguments a) {
  return Value(e.options().env(std::string(a[0].as_text())).value_or(""));
}
Value env_or_default(Evaluation& e, Arguments a) {
  const auto value = e.options().env(std::string(a[0].as_text()));
  return value ? Value(*value) : a[1];
}
Value must_env(Evaluation& e, Arguments a) {
  const auto value = e.options().env(std::string(a[0].as_text()));
  if (!value || value->empty())
    throw CallError{"required environment variable " + std::string(a[0].as_text()) + " is empty"};
  return Value(*value);
}

Value execute_template(Evaluation& e, Arguments a) {
  if (a.size() > 2)
    throw CallError{"executeTemplate: wrong number of arguments, expected 1 or 2, but got " +
                    std::to_string(a.size())};
  return e.execute_template(std::string(a[0].as_text()), a.size() == 2 ? a[1] : Value());
}

constexpr Function kFunctions[] = {
    {"env", env, "s"},
    {"envOrDefault", env_or_default, "ss"},
    {"executeTemplate", execute_template, "sa", true},
    {"file", file, "s"},
    {"mustEnv", must_env, "s"},
    {"pkiCert", pki_cert, "s", true},
    {"secret", secret, "s", true},
    {"secrets", secrets, "s"},
};

}  // namespace

Value nil_pointer(std::string_view type, std::span<const std::string_view> fields) {
  return Value::object(std::make_shared<NilPointer>(type, fields));
}
Value secret_object(const Value& envelope) {
  return Value::object(std::make_shared<SecretStruct>(envelope));
}
Value pki_object(const Value& bundle) {
  return Value::object(std::make_shared<PkiStruct>(bundle));
}

std::span<const Function> vault_functions() {
  return kFunctions;
}

// consul-template: dependency/vault_read.go. The path is read as a URL: a query, of which only the
// version counts.
result<Dependency> read_dependency(std::string_view raw) {
  std::string_view path = trimmed(trimmed_space(raw), "/");
  if (path.empty()) return fail(ErrorKind::render, "vault.read: invalid format: \"\"");
  Dependency dependency;
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-_.";
  if (path.find_first_not_of(kPlain) == std::string_view::npos) {
    dependency.path = path;
    dependency.id = "vault.read(" + dependency.path + ")";
  } else {
    auto url = parse_url(path);
    if (!url) return fail(ErrorKind::render, url.error());
    dependency.path = std::move(url->path);
    const auto asked = query_value(url->query, "version");
    dependency.id = "vault.read(" + dependency.path + ")";
    if (asked) return of_version(std::move(dependency), *asked);
  }
  return dependency;
}

result<Dependency> literal_dependency(std::string_view raw) {
  const std::string path(trimmed(trimmed_space(raw), "/"));
  if (path.empty()) return fail(ErrorKind::render, "the path is empty");
  if (auto good = check_path(path); !good) return std::unexpected(good.error());
  return Dependency{.path = path, .id = "vault.read(" + path + ")"};
}

result<> check_path(std::string_view path) {
  while (!path.empty()) {
    const auto slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part == "." || part == "..")
      return fail(ErrorKind::render, "a path can't have a part " + quote(part) +
                                         ": write the whole path, beginning with its mount");
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  return {};
}

Dependency of_version(Dependency read, const std::string& version) {
  read.version = version;
  read.id = "vault.read(" + read.path + ".v" + version + ")";
  return read;
}

// consul-template: dependency/vault_write.go; the id has the first 4 bytes of a SHA-1 over the
// sorted k="v" pairs.
Dependency write_dependency(std::string_view path,
                            std::vector<std::pair<std::string, std::string>> args) {
  const std::string known_by = sha1_hex(sorted_pairs(args)).substr(0, 8);
  Dependency dependency{
      .kind = Dependency::Kind::write, .path = std::string(path), .args = std::move(args)};
  dependency.id = "vault.write(" + dependency.path + " -> " + known_by + ")";
  return dependency;
}

}  // namespace keybearer::tmpl
