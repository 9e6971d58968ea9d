// consul-template's functions that act outside: template/funcs.go.

#include <unistd.h>

#include <algorithm>

#include "tmpl/exec.hpp"
#include "tmpl/funcs/plugin.hpp"
#include "tmpl/funcs/sockaddr.hpp"
#include "tmpl/go/go_strings.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/sandbox.hpp"

namespace keybearer::tmpl {
namespace {

// path, user, group, mode in octal digits, flags (searched for "append" and "newline"), content.
Value write_to_file(Evaluation& e, Arguments a) {
  const Arguments rest = a.subspan(4);
  if (rest.empty()) throw CallError{"runtime error: index out of range [-1]"};
  const std::string_view flags = rest.size() == 2 ? rest[0].as_text() : std::string_view();
  const auto mode = parse_uint(a[3].as_text(), 8);
  if (!mode || *mode > 0xFFFFFFFF) {
    throw CallError{"strconv.ParseUint: parsing " + quote(a[3].as_text()) + ": " +
                    std::string(mode ? "value out of range" : mode.error())};
  }
  std::string content(rest.back().as_text());
  if (flags.find("newline") != std::string_view::npos) content += '\n';
  e.add_effect({.path = std::string(a[0].as_text()),
                .user = std::string(a[1].as_text()),
                .group = std::string(a[2].as_text()),
                .mode = static_cast<unsigned>(*mode & 0777),
                .append = flags.find("append") != std::string_view::npos,
                .content = std::make_shared<const Secret>(content),
                .sandbox = e.options().sandbox_path});
  return "";
}

// Where a name without a slash is found.
std::string program_path(const std::string& name,
                         const std::function<std::optional<std::string>(const std::string&)>& env) {
  if (name.find('/') != std::string::npos) return name;
  const std::string path = env("PATH").value_or("/usr/bin:/bin");
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find(':', at), path.size());
    const std::string directory = path.substr(at, end - at);
    const std::string program = (directory.empty() ? "." : directory) + "/" + name;
    if (access(program.c_str(), X_OK) == 0) return program;
    at = end + 1;
  }
  return name;
}

// Arguments are trimmed; blank ones are left out.
Value plugin(Evaluation& e, Arguments a) {
  constexpr std::chrono::seconds kLimit(30);
  if (a[0].as_text().empty()) return "";
  if (!e.options().allow_plugin)
    throw CallError{
        "starting programs is off; allow_plugin = true in [[template]] or [template_config] allows "
        "it"};
  std::vector<std::string> argv{std::string(a[0].as_text())};
  for (const Value& argument : a.subspan(1)) {
    const std::string_view text = trimmed_space(argument.as_text());
    if (!text.empty()) argv.emplace_back(text);
  }
  if (const std::string& sandbox = e.options().sandbox_path; !sandbox.empty()) {
    const auto program = resolve_beneath(sandbox, program_path(argv[0], e.options().env));
    if (!program) throw CallError{"exec " + quote(argv[0]) + ": " + program.error().text};
    argv[0] = *program;
  }
  if (!e.may_start_plugin()) return "";
  const auto begun = std::chrono::steady_clock::now();
  const auto stopped = [stop = e.work().stop_flag(), interrupted = e.options().interrupted] {
    return stop != nullptr ? stop->load() : interrupted != nullptr && interrupted();
  };
  const auto output = run_plugin(argv, kLimit, stopped);
  e.work().pause(std::chrono::steady_clock::now() - begun);
  if (!output) throw CallError{"exec " + quote(argv[0]) + ": " + output.error()};
  return Value(trimmed_space(*output));
}

Value sockaddr_(Evaluation&, Arguments a) {
  std::string pipeline;
  for (const Value& part : a)
    pipeline += (pipeline.empty() ? "" : " ") + std::string(part.as_text());
  return Value(sockaddr::evaluate(pipeline, sockaddr::this_machine()));
}

constexpr Function kFunctions[] = {
    {"plugin", plugin, "ss", true},
    {"sockaddr", sockaddr_, "s", true},
    {"writeToFile", write_to_file, "sssss", true},
};

}  // namespace

std::span<const Function> file_functions() {
  return kFunctions;
}

}  // namespace keybearer::tmpl
