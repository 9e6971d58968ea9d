#pragma once
// The program's log: one line per event, as text or JSON, each with a stable event name.
//
//     log::info("token.renewed", "token renewed", {{"ttl", "1h"}, {"accessor", accessor}});
//
// Text:  2026-11-23T10:00:00.123Z INFO  token renewed ttl=1h accessor=p5ji
// JSON:  {"time":"...","level":"info","event":"token.renewed","message":"token
// renewed","ttl":"1h",...}
//
// Never given a value of a secret: fields are std::string, and Secret does not convert. What texts
// of others bring along all the same is taken out at every level, before anything is escaped: from
// fields, and from messages that are no literals of ours (base/redactor.hpp). Control characters
// are escaped, so that no value can forge a line. Errors of writing are ignored, and lines that
// nobody reads are lost and counted: neither a closed stderr nor a full pipe stops the program.

#include <concepts>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/error.hpp"
#include "base/log_rotation.hpp"

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

// A literal, which holds nothing but our words, or a text that may quote others.
struct Message {
  std::string_view text;
  bool literal = false;
  template <std::size_t N>
  consteval Message(const char (&words)[N]) : text(words, N - 1), literal(true) {}
  template <class Text>
    requires(std::convertible_to<const Text&, std::string_view> && !std::is_array_v<Text>)
  Message(const Text& words) : text(words) {}
};

void write(Level level, std::string_view event, Message message, Fields fields = {});
[[nodiscard]] bool enabled(Level level);

inline void trace(std::string_view event, Message message, Fields fields = {}) {
  write(Level::trace, event, message, fields);
}
inline void debug(std::string_view event, Message message, Fields fields = {}) {
  write(Level::debug, event, message, fields);
}
inline void info(std::string_view event, Message message, Fields fields = {}) {
  write(Level::info, event, message, fields);
}
inline void warn(std::string_view event, Message message, Fields fields = {}) {
  write(Level::warn, event, message, fields);
}
inline void error(std::string_view event, Message message, Fields fields = {}) {
  write(Level::error, event, message, fields);
}

struct Options {
  Level level = Level::info;
  Format format = Format::text;
  std::string file;        // empty: stderr. Created 0600, appended to
  Rotation rotation = {};  // of `file`; not where it is a pipe or a device
  std::string name;        // of this instance, in JSON lines; may be empty
  // Text for a person at a terminal: further lines of a message (a template's line and caret) stand
  // below it, dressed by this. None: all on one line.
  std::function<std::string(std::string_view lines)> dress = {};
};
// May be called again (reload); an error leaves the log as it was.
[[nodiscard]] result<> open(const Options& options);
// Opens the log file again, after a rotation by somebody else (SIGHUP).
[[nodiscard]] result<> reopen();
void set_level(Level level);  // from now on
void set_rotation(const Rotation& rotation);

// The line as it is written, without the time: for tests.
[[nodiscard]] std::string format_line(Format format, std::string_view time, Level level,
                                      std::string_view event, std::string_view message,
                                      Fields fields, std::string_view name);

}  // namespace keybearer::log
