#pragma once
// The configuration as plain structs with their defaults: what agent.toml, the environment and the
// command line say together. No behaviour. Key names, types and defaults: agent.toml.example and
// the man page agent.toml(5). Sections are values: they compare equal when they mean the same
// (config::diff), and nobody keeps a reference into a Config that may be replaced.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.hpp"
#include "base/secret.hpp"
#include "base/time.hpp"
#include "config/listener.hpp"
#include "config/location.hpp"

namespace keybearer::config {

using namespace std::chrono_literals;

// A key that may say "never".
struct Interval {
  Duration every = 5min;
  bool never = false;
  friend bool operator==(const Interval&, const Interval&) = default;
};

struct Retry {
  int num_retries = 12;
  Duration min_backoff = 250ms;
  Duration max_backoff = 1min;
  friend bool operator==(const Retry&, const Retry&) = default;
};

struct Budget {
  std::optional<int> requests_per_minute;  // default 600 + 4 x secrets
  std::optional<int> burst;                // default 2 x secrets + 20
  friend bool operator==(const Budget&, const Budget&) = default;
};

struct Vault {
  std::vector<std::string> address = {"https://127.0.0.1:8200"};
  DeclaredAt address_place;
  std::map<std::string, DeclaredAt> file_places;  // "vault.ca_cert" and the like: where it is set
  std::string vault_namespace;
  std::string ca_cert, ca_path, client_cert, client_key, tls_server_name;
  std::string ca_cert_bytes;                 // PEM itself, of VAULT_CACERT_BYTES
  std::optional<std::string> proxy_address;  // may hold a password
  std::string proxy_source = "vault.proxy_address";
  std::string https_proxy, http_proxy, no_proxy;  // of the environment
  bool tls13_only = false;
  std::vector<std::string> tls_pin_sha256;  // SHA-256 of public keys (SPKI), base64; empty: any key
  bool tls_skip_verify = false;
  Duration connect_timeout = 5s;
  Duration timeout = 30s;
  std::size_t max_response_size = 10u << 20;
  int max_connections = 8;
  std::map<std::string, std::string> headers;
  Retry retry;
  Budget budget;
  friend bool operator==(const Vault&, const Vault&) = default;
};

enum class OnRenewFailure { relogin, exit, keep };

// How to log in. Which keys a method has: config/method.hpp; their values are asked for by name.
struct Method {
  std::string type;                            // "approle"
  std::string mount_path;                      // default auth/<type>
  std::optional<std::string> vault_namespace;  // default vault's
  DeclaredAt place;

  // Of a text or a file: "" when not set. Of a secret: null when not given ("" is given).
  [[nodiscard]] const std::string& text(std::string_view key) const;
  [[nodiscard]] std::shared_ptr<const Secret> secret(std::string_view key) const;
  [[nodiscard]] bool flag(std::string_view key) const;  // a boolean, or its default
  [[nodiscard]] bool has(std::string_view key) const;
  void set(std::string_view key, std::string value);
  void set(std::string_view key, Secret value);
  void set_flag(std::string_view key, bool on);
  void erase(std::string_view key);

  // Views of all that is set: what is no secret, and what is one.
  [[nodiscard]] std::vector<std::string_view> texts() const;
  [[nodiscard]] std::vector<std::string_view> secrets() const;

  void spare_files();  // no credential's file is removed
  [[nodiscard]] bool used_up_by_login() const;
  // The same login: all but the place, secrets by their content.
  friend bool operator==(const Method& a, const Method& b);

 private:
  struct Value {
    std::string text = {};
    std::shared_ptr<const Secret> secret = {};
    bool on = false;
    bool operator==(const Value& other) const;
  };
  std::map<std::string, Value, std::less<>> values_;
};

// What a login's answer must say; what is not set is not looked at.
struct Identity {
  std::string entity_id;
  std::vector<std::string> policies;            // each of them
  std::map<std::string, std::string> metadata;  // each of these pairs
  friend bool operator==(const Identity&, const Identity&) = default;
};

// [[auto_auth.sink]]: a file with the token, for other programs.
struct Sink {
  enum class Format { token, json };
  std::string path;
  unsigned mode = 0600;
  bool mode_given = false;  // else an existing file's narrower mode stays
  std::string user, group;
  std::optional<Duration> wrap_ttl;    // the file gets a wrapping token
  std::optional<Format> format;        // default: token; with wrap_ttl json
  std::optional<bool> remove_on_exit;  // default: true, false with exit_after_auth
  DeclaredAt place;
  friend bool operator==(const Sink&, const Sink&) = default;
};

struct AutoAuth {
  Method method;
  std::optional<Identity> verify_identity;
  std::vector<Sink> sinks;
  double renew_at = 0.8;
  Duration min_remaining = 10s;
  std::optional<Duration> increment;
  OnRenewFailure on_renew_failure = OnRenewFailure::relogin;
  std::optional<bool> revoke_on_exit;  // default: true in `run`, false in `render --once`
  Duration min_backoff = 1s;
  Duration max_backoff = 5min;
  bool exit_on_err = false;
  friend bool operator==(const AutoAuth&, const AutoAuth&) = default;
};

enum class OnStale { keep, stop, use_default };

// How old a value may get while the server is away, and what comes then.
struct Stale {
  std::optional<Duration> max_stale;
  OnStale on_stale = OnStale::keep;
  friend bool operator==(const Stale&, const Stale&) = default;
};

struct TemplateConfig {
  Interval static_secret_render_interval;
  Stale stale;
  Duration start_grace = 15s;
  bool exit_on_retry_failure = true;
  bool allow_plugin = false;  // of every template that does not say otherwise, and of [env]
  friend bool operator==(const TemplateConfig&, const TemplateConfig&) = default;
};

enum class LeaseStrategy { renew, refetch };

struct Lease {
  LeaseStrategy strategy = LeaseStrategy::renew;
  double renew_at = 0.67;
  double refetch_at = 0.8;
  Duration min_remaining = 10s;
  std::optional<Duration> increment = {};
  std::optional<Duration> check_interval = {};  // of looking a lease up
  std::optional<bool> revoke_on_exit = {};
  bool revoke_replaced = true;
  Duration drain = 30s;
  friend bool operator==(const Lease&, const Lease&) = default;
};

enum class OnError { keep, use_default, exit };

// [[secret]]: how one path is treated; what [lease] and [template_config] say of all is already
// merged in.
struct SecretRule {
  std::string path;
  std::string name;
  std::map<std::string, std::string> data;  // not empty: a write
  std::string version;
  bool optional = false;
  std::string defaults;  // a JSON object; empty: none
  bool enabled = true;
  std::optional<std::string> vault_namespace;
  Interval interval;
  Lease lease;
  Stale stale = {};
  OnError on_error = OnError::keep;
  Duration start_grace = 15s;
  bool exit_on_retry_failure = true;
  DeclaredAt place;
  friend bool operator==(const SecretRule&, const SecretRule&) = default;
};

struct OnChange {
  enum class Action { none, signal, restart };
  Action action = Action::restart;
  int signal = 0;  // of Action::signal; 0: exec.reload_signal
  friend bool operator==(const OnChange&, const OnChange&) = default;
};

// A value of [env] or of a template's `values`: template text, a source file, or a key of a secret.
struct ValueSource {
  std::string contents;  // template text; source and secret are empty then
  TextMap contents_map;  // where it stands in the file
  std::string source;
  std::string secret;  // name of a [[secret]], or a path
  std::string key;
  std::optional<std::string> default_value;
  std::optional<bool> error_on_missing_key;
  std::string left_delimiter, right_delimiter;  // empty: the default
  DeclaredAt place;
  friend bool operator==(const ValueSource&, const ValueSource&) = default;
};

// What a variable's value must be; one that does not fit never reaches the program.
struct ValueRule {
  enum class Type { string, integer, boolean, port, url, pem, json };
  Type type = Type::string;
  std::string pattern;  // RE2, searched for; empty: any
  friend bool operator==(const ValueRule&, const ValueRule&) = default;
};

struct EnvVar {
  std::string name;
  ValueSource value;
  ValueRule rule = {};
  bool required = true;  // false: left out where its secret is missing or denied
  bool enabled = true;
  std::optional<OnChange> on_change;  // default: exec's rule
  friend bool operator==(const EnvVar&, const EnvVar&) = default;
};

struct EnvFrom {
  std::string secret;
  std::string prefix;
  bool uppercase = true;
  std::vector<std::string> keys;             // empty: all
  std::map<std::string, std::string> names;  // key -> variable
  DeclaredAt place;
  friend bool operator==(const EnvFrom&, const EnvFrom&) = default;
};

enum class Format { raw, env, docker_env, ini, json, yaml, toml, properties, shell };

// An entry of `values`: either a value, or a section (ini) or nesting.
struct NamedValue;
struct ValueNode {
  ValueSource value;
  std::vector<NamedValue> children;  // in the file's order; not empty: a section
  friend bool operator==(const ValueNode&, const ValueNode&) = default;
};
struct NamedValue {
  std::string name;
  ValueNode node;
  friend bool operator==(const NamedValue&, const NamedValue&) = default;
};

struct Command {
  std::vector<std::string> argv;  // empty: none
  bool shell = false;             // given as one string: argv is {"/bin/sh", "-c", text}
  friend bool operator==(const Command&, const Command&) = default;
};

struct Template {
  std::string source, contents;
  TextMap contents_map;  // where `contents` stands in the file
  std::string destination;
  Format format = Format::raw;
  std::vector<NamedValue> values;
  unsigned perms = 0600;
  bool perms_given = false;
  std::string user, group;
  bool create_dest_dirs = true;
  bool backup = false;
  bool in_place = false;
  bool remove_on_exit = false;
  bool enabled = true;
  std::string left_delimiter = "{{", right_delimiter = "}}";
  bool error_on_missing_key = true;
  std::string sandbox_path;
  std::vector<std::string> function_denylist;
  bool allow_plugin = false;
  std::optional<OnChange> on_change;
  Command command;
  Duration command_timeout = 30s;
  DeclaredAt place;
  friend bool operator==(const Template&, const Template&) = default;
};

enum class RestartOnSecretChanges { always, signal, never };
enum class RestartOnExit { never, on_failure, always };

struct StopStep {
  int signal;
  Duration grace;  // before the next step
  friend bool operator==(const StopStep&, const StopStep&) = default;
};

struct Exec {
  Command command;
  RestartOnSecretChanges restart_on_secret_changes = RestartOnSecretChanges::always;
  int restart_stop_signal = 15;  // SIGTERM
  int reload_signal = 1;         // SIGHUP
  Duration stop_timeout = 30s;
  std::vector<StopStep> stop_escalation;  // instead of the two above, when not empty
  // The steps of a stop; then the program is killed. Never empty.
  [[nodiscard]] std::vector<StopStep> stop_steps() const {
    if (!stop_escalation.empty()) return stop_escalation;
    return {{restart_stop_signal, stop_timeout}};
  }
  [[nodiscard]] Duration longest_stop() const {
    Duration all{};
    for (const StopStep& step : stop_steps()) all += step.grace;
    return all;
  }
  Duration debounce = 2s;
  Duration debounce_max = 30s;
  Duration splay{};
  RestartOnExit restart_on_exit = RestartOnExit::never;
  int max_restarts = 5;
  Duration restart_window = 60s;
  Duration restart_backoff = 1s;
  Duration restart_backoff_max = 1min;
  std::vector<int> success_codes = {0};
  std::vector<int> fatal_codes;
  std::string working_directory;
  std::string user, group;  // names or numbers; empty: ours
  std::optional<unsigned> umask;
  std::optional<int> nice;
  std::map<std::string, std::optional<std::uint64_t>> rlimits;  // "nofile"; none: unlimited
  std::string stdout_path, stderr_path;                         // appended to; empty: ours
  bool forking = false;  // it goes into the background: alive while any process of its tree is
  std::string pid_file;  // of such a program; it writes it
  enum class Hup { reload, forward };
  Hup hup = Hup::reload;                            // what SIGHUP to keybearer means
  std::optional<std::vector<int>> forward_signals;  // none: all but ours
  bool allow_reserved_env = false;
  bool pass_credentials = false;
  enum class Inherit { all, none, listed };
  Inherit inherit_env = Inherit::all;
  std::vector<std::string> inherit_names;  // names or globs, when listed
  struct Verify {
    Command command;
    int attempts = 3;
    Duration backoff = 1s;
    Duration timeout = 30s;
    friend bool operator==(const Verify&, const Verify&) = default;
  };
  Verify verify;
  friend bool operator==(const Exec&, const Exec&) = default;
};

struct Outage {
  enum class OnStart { wait, fail, use_default, use_state };
  OnStart on_start = OnStart::wait;
  std::optional<Duration> start_timeout;
  friend bool operator==(const Outage&, const Outage&) = default;
};

// [state]: a sealed file that a restart resumes from; its key is somewhere else.
struct State {
  std::string path;      // empty: none
  std::string key_file;  // 32 bytes
  enum class KeyFrom { file, systemd };
  KeyFrom key_from = KeyFrom::file;
  DeclaredAt place;
  friend bool operator==(const State&, const State&) = default;
};

struct Notify {
  Command command;
  Duration timeout = 10s;
  friend bool operator==(const Notify&, const Notify&) = default;
};

struct Config {
  std::string name;
  std::string pid_file;
  bool exit_after_auth = false;
  std::optional<log::Level> log_level;
  std::optional<log::Format> log_format;
  std::string log_file;
  struct LogRotate {
    std::optional<std::size_t> bytes;
    std::optional<Duration> duration;
    int max_files = 0;  // 0: all are kept; -1: none
    friend bool operator==(const LogRotate&, const LogRotate&) = default;
  };
  LogRotate log_rotate;
  bool hardening = true;
  Notify notify;
  Vault vault;
  AutoAuth auto_auth;
  TemplateConfig template_config;
  Lease lease;
  std::vector<SecretRule> secrets;
  std::vector<Template> templates;
  std::vector<EnvVar> env;
  std::vector<EnvFrom> env_from;
  Exec exec;
  Outage outage;
  State state;
  std::vector<Listener> listeners;
  ApiProxy api_proxy;
  Cache cache;
  Metrics metrics;
  Control control;
  // Variables that ${NAME} put into a credential or a header: withheld from the program and hooks.
  std::vector<std::string> credential_variables;
  std::vector<std::string> files;     // that were read
  std::vector<std::string> warnings;  // with their place; to be logged once
  friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace keybearer::config
