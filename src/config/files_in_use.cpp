#include "config/files_in_use.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "config/method.hpp"
#include "config/scalars.hpp"

namespace keybearer::config {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // as the kernel

class Files {
 public:
  explicit Files(std::vector<Problem>& problems) : problems_(problems) {}

  // Any number may read one file.
  void read(const std::string& path, const std::string& role) {
    if (is_file(path)) note(path, role);
  }
  // `in_place`: what is there gets another content, and with it what has other names for it.
  void written(const std::string& path, const std::string& role, const std::string& key,
               const SourceLocation& place, bool in_place = false) {
    if (!is_file(path)) return;
    const auto inode = in_place ? inode_of(path) : std::nullopt;
    const auto same = inode ? by_inode_.find(*inode) : by_inode_.end();
    const auto there = users_.find(identity_of(path));
    const auto* const user = there != users_.end()     ? &there->second
                             : same != by_inode_.end() ? &same->second
                                                       : nullptr;
    if (user != nullptr) problems_.push_back({place, key + ": " + escaped(path) + " " + *user});
    note(path, role);
  }
  // A file that is kept beside that one, named like it.
  void written_beside(const std::string& path, const char* suffix, const std::string& role,
                      const std::string& key, const SourceLocation& place) {
    if (is_file(path)) written(identity_of(path) + suffix, role, key, place);
  }

 private:
  static bool is_file(const std::string& path) { return !path.empty() && path != "-"; }

  // What it leads to: its directory without links, which many share, and its name.
  std::string identity_of(const std::string& path) {
    std::error_code none;
    fs::path whole = fs::absolute(path, none).lexically_normal();
    for (int links = 0; links < kMostLinks && fs::is_symlink(whole, none); ++links)
      whole = (whole.parent_path() / fs::read_symlink(whole, none)).lexically_normal();
    std::string& directory = directories_[whole.parent_path().string()];
    if (directory.empty()) directory = fs::weakly_canonical(whole.parent_path(), none).string();
    return directory + '/' + whole.filename().string();
  }

  using Inode = std::pair<dev_t, ino_t>;
  static std::optional<Inode> inode_of(const std::string& path) {
    struct stat info{};
    if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
    return Inode{info.st_dev, info.st_ino};
  }
  // The first is the one that is told of.
  void note(const std::string& path, const std::string& role) {
    users_.try_emplace(identity_of(path), role);
    if (const auto inode = inode_of(path)) by_inode_.try_emplace(*inode, role);
  }

  std::vector<Problem>& problems_;
  std::map<std::string, std::string> users_;        // by identity: who it is
  std::map<Inode, std::string> by_inode_;           // of those that are there
  std::map<std::string, std::string> directories_;  // as it is written: without links
};

// What the login reads. A certificate of the login may be one that a template renews.
void read_by_login(const Config& config, bool certificates, Files& files) {
  const Method& method = config.auto_auth.method;
  const MethodSpec* spec = MethodSpec::find(method.type);
  if (spec == nullptr) return;
  for (const MethodKey& key : spec->keys())
    if (key.type == MethodKey::Type::file && (key.stands_for != nullptr) == certificates)
      files.read(method.text(key.name),
                 "is read by the login (auto_auth.method." + std::string(key.name) + ")");
}

}  // namespace

void check_files_in_use(const Config& config, std::vector<Problem>& problems) {
  Files files(problems);
  for (const std::string& file : config.files) files.read(file, "is the configuration");
  for (const EnvVar& variable : config.env)
    files.read(variable.value.source, "is the source of env." + escaped(variable.name));
  for (const Template& t : config.templates)
    if (t.enabled) files.read(t.source, "is a template's source");
  read_by_login(config, false, files);
  files.read(config.state.key_file, "is state.key_file");

  const SourceLocation& state = config.state.place;
  files.written(config.state.path, "is state.path", "state.path", state);
  for (const char* suffix : {".counter", ".lock", ".refused"})
    files.written_beside(config.state.path, suffix, "is kept beside state.path", "state.path",
                         state);
  files.written(config.log_file, "is the log_file", "log_file", {}, true);
  files.written(config.pid_file, "is the pid_file", "pid_file", {});
  files.read(config.control.socket, "is the control socket");
  for (const Listener& listener : config.listeners)  // two of one address: read_listener
    if (listener.type == Listener::Type::unix_socket)
      files.read(listener.address, "is a listener's socket");
  files.read(config.exec.stdout_path, "is exec.stdout");  // one may be both, and the log
  files.read(config.exec.stderr_path, "is exec.stderr");
  for (const Template& t : config.templates)
    if (t.enabled)
      files.written(t.destination, "is a template's destination, at " + t.place.text(),
                    "template.destination", t.place, t.in_place);
  // The same whichever comes first: after all destinations.
  for (const Template& t : config.templates)
    if (t.enabled && t.backup)
      files.written_beside(t.destination, ".bak", "is a template's backup, at " + t.place.text(),
                           "template.backup", t.place);
  read_by_login(config, true, files);
  for (const Sink& sink : config.auto_auth.sinks)
    files.written(sink.path, "has a sink already, at " + sink.place.text(), "auto_auth.sink.path",
                  sink.place);
}

}  // namespace keybearer::config
