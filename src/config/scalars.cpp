#include "config/scalars.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <vector>

#include "base/signal_table.hpp"
#include "base/utf8.hpp"
#include "config/load.hpp"

namespace keybearer::config {
namespace {

std::string quoted(std::string_view text) {
  return "\"" + escaped(text) + "\"";
}

bool take_number(std::string_view& text, double& value) {
  // from_chars alone would take "inf", "nan" and "-1".
  if (text.empty() || (text[0] != '.' && (text[0] < '0' || text[0] > '9'))) return false;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

}  // namespace

result<Duration> parse_duration(std::string_view whole) {
  const auto bad = [whole] {
    return fail(
        ErrorKind::config,
        "bad duration " + quoted(whole) +
            "; expected such as \"250ms\", \"90s\", \"5m\", \"1h30m\" or a number of seconds");
  };
  std::string_view text = whole;
  if (text.empty() || text[0] == '-' || text[0] == '+') return bad();
  constexpr double kCentury = 3.2e12;
  double total = 0;
  for (bool first = true; !text.empty(); first = false) {
    double number = 0;
    if (!take_number(text, number)) return bad();
    constexpr std::pair<std::string_view, double> kUnits[] = {
        {"ms", 1},        {"us", 1e-3},  {"µs", 1e-3}, {"ns", 1e-6},
        {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}};
    if (text.empty() && first) {
      total = number * 1000;
      break;
    }
    const auto unit =
        std::ranges::find_if(kUnits, [&text](const auto& u) { return text.starts_with(u.first); });
    if (unit == std::end(kUnits)) return bad();
    text.remove_prefix(unit->first.size());
    total += number * unit->second;
  }
  if (total > kCentury) return bad();
  return Duration(static_cast<Duration::rep>(std::llround(total)));
}

std::string duration_text(Duration duration) {
  auto ms = duration.count();
  if (ms % 1000 != 0) return std::to_string(ms) + "ms";
  auto s = ms / 1000;
  std::string out;
  if (s >= 3600) out += std::to_string(s / 3600) + "h";
  if (s % 3600 >= 60) out += std::to_string(s % 3600 / 60) + "m";
  if (s % 60 != 0 || out.empty()) out += std::to_string(s % 60) + "s";
  return out;
}

result<std::size_t> parse_size(std::string_view whole) {
  std::string_view text = whole;
  double number = 0;
  constexpr std::pair<std::string_view, double> kUnits[] = {
      {"", 1},     {"B", 1},      {"KB", 1e3},      {"MB", 1e6},
      {"GB", 1e9}, {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}};
  if (take_number(text, number) && number >= 1) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    for (const auto& [unit, factor] : kUnits) {
      if (text == unit && number * factor < 1e12) return static_cast<std::size_t>(number * factor);
    }
  }
  return fail(ErrorKind::config, "bad size " + quoted(whole) +
                                     "; expected such as \"10MiB\", \"64KB\" or a number of bytes");
}

std::string mode_text(unsigned mode) {
  char digits[8];
  const auto end = std::to_chars(digits, digits + sizeof digits, mode, 8).ptr;
  const std::string text(digits, end);
  return std::string(text.size() < 4 ? 4 - text.size() : 0, '0') + text;
}

result<unsigned> parse_mode(std::string_view text) {
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (error != std::errc{} || end != text.data() + text.size() || mode > 07777 || text.size() < 3) {
    return fail(ErrorKind::config,
                "bad mode " + quoted(text) + "; expected octal digits such as \"0640\"");
  }
  return mode;
}

result<int> parse_signal(std::string_view text) {
  if (const auto number = signal_number(text)) return *number;
  return fail(ErrorKind::config,
              "bad signal " + quoted(text) + "; expected such as \"SIGTERM\" or \"HUP\"");
}

std::string signal_name(int signal) {
  return keybearer::signal_name(signal);
}

result<OnChange> parse_on_change(std::string_view text) {
  if (text == "restart") return OnChange{OnChange::Action::restart, 0};
  if (text == "none") return OnChange{OnChange::Action::none, 0};
  if (text == "signal") return OnChange{OnChange::Action::signal, 0};
  if (text.starts_with("signal:")) {
    const auto signal = parse_signal(text.substr(7));
    if (!signal) return std::unexpected(signal.error());
    return OnChange{OnChange::Action::signal, *signal};
  }
  return fail(ErrorKind::config, "bad on_change " + quoted(text) +
                                     R"(; expected "restart", "signal", "signal:HUP" or "none")");
}

result<std::string> expand(
    std::string_view text,
    const std::function<std::optional<std::string>(const std::string&)>& env) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    if (text[i + 1] == '$') {
      out += '$';
      ++i;
      continue;
    }
    if (text[i + 1] != '{') {
      out += '$';
      continue;
    }
    const auto close = text.find('}', i);
    if (close == std::string_view::npos)
      return fail(ErrorKind::config, "${ without }; write $$ for a dollar");
    const std::string_view inside = text.substr(i + 2, close - i - 2);
    const auto dash = inside.find(":-");
    const std::string name(inside.substr(0, dash));
    if (!valid_variable_name(name))
      return fail(ErrorKind::config,
                  "bad variable name in ${" + escaped(name) + "}; write $$ for a dollar");
    const auto value = env(name);
    if (value && !value->empty()) {
      out += *value;
    } else if (dash != std::string_view::npos) {
      out += inside.substr(dash + 2);
    } else {
      return fail(ErrorKind::config, "the environment variable " + name +
                                         " is not set; set it or write ${" + name + ":-default}");
    }
    i = close;
  }
  return out;
}

std::string escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Rune rune = decode_rune(text);
    const bool raw_byte = rune.code == kReplacement && rune.width == 1;
    const bool direction = (rune.code >= 0x200e && rune.code <= 0x200f) ||
                           (rune.code >= 0x2028 && rune.code <= 0x202e) ||
                           (rune.code >= 0x2066 && rune.code <= 0x2069);
    const bool control = rune.code < 0x20 || (rune.code >= 0x7f && rune.code < 0xa0);
    if (rune.code == '\n') {
      out += "\\n";
    } else if (rune.code == '\r') {
      out += "\\r";
    } else if (rune.code == '\t') {
      out += "\\t";
    } else if (raw_byte || control || direction) {
      char buffer[8];
      std::snprintf(
          buffer, sizeof buffer, raw_byte ? "\\x%02x" : "\\u%04x",
          raw_byte ? static_cast<unsigned char>(text[0]) : static_cast<unsigned>(rune.code));
      out += buffer;
    } else {
      out += text.substr(0, rune.width);
    }
    text.remove_prefix(rune.width);
  }
  return out;
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(text,
                             [](char c) { return (c >= 0 && c < 0x20 && c != '\t') || c == 0x7f; });
}

std::string plain_path(std::string_view path) {
  constexpr std::string_view kData = "/data/";
  std::string text(path);
  if (const auto at = text.find(kData); at != std::string::npos) text.erase(at, kData.size() - 1);
  return text;
}

bool valid_variable_name(std::string_view name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !name.empty() && letter(name[0]) && std::ranges::all_of(name, [&letter](char c) {
    return letter(c) || (c >= '0' && c <= '9');
  });
}

bool reserved_variable_name(std::string_view name) {
  constexpr std::string_view kNames[] = {"PATH",
                                         "IFS",
                                         "ENV",
                                         "BASH_ENV",
                                         "BASH_FUNC",
                                         "SHELLOPTS",
                                         "BASHOPTS",
                                         "PS4",
                                         "GCONV_PATH",
                                         "NODE_OPTIONS",
                                         "PYTHONPATH",
                                         "PYTHONSTARTUP",
                                         "PERL5LIB",
                                         "PERL5OPT",
                                         "RUBYOPT",
                                         "RUBYLIB",
                                         "JAVA_TOOL_OPTIONS",
                                         "GLIBC_TUNABLES",
                                         "MALLOC_CHECK_"};
  return name.starts_with("LD_") || name.starts_with("DYLD_") ||
         std::ranges::find(kNames, name) != std::end(kNames);
}

namespace {

// What steers the program, or those that it runs.
constexpr std::string_view kSteeringNames[] = {"HOME",
                                               "SHELL",
                                               "PWD",
                                               "TMPDIR",
                                               "EDITOR",
                                               "VISUAL",
                                               "PAGER",
                                               "BROWSER",
                                               "DISPLAY",
                                               "PROMPT_COMMAND",
                                               "PS1",
                                               "CDPATH",
                                               "GLOBIGNORE",
                                               "_JAVA_OPTIONS",
                                               "JDK_JAVA_OPTIONS",
                                               "CLASSPATH",
                                               "OPENSSL_CONF",
                                               "OPENSSL_MODULES",
                                               "OPENSSL_ENGINES",
                                               "SSL_CERT_FILE",
                                               "SSL_CERT_DIR",
                                               "SSLKEYLOGFILE",
                                               "CURL_CA_BUNDLE",
                                               "CURL_HOME",
                                               "REQUESTS_CA_BUNDLE",
                                               "PHPRC",
                                               "PHP_INI_SCAN_DIR",
                                               "GEM_HOME",
                                               "GEM_PATH",
                                               "BUNDLE_GEMFILE",
                                               "GOFLAGS",
                                               "GODEBUG",
                                               "GOPATH",
                                               "RUSTC_WRAPPER",
                                               "RUSTFLAGS",
                                               "LESSOPEN",
                                               "LESSCLOSE",
                                               "LOCPATH",
                                               "NLSPATH",
                                               "HOSTALIASES",
                                               "RES_OPTIONS",
                                               "RESOLV_HOST_CONF",
                                               "TZDIR",
                                               "KRB5_CONFIG",
                                               "KUBECONFIG",
                                               "DOCKER_HOST",
                                               "DOCKER_CONFIG",
                                               "NOTIFY_SOCKET",
                                               "PSQLRC",
                                               "PGSERVICEFILE",
                                               "PGSYSCONFDIR",
                                               "PGPASSFILE",
                                               "MAVEN_OPTS",
                                               "GRADLE_OPTS",
                                               "JAVA_HOME",
                                               "CATALINA_OPTS",
                                               "ERL_FLAGS",
                                               "ERL_AFLAGS",
                                               "ERL_ZFLAGS",
                                               "ELIXIR_ERL_OPTIONS",
                                               "R_PROFILE",
                                               "R_ENVIRON",
                                               "INPUTRC",
                                               "TERMINFO",
                                               "TERMCAP",
                                               "JULIA_LOAD_PATH",
                                               "GUILE_LOAD_PATH",
                                               "TCLLIBPATH",
                                               "OCAMLRUNPARAM",
                                               "GUNICORN_CMD_ARGS",
                                               "SPRING_APPLICATION_JSON",
                                               "SPRING_CONFIG_LOCATION",
                                               "JAVA_OPTS",
                                               "SBT_OPTS",
                                               "MANPAGER",
                                               "FPATH",
                                               "MAILCAP",
                                               "MYSQL_HOME",
                                               "AWS_CA_BUNDLE",
                                               "SSH_AUTH_SOCK",
                                               "DBUS_SESSION_BUS_ADDRESS",
                                               "WATCHDOG_USEC",
                                               "OMP_TOOL_LIBRARIES",
                                               "VK_LAYER_PATH",
                                               "LIBGL_DRIVERS_PATH",
                                               "CUDA_INJECTION64_PATH",
                                               "PIP_INDEX_URL",
                                               "XDG_CONFIG_HOME",
                                               "XDG_CONFIG_DIRS",
                                               "XDG_DATA_DIRS",
                                               "XDG_RUNTIME_DIR"};
constexpr std::string_view kSteeringPrefixes[] = {
    "DOTNET_",     "CORECLR_",    "COR_",
    "COMPlus_",    "PYTHON",      "PERL5",
    "PERL_",       "RUBY",        "LUA_",
    "GIT_",        "NODE_",       "NPM_CONFIG_",
    "npm_config_", "VAULT_",      "BAO_",
    "BASH_",       "ZDOTDIR",     "GTK_",
    "QT_",         "GCONV_",      "MALLOC_",
    "GLIBC_",      "ASAN_",       "UBSAN_",
    "LSAN_",       "TSAN_",       "JAVA_TOOL_",
    "JVM_",        "SYSTEMD_",    "LISTEN_",
    "KEYBEARER_",  "AWS_CONFIG_", "AWS_SHARED_CREDENTIALS_"};

}  // namespace

bool steering_variable_name(std::string_view name) {
  std::string upper(name);
  for (char& c : upper) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return reserved_variable_name(name) || upper.ends_with("_PROXY") ||
         std::ranges::find(kSteeringNames, name) != std::end(kSteeringNames) ||
         std::ranges::any_of(kSteeringPrefixes,
                             [&](std::string_view prefix) { return name.starts_with(prefix); });
}

}  // namespace keybearer::config
