// rotate, reload and stop: one request to the running instance, and its answer for people.

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>

#include "base/fd.hpp"
#include "cli/commands.hpp"
#include "cli/instance.hpp"
#include "cli/terminal.hpp"
#include "config/scalars.hpp"
#include "json/json.hpp"

namespace keybearer::cli {
namespace {

using namespace std::chrono_literals;

constexpr Duration kRotateLimit = 40s;  // the instance waits 30 s for its server
constexpr Duration kReloadLimit = 60s;

int no_instance(const NotFound& error) {
  complain(error.text);
  return error.code;
}

int no_answer(const Error& error) {
  complain(error.text);
  return kUnavailable;
}

// What an {"errors": [...]} says.
void complain_of_errors(const Value& answer) {
  const Value& errors = value_at(answer, "errors");
  if (!errors.is_list()) return;
  constexpr std::string_view kOurs = "keybearer: ";  // of a listener that turns away
  for (const Value& error : errors.items()) {
    if (!error.is_text()) continue;
    std::string_view text = error.as_text();
    if (text.starts_with(kOurs)) text.remove_prefix(kOurs.size());
    complain(text);
  }
}

std::string joined_texts(const Value& list) {
  std::string out;
  if (!list.is_list()) return out;
  for (const Value& item : list.items())
    out += (out.empty() ? "" : ", ") + config::escaped(item.as_text());
  return out;
}

// Until it has ended; a process of another PID namespace can't be awaited.
void wait_for_end(pid_t pid) {
  if (pid <= 0) return;
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return;
  pollfd ended{process.get(), POLLIN, 0};
  while (poll(&ended, 1, -1) < 0 && errno == EINTR) {
  }
}

}  // namespace

int rotate(const RotateOptions& options) {
  const auto instance = find_instance(options.instance, our_surroundings());
  if (!instance) return no_instance(instance.error());
  Value body = Value::map();
  if (!options.secret.empty()) body.set("secret", options.secret);
  if (!options.target.empty()) body.set("template", options.target);
  const auto answer = ask(*instance, "POST", "/rotate", json::write(body), kRotateLimit);
  if (!answer) return no_answer(answer.error());
  const auto parsed = json::parse(answer->body);
  if (!parsed) return no_answer(parsed.error());
  if (answer->status == 404) {
    complain_of_errors(*parsed);
    return kUsage;
  }
  if (answer->status != 200) {
    complain_of_errors(*parsed);
    return kUnavailable;
  }
  if (options.json) {
    std::fputs(answer->body.c_str(), stdout);
  }
  bool all = true;
  const Value& secrets = value_at(*parsed, "secrets");
  for (const Value& secret : secrets.is_list() ? secrets.items() : List{}) {
    all = all && bool_at(secret, "done");
    if (options.json) continue;
    std::printf("%s: %s\n", config::escaped(text_at(secret, "path")).c_str(),
                config::escaped(text_at(secret, "text")).c_str());
  }
  return all ? kOk : kNotReady;
}

int reload(const ControlOptions& options) {
  const auto instance = find_instance(options.instance, our_surroundings());
  if (!instance) return no_instance(instance.error());
  const auto answer = ask(*instance, "POST", "/reload", "", kReloadLimit);
  if (!answer) return no_answer(answer.error());
  const auto parsed = json::parse(answer->body);
  if (!parsed) return no_answer(parsed.error());
  if (!bool_at(*parsed, "applied")) {
    complain_of_errors(*parsed);
    if (answer->status != 400) return kUnavailable;  // it has not read anything
    complain("the configuration has errors; the running one stays in force");
    return static_cast<int>(int_at(*parsed, "code", kConfig));
  }
  const std::string changed = joined_texts(value_at(*parsed, "changed"));
  std::printf("reloaded; changed: %s\n", changed.empty() ? "nothing" : changed.c_str());
  const std::string restart = joined_texts(value_at(*parsed, "needs_restart"));
  if (!restart.empty())
    std::printf("changed, but needs a restart of keybearer: %s\n", restart.c_str());
  return kOk;
}

int stop(const ControlOptions& options) {
  const auto instance = find_instance(options.instance, our_surroundings());
  if (!instance) return no_instance(instance.error());
  const auto answer = ask(*instance, "POST", "/stop");
  if (!answer) return no_answer(answer.error());
  if (answer->status != 202) {
    complain("the instance answered " + std::to_string(answer->status));
    return kUnavailable;
  }
  wait_for_end(instance->pid);
  return kOk;
}

}  // namespace keybearer::cli
