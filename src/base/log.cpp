#include "base/log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/clock.hpp"
#include "base/fd.hpp"

namespace keybearer::log {
namespace {

struct State {
  Options options;
  UniqueFd file;
  std::function<void(std::string&)> mask;
};

State& state() {
  static State instance;
  return instance;
}

constexpr std::array<std::string_view, 5> kNames = {"trace", "debug", "info", "warn", "error"};
constexpr std::array<std::string_view, 5> kLabels = {"TRACE", "DEBUG", "INFO ", "WARN ", "ERROR"};
constexpr std::array<int, 5> kPriorities = {7, 7, 6, 4, 3};  // syslog(3)

std::string utc_now() {
  const auto now = wall_now();
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  const time_t seconds = ms / 1000;
  tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     ms % 1000);
}

void append_escaped(std::string& out, std::string_view text, bool json) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (json && (c == '"' || c == '\\')) {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format(fmt::runtime(json ? "\\u{:04x}" : "\\x{:02x}"), byte);
    } else {
      out += c;
    }
  }
}

// Each line escaped by itself, and indented: none looks like a line of the log.
std::string escaped_lines(std::string_view text) {
  std::string out;
  for (bool more = true; more;) {
    const auto end = text.find('\n');
    if (!text.starts_with("  ")) out += "  ";
    append_escaped(out, text.substr(0, end), false);
    more = end != std::string_view::npos;
    if (more) out += '\n';
    text.remove_prefix(more ? end + 1 : text.size());
  }
  return out;
}

void append_text_value(std::string& out, std::string_view value) {
  const bool quote = value.empty() || value.find_first_of(" =\"") != std::string_view::npos;
  if (quote) out += '"';
  append_escaped(out, value, quote);
  if (quote) out += '"';
}

}  // namespace

bool enabled(Level level) {
  return level >= state().options.level;
}

std::string format_line(Format format, std::string_view time, Level level, std::string_view event,
                        std::string_view message, Fields fields, std::string_view name) {
  const auto index = static_cast<std::size_t>(level);
  std::string out;
  if (format == Format::json) {
    out = fmt::format(R"({{"time":"{}","level":"{}",)", time, kNames[index]);
    const auto member = [&out](std::string_view key, std::string_view value) {
      out += '"';
      append_escaped(out, key, true);
      out += "\":\"";
      append_escaped(out, value, true);
      out += "\",";
    };
    if (!name.empty()) member("name", name);
    member("event", event);
    member("message", message);
    for (const auto& [key, value] : fields) member(key, value);
    out.back() = '}';
  } else {
    out = format == Format::journal ? fmt::format("<{}>", kPriorities[index])
                                    : fmt::format("{} {} ", time, kLabels[index]);
    append_escaped(out, message, false);
    for (const auto& [key, value] : fields) {
      out += ' ';
      out += key;
      out += '=';
      append_text_value(out, value);
    }
  }
  out += '\n';
  return out;
}

void write(Level level, std::string_view event, std::string_view message, Fields fields) {
  if (!enabled(level)) return;
  const State& log = state();
  std::string_view below;
  if (const auto end = message.find('\n');
      end != std::string_view::npos && log.options.format == Format::text) {
    below = message.substr(end + 1);
    message = message.substr(0, end);
  }
  auto line =
      format_line(log.options.format, utc_now(), level, event, message, fields, log.options.name);
  if (!below.empty()) {
    const std::string lines = escaped_lines(below);
    line += (log.options.dress ? log.options.dress(lines) : lines) + '\n';
  }
  if (log.mask && level >= Level::warn) log.mask(line);
  [[maybe_unused]] const auto written =
      ::write(log.file ? log.file.get() : STDERR_FILENO, line.data(), line.size());
}

result<> open(const Options& options) {
  UniqueFd file;
  if (!options.file.empty()) {
    file.reset(
        ::open(options.file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600));
    if (!file) return fail_errno(ErrorKind::config, "log_file " + options.file, errno);
  }
  state().options = options;
  state().file = std::move(file);
  return {};
}

void set_mask(std::function<void(std::string&)> mask) {
  state().mask = std::move(mask);
}

result<> reopen() {
  const Options options = state().options;
  return open(options);
}

}  // namespace keybearer::log
