#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

#include "cli/commands.hpp"
#include "cli/instance.hpp"
#include "cli/status_view.hpp"
#include "cli/terminal.hpp"
#include "cli/watch.hpp"
#include "json/json.hpp"

namespace keybearer::cli {
namespace {

// 0 or 1, whatever is wrong: a probe's answer.
int probe(const InstanceOptions& options) {
  const auto instance = find_instance(options, our_surroundings());
  if (!instance) {
    complain(instance.error().text);
    return 1;
  }
  const auto answer = ask(*instance, "GET", "/readyz");
  if (!answer) {
    complain(answer.error().text);
    return 1;
  }
  if (answer->status == 200) return kOk;
  std::fputs(answer->body.c_str(), stderr);
  return 1;
}

}  // namespace

int status(const StatusOptions& options) {
  if (options.ready) return probe(options.instance);
  const auto instance = find_instance(options.instance, our_surroundings());
  if (!instance) {
    complain(instance.error().text);
    return instance.error().code;
  }
  if (options.watch) return watch(*instance);
  const auto answer = ask(*instance, "GET", options.show_ids ? "/status?show_ids" : "/status");
  if (!answer || answer->status != 200) {
    complain(answer ? "the instance answered " + std::to_string(answer->status)
                    : answer.error().text);
    return kUnavailable;
  }
  if (options.json) {
    std::fputs(answer->body.c_str(), stdout);
    return kOk;
  }
  const auto parsed = json::parse(answer->body);
  if (!parsed) {
    complain(parsed.error().text);
    return kUnavailable;
  }
  winsize size{};
  const bool terminal = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20;
  const StatusLook look{.width = terminal ? size.ws_col : 1000, .colour = colour_on(STDOUT_FILENO)};
  for (const std::string& line : status_lines(*parsed, look)) std::puts(line.c_str());
  return kOk;
}

}  // namespace keybearer::cli
