#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <set>

#include "agent/agent.hpp"
#include "base/file.hpp"
#include "base/log.hpp"
#include "cli/commands.hpp"
#include "cli/startup.hpp"
#include "cli/terminal.hpp"
#include "cli/values_file.hpp"
#include "delivery/files.hpp"
#include "render/effects.hpp"
#include "render/preview.hpp"

namespace keybearer::cli {
namespace {

using Files = std::vector<render::RenderedFile>;

bool print(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
}

int usage_error(std::string_view what) {
  complain("render: " + std::string(what) + "; see keybearer render --help");
  return kUsage;
}

// What can't go together; kOk: nothing.
int check_use(const RenderOptions& options) {
  const bool one = !options.source.empty();
  if (options.dry_run && options.diff)
    return usage_error("--dry-run and --diff exclude each other");
  if (one && options.diff)
    return usage_error("--diff compares files with what is on the disk; a TEMPLATE has no file");
  if (one && !options.input.flags.templates.empty())
    return usage_error("either TEMPLATE (to standard output) or --template SOURCE:DESTINATION");
  if (options.once && (one || options.dry_run || options.diff))
    return usage_error("--once writes files; TEMPLATE, --dry-run and --diff write none");
  if (options.source == "-" && options.values == "-")
    return usage_error("only one of TEMPLATE and --values can be standard input");
  if (options.show_values && options.values.empty() && isatty(STDOUT_FILENO) == 0)
    return usage_error("--show-values shows secrets, on a terminal only");
  return kOk;
}

std::optional<std::string> standard_input() {
  std::string text;
  char buffer[16384];
  for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, stdin)) > 0;)
    text.append(buffer, n);
  return std::ferror(stdin) != 0 ? std::nullopt : std::optional(std::move(text));
}

// The one template of the command line instead of the configuration's. False: said why.
bool take_source(const RenderOptions& options, config::Config& config) {
  config::Template one;
  one.place = config::SourceLocation::of_flag();
  one.destination = options.source;
  if (options.source == "-") {
    auto text = standard_input();
    if (!text) {
      complain("standard input can't be read");
      return false;
    }
    one.destination = "stdin";
    one.contents = std::move(*text);
  } else {
    one.source = options.source;
    if (access(one.source.c_str(), R_OK) != 0) {
      complain(one.source + ": " + strerrordesc_np(errno));
      return false;
    }
  }
  config.templates.clear();
  config.templates.push_back(std::move(one));
  return true;
}

// What is on the disk: nullopt: nothing. Else an Error (io).
result<std::optional<std::string>> on_disk(const std::string& path) {
  auto text = read_file(path);
  if (text) return std::move(*text);
  if (text.error().number == ENOENT || text.error().number == ENOTDIR) return std::nullopt;
  return text.error().as(ErrorKind::io, path);
}

// Shows instead of writing.
class PreviewPrinter {
 public:
  explicit PreviewPrinter(const RenderOptions& options)
      : options_(options),
        values_(options.show_values || !options.values.empty() ? render::Values::shown
                                                               : render::Values::masked) {}

  // keybearer's exit code.
  int show(const Files& files) {
    for (const render::RenderedFile& file : files) {
      if (file.generation == 0) continue;
      if (options_.source.empty()) {
        show_change(file);
      } else if (options_.dry_run) {
        print("> " + file.spec->destination + "\n");
        print(render::preview(file, values_).reveal());
      } else {
        print(file.content->reveal());
      }
    }
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      complain("standard output can't be written");
      return kCantWrite;
    }
    return code_;
  }

 private:
  void show_change(const render::RenderedFile& file) {
    const std::string& path = file.spec->destination;
    const auto writable = delivery::check_destination(delivery::target_of(*file.spec));
    const auto before = path == delivery::kStandardOutput ? std::nullopt : on_disk(path);
    if (!writable || !before) {
      complain((writable ? before.error() : writable.error()).text);
      code_ = kCantWrite;
      return;
    }
    if (*before && **before == file.content->reveal()) {
      complain(path + ": would stay as it is");
      return;
    }
    if (!options_.diff) {
      print("> " + path + "\n");
      print(render::preview(file, values_).reveal());
      return;
    }
    const Secret diff = render::preview_diff(file, *before, values_);
    if (colour_on(STDOUT_FILENO))
      print(painted_diff(diff.reveal()));
    else
      print(diff.reveal());
  }

  const RenderOptions& options_;
  render::Values values_;
  int code_ = kOk;
};

// --- without a server ---

int code_of_error(const Error& error) {
  return error.kind == ErrorKind::not_found ? kNotReady : kTemplate;
}

int write_made_up(const Files& files) {
  std::vector<delivery::FileWrite> writes;
  int code = kOk;
  for (const render::RenderedFile& file : files) {
    if (file.generation == 0) continue;
    if (const auto beside = render::carry_out(file.effects); !beside) {
      complain(beside.error().text);
      code = kCantWrite;
      continue;
    }
    writes.push_back({delivery::target_of(*file.spec), file.content});
  }
  for (const auto& result : delivery::Files().apply_now(std::move(writes))) {
    if (result.written) continue;
    complain(result.written.error().text);
    code = kCantWrite;
  }
  return code;
}

// Everything is there or is not: one evaluation says all.
int render_made_up(const RenderOptions& options, const config::Config& config,
                   render::Renderer renderer) {
  auto values = ValuesFile::read(options.values, config);
  if (!values) {
    complain(values.error().text);
    return kConfig;
  }
  const auto evaluation = renderer.evaluate(*values, true);
  render::log_notes(evaluation.notes);
  int code = kOk;
  for (const Error& error : evaluation.errors) {
    complain(error.text);
    if (code == kOk || error.kind != ErrorKind::not_found) code = code_of_error(error);
  }
  std::set<std::string> said;
  for (const tmpl::Dependency& dependency : evaluation.missing) {
    const auto target = evaluation.required_by.find(dependency.id);
    if (!said.insert(dependency.id).second || target == evaluation.required_by.end()) continue;
    complain(target->second + ": " + values->why_missing(dependency));
    if (code == kOk) code = kNotReady;
  }
  const int shown = options.once ? write_made_up(renderer.files())
                                 : PreviewPrinter(options).show(renderer.files());
  return code == kOk ? shown : code;
}

// --- the command ---

// Credentials on standard output are for somebody: as with --once they are not revoked at the end,
// unless the configuration says so.
void keep_what_is_printed(config::Config& config) {
  config.lease.revoke_on_exit = config.lease.revoke_on_exit.value_or(false);
  config.auto_auth.revoke_on_exit = config.auto_auth.revoke_on_exit.value_or(false);
}

int render_to_show(const RenderOptions& options) {
  config::Input input = options.input;
  input.offline = !options.values.empty();
  input.files_only = true;
  auto loaded = load_configuration(input, Templates::parsed_later);
  if (!loaded) {
    print_problems(loaded.error());
    return cli::code_of(loaded.error());
  }
  config::Config& config = loaded->config;
  if (!options.source.empty() && !take_source(options, config)) return kUsage;
  config.env.clear();
  config.env_from.clear();
  if (config.templates.empty()) {
    print_problem("template",
                  "nothing to render: name a TEMPLATE (- for standard input), write a "
                  "[[template]], or give --template SOURCE:DESTINATION");
    return kConfig;
  }
  for (const std::string& warning : config.warnings) complain("warning: " + warning);
  auto renderer = load_templates(config);
  if (!renderer) return renderer.error();
  if (!options.values.empty()) return render_made_up(options, config, std::move(*renderer));

  if (config.auto_auth.method.used_up_by_login()) {
    complain("the wrapped secret_id would be used up by this login: not tried");
    return kConfig;
  }
  config.auto_auth.method.spare_files();
  if (!options.source.empty() && !options.dry_run) keep_what_is_printed(config);
  if (const int code = open_log(config, log::Level::warn, Lifetime::one_shot); code != kOk)
    return code;
  harden(config);
  PreviewPrinter shower(options);
  auto shared = std::make_shared<const config::Config>(std::move(config));
  auto kept = render::Renderer::make(*shared);  // parsed once more, of what it is kept with
  if (!kept) return kTemplate;
  return run_agent(std::make_shared<Rendering>(std::move(shared), std::move(*kept)), Mode::preview,
                   [&shower](const Files& files) { return shower.show(files); });
}

}  // namespace

int render(const RenderOptions& options) {
  if (const int code = check_use(options); code != kOk) return code;
  const bool show = !options.source.empty() || options.dry_run || options.diff;
  if (show || !options.values.empty()) return render_to_show(options);
  return render_files(options);
}

}  // namespace keybearer::cli
