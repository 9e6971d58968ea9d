#include "base/log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <utility>
#include <vector>

#include "base/directory.hpp"
#include "base/escapes.hpp"
#include "base/fd.hpp"
#include "base/log_events.hpp"
#include "base/redactor.hpp"
#include "base/time.hpp"

namespace keybearer::log {
namespace {

struct State {
  Options options;
  UniqueFd file;
  bool rotates = false;  // a regular file
  std::size_t written = 0;
  WallTime begun{};
  std::size_t lost = 0;  // lines that nobody took, since the last that somebody did
  bool cut = false;      // the first of them in its middle
  std::size_t most_events = 0;
  std::deque<Event> events;
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

// Each line escaped by itself, and indented: none looks like a line of the log.
std::string escaped_lines(std::string_view text) {
  std::string out;
  for (bool more = true; more;) {
    const auto end = text.find('\n');
    if (!text.starts_with("  ")) out += "  ";
    append_visible(out, text.substr(0, end), false);
    more = end != std::string_view::npos;
    if (more) out += '\n';
    text.remove_prefix(more ? end + 1 : text.size());
  }
  return out;
}

void append_text_value(std::string& out, std::string_view value) {
  const bool quote = value.empty() || value.find_first_of(" =\"") != std::string_view::npos;
  if (quote) out += '"';
  append_visible(out, value, quote);
  if (quote) out += '"';
}

// Into `fd`, a PIPE_BUF at a time, so that it can't block (pipe(7), poll(2)). A reader that has
// stopped to read is waited for once and shortly; then what it has no room for is lost.
void put(State& log, std::string_view line, int patience) {
  const int fd = log.file ? log.file.get() : STDERR_FILENO;
  std::string_view rest = line;
  while (!rest.empty()) {
    pollfd ready{fd, POLLOUT, 0};
    if (poll(&ready, 1, patience) == 0) {
      log.cut = log.cut || rest.size() < line.size();
      ++log.lost;
      return;
    }
    const ssize_t n = ::write(fd, rest.data(), std::min<std::size_t>(rest.size(), PIPE_BUF));
    if (n < 0 && errno != EINTR) return;  // a closed stderr must not stop the program
    rest.remove_prefix(n < 0 ? 0 : static_cast<std::size_t>(n));
    log.written += n < 0 ? 0 : static_cast<std::size_t>(n);
  }
}

// A file that can't be rotated goes on growing, until it is opened again.
void rotate_when_due(State& log, std::size_t next) {
  if (!log.rotates) return;
  const WallTime now = wall_now();
  const auto age = std::chrono::duration_cast<Duration>(now - log.begun);
  if (!is_due(log.options.rotation, log.written, next, age)) return;
  auto done = rotate(log.options.file, log.file.get(), log.options.rotation, now);
  if (done) done = reopen();
  if (done) return;
  log.rotates = false;
  write(Level::warn, "log.rotate_failed", done.error().text);
}

void put_with_losses(State& log, const std::string& line) {
  rotate_when_due(log, line.size());
  constexpr int kPatience = 50;  // ms
  if (log.lost == 0) return put(log, line, kPatience);
  const auto said = format_line(log.options.format, utc_now(), Level::warn, "log.lost",
                                "lines of this log were lost: nobody read them",
                                {{"lines", std::to_string(log.lost)}}, log.options.name);
  const auto lost = std::exchange(log.lost, 0);
  const bool cut = std::exchange(log.cut, false);
  put(log, (cut ? "\n" : "") + said + line, 0);
  if (log.lost == 0) return;
  log.lost += lost;
  log.cut = log.cut || cut;
}

}  // namespace

void set_level(Level level) {
  state().options.level = level;
}
void set_rotation(const Rotation& rotation) {
  state().options.rotation = rotation;
}

bool enabled(Level level) {
  return level >= state().options.level;
}

void keep_events(std::size_t most) {
  state().most_events = most;
  while (state().events.size() > most) state().events.pop_front();
}

const std::deque<Event>& events() {
  return state().events;
}

std::string_view name_of(Level level) {
  return kNames[static_cast<std::size_t>(level)];
}

namespace {

std::string formatted(Format format, std::string_view time, Level level, std::string_view event,
                      std::string_view message, std::span<const Field> fields,
                      std::string_view name) {
  const auto index = static_cast<std::size_t>(level);
  std::string out;
  if (format == Format::json) {
    out = fmt::format(R"({{"time":"{}","level":"{}",)", time, kNames[index]);
    const auto member = [&out](std::string_view key, std::string_view value) {
      out += '"';
      append_visible(out, key, true);
      out += "\":\"";
      append_visible(out, value, true);
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
    append_visible(out, message, false);
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

}  // namespace

namespace {

void keep(State& log, Level level, std::string_view event, std::string_view message,
          std::span<const Field> fields) {
  Event kept{.at = wall_now(), .level = level, .event = std::string(event)};
  append_visible(kept.message, message.substr(0, message.find('\n')), false);
  for (const auto& [key, value] : fields) {
    if (key == "accessor") continue;
    if (!kept.fields.empty()) kept.fields += ' ';
    kept.fields += key;
    kept.fields += '=';
    append_text_value(kept.fields, value);
  }
  if (log.events.size() >= log.most_events) log.events.pop_front();
  log.events.push_back(std::move(kept));
}

}  // namespace

std::string format_line(Format format, std::string_view time, Level level, std::string_view event,
                        std::string_view message, Fields fields, std::string_view name) {
  return formatted(format, time, level, event, message, {fields.begin(), fields.size()}, name);
}

void write(Level level, std::string_view event, Message text, Fields given) {
  State& log = state();
  const bool kept = log.most_events > 0 && level >= Level::info;
  if (!enabled(level) && !kept) return;
  const std::string clean = text.literal ? std::string() : redactor().redact_ours(text.text);
  std::string_view message = text.literal ? text.text : clean;
  std::vector<Field> fields(given);
  for (Field& field : fields) field.value = redactor().redact_ours(field.value);
  if (kept) keep(log, level, event, message, fields);
  if (!enabled(level)) return;
  std::string_view below;
  if (const auto end = message.find('\n');
      end != std::string_view::npos && log.options.format == Format::text) {
    below = message.substr(end + 1);
    message = message.substr(0, end);
  }
  auto line =
      formatted(log.options.format, utc_now(), level, event, message, fields, log.options.name);
  if (!below.empty()) {
    const std::string lines = escaped_lines(below);
    line += (log.options.dress ? log.options.dress(lines) : lines) + '\n';
  }
  put_with_losses(log, line);
}

result<> open(const Options& options) {
  UniqueFd file;
  if (!options.file.empty()) {
    if (auto good = refuse_links_of_others(options.file); !good)
      return fail(ErrorKind::config, "log_file " + options.file + ": " + good.error().text);
    file = open_for_appending(options.file);
    if (!file && errno == ENXIO)
      return fail(ErrorKind::config, "log_file " + options.file + ": this pipe has no reader");
    if (!file) return fail_errno(ErrorKind::config, "log_file " + options.file, errno);
  }
  struct stat info{};
  State& log = state();
  log.rotates = file && fstat(file.get(), &info) == 0 && S_ISREG(info.st_mode);
  log.written = log.rotates ? static_cast<std::size_t>(info.st_size) : 0;
  log.begun = log.rotates ? begun(file.get(), wall_now()) : WallTime();
  log.options = options;
  log.file = std::move(file);
  return {};
}

result<> reopen() {
  State& log = state();
  const Options options = log.options;
  auto opened = open(options);
  struct stat info{};
  // A file that was removed has no reader: standard error is the log until it can be made again.
  if (!opened && log.file && fstat(log.file.get(), &info) == 0 && info.st_nlink == 0) {
    log.file.reset();
    log.rotates = false;
  }
  return opened;
}

}  // namespace keybearer::log
