#include "devvault/seed.hpp"

#include <sstream>

#include "config/toml.hpp"

namespace keybearer::devvault {
namespace {

Value value_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return Value(text->get());
  if (const auto* number_of = node.as_integer())
    return Value::number(std::to_string(number_of->get()));
  if (const auto* real = node.as_floating_point()) return Value(real->get());
  if (const auto* truth = node.as_boolean()) return Value(truth->get());
  if (const auto* array = node.as_array()) {
    List items;
    for (const auto& item : *array) items.push_back(value_of(item));
    return Value::list(std::move(items));
  }
  Value map = Value::map();
  if (const auto* table = node.as_table()) {
    for (const auto& [key, value] : *table) map.set(key.str(), value_of(value));
  }
  return map;
}

class Seeder {
 public:
  Seeder(Core& core, WallTime now) : core_(core), now_(now) {}

  result<> apply(const Value& seed) {
    for (const auto& [name, part] : seed.entries()) {
      if (!known(name.as_text()) || !part.is_map())
        return fail(ErrorKind::config, "unknown table " + std::string(name.as_text()));
    }
    for (const char* part : {"mounts", "auth", "policies", "kv", "approle", "database"}) {
      const Value& entries = value_at(seed, part);
      if (!entries.is_map()) continue;
      for (const auto& [name, value] : entries.entries()) {
        if (auto applied = apply_one(part, std::string(name.as_text()), value); !applied)
          return applied;
      }
    }
    return {};
  }

 private:
  static bool known(std::string_view part) {
    return part == "mounts" || part == "auth" || part == "policies" || part == "kv" ||
           part == "approle" || part == "database";
  }

  result<> apply_one(std::string_view part, const std::string& name, const Value& value) {
    if (part == "mounts") return write("sys/mounts/" + name, value);
    if (part == "auth") return write("sys/auth/" + name, value);
    if (part == "policies") return write("sys/policies/acl/" + name, object({{"policy", value}}));
    if (part == "kv") return write_secret(name, value);
    if (part == "approle") return write_role(name, value);
    if (auto mounted = mount_once("sys/mounts/database", "database"); !mounted) return mounted;
    for (const auto& [entry, settings] : value.entries()) {
      const std::string path = "database/" + name + "/" + std::string(entry.as_text());
      if (auto written = write(path, settings); !written) return written;
    }
    return {};
  }

  result<> write(const std::string& path, const Value& body) {
    const Answer answer = core_.as_root(Operation::update, path, body, now_);
    if (answer.status < 400) return {};
    return fail(
        ErrorKind::config,
        path + ": " + (answer.errors.empty() ? std::to_string(answer.status) : answer.errors[0]));
  }

  result<> mount_once(const std::string& at, const char* type) {
    const std::string ui =
        "sys/internal/ui/mounts/" + at.substr(at.starts_with("sys/auth/") ? 4 : 11);
    if (core_.as_root(Operation::read, ui, Value::map(), now_).status == 200) return {};
    return write(at, object({{"type", type}}));
  }

  result<> write_secret(const std::string& path, const Value& data) {
    const Answer mount =
        core_.as_root(Operation::read, "sys/internal/ui/mounts/" + path, Value::map(), now_);
    if (mount.status != 200)
      return fail(ErrorKind::config, "kv." + path + ": there is no such mount");
    if (text_at(value_at(mount.data, "options"), "version") != "2") return write(path, data);
    const std::size_t at = text_at(mount.data, "path").size();
    return write(path.substr(0, at) + "data/" + path.substr(at), object({{"data", data}}));
  }

  result<> write_role(const std::string& name, const Value& settings) {
    if (auto mounted = mount_once("sys/auth/approle", "approle"); !mounted) return mounted;
    if (auto written = write("auth/approle/role/" + name, settings); !written) return written;
    if (text_at(settings, "secret_id").empty()) return {};
    return write("auth/approle/role/" + name + "/custom-secret-id", settings);
  }

  Core& core_;
  WallTime now_;
};

}  // namespace

result<> apply_seed(Core& core, const std::string& path, WallTime now) {
  const auto parsed = toml::parse_file(path);
  if (!parsed) {
    std::ostringstream place;
    place << parsed.error().source().begin;
    return fail(ErrorKind::config,
                path + ": " + std::string(parsed.error().description()) + " (" + place.str() + ")");
  }
  auto applied = Seeder(core, now).apply(value_of(parsed.table()));
  if (!applied) return std::unexpected(std::move(applied.error()).within(path));
  return {};
}

}  // namespace keybearer::devvault
