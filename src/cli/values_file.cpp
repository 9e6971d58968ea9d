#include "cli/values_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <set>

#include "base/fd.hpp"
#include "base/file.hpp"
#include "config/scalars.hpp"
#include "json/json.hpp"
#include "secrets/classify.hpp"
#include "tmpl/sandbox.hpp"

namespace keybearer::cli {
namespace {

using Kind = tmpl::Dependency::Kind;

constexpr std::size_t kLargest = 64u << 20;
constexpr std::size_t kNamed = 10;  // paths that an error lists

// "kv/app" of "kv/data/app" and "kv/metadata/app".
std::string plain_path(std::string_view path) {
  std::string out(path);
  while (out.starts_with('/')) out.erase(0, 1);
  while (out.ends_with('/')) out.pop_back();
  for (const std::string_view part : {"/data", "/metadata"}) {
    const auto at = out.find(std::string(part) + "/");
    if (at != std::string::npos) return out.erase(at, part.size());
    if (out.ends_with(part) && out.find('/') == out.size() - part.size())
      return out.erase(out.size() - part.size());
  }
  return out;
}

// A server's whole answer: nothing but its members, and one that only it has.
bool is_envelope(const Value& value) {
  constexpr std::string_view kMembers[] = {"request_id", "lease_id", "lease_duration",
                                           "renewable",  "data",     "wrap_info",
                                           "warnings",   "auth",     "mount_type"};
  const Value& data = value_at(value, "data");
  if (!value.is_map() || (!data.is_map() && !data.is_nil())) return false;
  bool telling = false;
  for (const auto& [key, member] : value.entries()) {
    if (std::ranges::find(kMembers, key.as_text()) == std::end(kMembers)) return false;
    telling = telling || key.as_text() != "data";
  }
  return telling;
}

// What a read of KV v2 has beside the keys.
Value metadata() {
  Value out = Value::map();
  out.set("created_time", Value("2026-01-01T00:00:00Z"));
  out.set("custom_metadata", Value());
  out.set("deletion_time", Value(""));
  out.set("destroyed", Value(false));
  out.set("version", Value::number("1"));
  return out;
}

Value envelope_of(const Value& value) {
  if (is_envelope(value)) return value.deep_copy();
  Value data = value.deep_copy();
  if (data.size() == 1 && value_at(data, "data").is_map()) data.set("metadata", metadata());
  Value out = Value::map();
  out.set("data", std::move(data));
  return out;
}

result<std::string> read_open(int fd, const std::string& name) {
  auto text = read_all(fd, kLargest);
  if (!text) return text.error().as(ErrorKind::config, name);
  return std::move(*text);
}

result<std::string> read_path(const std::string& path, const std::string& sandbox = {}) {
  if (!sandbox.empty()) {
    const auto beneath = tmpl::open_beneath(sandbox, path);
    if (!beneath) return std::unexpected(beneath.error());
    return read_open(beneath->get(), path);
  }
  auto text = read_file(path, {.limit = kLargest, .regular = false});
  if (!text) return text.error().as(ErrorKind::config, path);
  return std::move(*text);
}

// json::parse says "(at byte N)"; people and editors count lines and columns.
std::string with_place(const std::string& file, std::string_view text, const std::string& error) {
  constexpr std::string_view kAt = " (at byte ";
  const auto at = error.rfind(kAt);
  std::size_t offset = 0;
  if (at == std::string::npos ||
      std::from_chars(error.data() + at + kAt.size(), error.data() + error.size(), offset).ec !=
          std::errc{})
    return file + ": " + error;
  const std::string_view before = text.substr(0, offset);
  const auto newline = before.rfind('\n');
  const auto column =
      newline == std::string_view::npos ? before.size() : before.size() - newline - 1;
  return file + ":" + std::to_string(1 + std::ranges::count(before, '\n')) + ":" +
         std::to_string(column + 1) + ": " + error.substr(0, at);
}

}  // namespace

result<ValuesFile> ValuesFile::read(const std::string& file, const config::Config& config) {
  auto text = file == "-" ? read_open(STDIN_FILENO, "standard input") : read_path(file);
  if (!text) return std::unexpected(std::move(text).error().within("--values"));
  return parse(*text, file == "-" ? "standard input" : file, config);
}

result<ValuesFile> ValuesFile::parse(std::string_view text, const std::string& file,
                                     const config::Config& config) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  auto paths = json::parse(text);
  if (!paths) return fail(ErrorKind::config, with_place(file, text, paths.error().text));
  if (!paths->is_map())
    return fail(ErrorKind::config,
                file + R"(: expected an object of paths, such as {"kv/data/app": {"data": {}}})");
  for (const auto& [path, value] : paths->entries()) {
    const bool usable =
        value.is_map() || value.is_list() || value.is_nil() || value.type() == Type::string;
    if (!usable)
      return fail(ErrorKind::config, file + ": " + std::string(path.as_text()) +
                                         ": expected an object (what .Data is), a list of names, "
                                         "text (a file) or null (not there)");
  }
  return ValuesFile(file, std::move(*paths), config);
}

const Value* ValuesFile::find(const tmpl::Dependency& dependency) {
  const auto known = answers_.find(dependency.id);
  if (known != answers_.end()) return &known->second;
  auto found = answer(dependency);
  if (!found) return nullptr;
  return &answers_.emplace(dependency.id, std::move(*found)).first->second;
}

// The file's entry for a path, however its data/ is written.
const Value* ValuesFile::entry(std::string_view path) const {
  if (const Value* exact = paths_.find(path)) return exact;
  const std::string plain = plain_path(path);
  for (const auto& [key, value] : paths_.entries()) {
    if (plain_path(key.as_text()) == plain && !value.is_list()) return &value;
  }
  return nullptr;
}

std::optional<Value> ValuesFile::answer(const tmpl::Dependency& dependency) const {
  if (dependency.kind == Kind::list) return list(dependency);
  const Value* found = paths_.find(dependency.path + "?version=" + dependency.version);
  if (dependency.kind == Kind::file) {
    found = paths_.find(dependency.path);
    if (found != nullptr && found->type() == Type::string) return *found;
    auto text = read_path(dependency.path, dependency.sandbox);
    return text ? std::optional(Value(*text)) : std::nullopt;
  }
  if (dependency.version.empty() || found == nullptr) found = entry(dependency.path);
  if (found == nullptr) {
    for (const config::SecretRule& rule : config_->secrets) {
      if ((rule.optional || !rule.enabled) &&
          config::plain_path(rule.path) == config::plain_path(dependency.path))
        return secrets::default_value(rule.defaults, std::nullopt);
    }
    return std::nullopt;
  }
  if (found->is_nil()) return Value();
  if (!found->is_map()) return std::nullopt;
  vault::Reply reply;
  reply.body = envelope_of(*found);
  // Keys alone, given as kv/app, and asked for as kv/data/app.
  const bool asks_data = dependency.path.find("/data/") != std::string::npos;
  if (asks_data && paths_.find(dependency.path) == nullptr && !is_envelope(*found) &&
      !value_at(*found, "data").is_map()) {
    Value keys = Value::map();
    keys.set("data", *found);
    reply.body = envelope_of(keys);
  }
  if (dependency.kind == Kind::pki && reply.data().find("Cert") != nullptr)
    return value_at(reply.body, "data");
  return secrets::value_of(dependency, reply);
}

// A list that is there, or the names of all paths below.
std::optional<Value> ValuesFile::list(const tmpl::Dependency& dependency) const {
  const std::string below = plain_path(dependency.path) + "/";
  std::set<std::string> names;
  for (const auto& [key, value] : paths_.entries()) {
    const std::string plain = plain_path(key.as_text());
    if (plain + "/" == below && value.is_nil()) return Value::strings({});  // an empty directory
    const Value& answered = value_at(value_at(value, "data"), "keys");  // a server's whole answer
    const Value& keys = value.is_list()      ? value
                        : answered.is_list() ? answered
                                             : value_at(value, "keys");
    if (plain + "/" == below && keys.is_list()) return Value::strings(keys.items());
    if (!plain.starts_with(below)) continue;
    const auto slash = plain.find('/', below.size());
    names.insert(plain.substr(
        below.size(), slash == std::string::npos ? std::string::npos : slash + 1 - below.size()));
  }
  if (names.empty()) return std::nullopt;
  List items;
  for (const std::string& name : names) items.emplace_back(name);
  return Value::strings(std::move(items));
}

std::string ValuesFile::why_missing(const tmpl::Dependency& dependency) const {
  if (dependency.kind == Kind::file)
    return "file " + dependency.path + ": neither in " + file_ + " nor on the disk";
  std::vector<std::string_view> known;
  for (const auto& [key, value] : paths_.entries()) {
    const bool fits = dependency.kind == Kind::list || !value.is_list();
    if (fits) known.push_back(key.as_text());
  }
  std::string text =
      (dependency.kind == Kind::list ? "the list " : "") + dependency.path + " is not in " + file_;
  const std::string_view meant = config::closest_match(dependency.path, known);
  if (!meant.empty()) text += "; did you mean \"" + std::string(meant) + "\"?";
  if (known.empty()) return text + ", which has no secret at all";
  text += meant.empty() ? "; it has " : " It has ";
  for (std::size_t i = 0; i < known.size() && i < kNamed; ++i)
    text += (i > 0 ? ", " : "") + std::string(known[i]);
  return known.size() > kNamed ? text + " and " + std::to_string(known.size() - kNamed) + " more"
                               : text;
}

}  // namespace keybearer::cli
