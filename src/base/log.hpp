#pragma once
// The program's log: one line per event, as text or JSON, each with a stable event name.
//
//     log::info("token.renewed", "token renewed", {{"ttl", "1h"}, {"accessor", accessor}});
//
// Text:  2026-11-23T10:00:00.123Z INFO  token renewed ttl=1h accessor=p5ji
// JSON:  {"time":"...","level":"info","event":"token.renewed","message":"token
// renewed","ttl":"1h",...}
//
// Never given a value of a secret: fields are std::string, and Secret does not convert. Control
// characters are escaped, so that no value can forge a line. Errors of writing are ignored, and
// lines that nobody reads are lost and counted: neither a closed stderr nor a full pipe stops the
// program.

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace keybearer::log {

enum class Level { trace, debug, info, warn, error };
enum class Format {
  text,
  json,
  journal
};  // journal: text with sd-daemon(3) priority prefixes, no time

struct Field {
  std::string_view key;
  std::string value;
};
using Fields = std::initializer_list<Field>;

void write(Level level, std::string_view event, std::string_view message, Fields fields = {});
[[nodiscard]] bool enabled(Level level);

inline void trace(std::string_view event, std::string_view message, Fields fields = {}) {
  write(Level::trace, event, message, fields);
}
inline void debug(std::string_view event, std::string_view message, Fields fields = {}) {
  write(Level::debug, event, message, fields);
}
inline void info(std::string_view event, std::string_view message, Fields fields = {}) {
  write(Level::info, event, message, fields);
}
inline void warn(std::string_view event, std::string_view message, Fields fields = {}) {
  write(Level::warn, event, message, fields);
}
inline void error(std::string_view event, std::string_view message, Fields fields = {}) {
  write(Level::error, event, message, fields);
}

struct Options {
  Level level = Level::info;
  Format format = Format::text;
  std::string file;  // empty: stderr. Created 0600, appended to
  std::string name;  // of this instance, in JSON lines; may be empty
  // Text for a person at a terminal: further lines of a message (a template's line and caret) stand
  // below it, dressed by this. None: all on one line.
  std::function<std::string(std::string_view lines)> dress = {};
};
// May be called again (reload); an error leaves the log as it was.
[[nodiscard]] result<> open(const Options& options);
// Opens the log file again, after a rotation by somebody else (SIGHUP).
[[nodiscard]] result<> reopen();

// A second net for lines that may quote what a server said (warnings and errors): changes the line
// before it is written, to hide what must not be seen. Null: none. The function must stay callable
// until it is replaced.
void set_mask(std::function<void(std::string& line)> mask);

// The line as it is written, without the time: for tests.
[[nodiscard]] std::string format_line(Format format, std::string_view time, Level level,
                                      std::string_view event, std::string_view message,
                                      Fields fields, std::string_view name);

}  // namespace keybearer::log
