#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <set>

#include "base/exit_code.hpp"
#include "base/fd.hpp"
#include "cli/commands.hpp"
#include "cli/fetch.hpp"
#include "cli/session.hpp"
#include "cli/startup.hpp"
#include "cli/terminal.hpp"
#include "config/method.hpp"
#include "config/scalars.hpp"
#include "render/value.hpp"

namespace keybearer::cli {
namespace {

using boost::asio::awaitable;

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : config::escaped(text)) {
    if (c == '"') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string variable_of(std::string_view text) {
  std::string name;
  for (const char c : text) {
    const bool lower = c >= 'a' && c <= 'z';
    const bool plain = lower || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    name += lower ? static_cast<char>(c - 32) : plain ? c : '_';
  }
  return name.empty() || (name[0] >= '0' && name[0] <= '9') ? "_" + name : name;
}

// Names that are taken, or not a program's to be given, get the path's last part before them.
std::string free_name(const std::string& path, std::string_view key, std::set<std::string>& taken) {
  std::string name = variable_of(key);
  const bool steers = config::steering_variable_name(name);
  if (steers || taken.contains(name))
    name = variable_of(path.substr(path.rfind('/') + 1)) + "_" + name;
  const std::string base = name;
  for (int i = 2; taken.contains(name); ++i) name = base + "_" + std::to_string(i);
  taken.insert(name);
  return name;
}

std::string head(const config::Config& config) {
  std::string text =
      "# Made by keybearer init. Every key: agent.toml.example, agent.toml(5); `keybearer check` "
      "finds "
      "mistakes.\n\n[vault]\naddress = " +
      quoted(config.vault.address.front()) + "\n";
  if (!config.vault.vault_namespace.empty())
    text += "namespace = " + quoted(config.vault.vault_namespace) + "\n";
  if (!config.vault.ca_cert.empty()) text += "ca_cert = " + quoted(config.vault.ca_cert) + "\n";
  const config::Method& method = config.auto_auth.method;
  const config::MethodSpec* spec = config::MethodSpec::find(method.type);
  text +=
      "\n# How to log in. Secrets are not written here: they come from files or from the "
      "environment.\n[auto_auth.method]\ntype = " +
      quoted(method.type) + "\n";
  if (spec == nullptr) return text;
  for (const config::MethodKey& key : spec->keys()) {
    using Type = config::MethodKey::Type;
    const bool set = method.has(key.name);
    const bool plain =
        key.type == Type::text || key.type == Type::file || key.type == Type::variable;
    if (plain && set)
      text += std::string(key.name) + " = " + quoted(method.text(key.name)) + "\n";
    else if (key.type == Type::secret && set && !key.variables.empty())
      text += "# " + std::string(key.name) + ": from the environment variable " +
              std::string(key.variables.front()) + "\n";
    else if (key.type == Type::boolean && !key.removes.empty() && method.has(key.removes))
      text += "# The default, true, deletes the file after the first login.\n" +
              std::string(key.name) + " = false\n";
  }
  return text;
}

awaitable<int> describe_secrets(const config::Config& config, vault::Client& client,
                                const std::vector<std::string>& paths, std::string& text) {
  std::set<std::string> taken;
  for (const std::string& path : paths) {
    auto dependency = render::dependency_of(config, path);
    if (!dependency) {
      complain(dependency.error().text);
      co_return kUsage;
    }
    FetchedSource source(config);
    if (auto fetched = co_await source.fetch(client, *dependency); !fetched) {
      complain_of(fetched.error());
      co_return exit_code_of(fetched.error());
    }
    const Value& data = render::data_of(*source.find(*dependency));
    text += "\n# " + config::escaped(path) + "\n";
    if (!data.is_map()) continue;
    for (const auto& [key, value] : data.entries()) {
      if (value.is_nil()) {
        text += "# " + config::escaped(key.as_text()) + " is null: no variable\n";
        continue;
      }
      text += "[env." + free_name(path, key.as_text(), taken) + "]\nsecret = " + quoted(path) +
              "\nkey = " + quoted(key.as_text()) + "\n";
    }
  }
  co_return kOk;
}

// "-" is standard output.
int write_file(const std::string& path, const std::string& text, bool force) {
  if (path == "-")
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? kOk : kCantWrite;
  const int mode = O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL);
  const UniqueFd fd(open(path.c_str(), mode, 0644));
  if (!fd && errno == EEXIST) {
    complain("init: " + config::escaped(path) + " is there already; --force replaces it");
    return kCantWrite;
  }
  std::string_view rest = text;
  while (fd && !rest.empty()) {
    const ssize_t n = write(fd.get(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  if (fd && rest.empty()) return kOk;
  complain("init: " + config::escaped(path) + ": " + strerrordesc_np(errno));
  return kCantWrite;
}

}  // namespace

int init(const InitOptions& options) {
  auto loaded = load_configuration(options.input, Templates::parsed_later);
  if (!loaded) {
    print_problems(loaded.error());
    return code_of(loaded.error());
  }
  std::string text = head(loaded->config);
  if (!options.paths.empty()) {
    const int code = with_login(loaded->config, [&](vault::Client& client, const vault::Auth&) {
      return describe_secrets(loaded->config, client, options.paths, text);
    });
    if (code != kOk) return code;
  }
  text += "\n[exec]\ncommand = [";
  const auto& command = options.input.flags.command;
  for (std::size_t i = 0; i < command.size(); ++i) text += (i > 0 ? ", " : "") + quoted(command[i]);
  text += command.empty() ? "\"./app\"]\n" : "]\n";
  if (const int code = write_file(options.output, text, options.force); code != kOk) return code;
  if (options.output != "-") std::printf("%s\n", config::escaped(options.output).c_str());
  return kOk;
}

}  // namespace keybearer::cli
