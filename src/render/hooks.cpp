#include "render/hooks.hpp"

#include <algorithm>

#include "base/backoff.hpp"
#include "base/hook.hpp"
#include "base/log.hpp"

namespace keybearer::render {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kShortestMasked =
    6;  // shorter words are no secrets worth the holes they would leave

void replace_all(std::string& text, std::string_view what) {
  constexpr std::string_view kMask = "[masked]";
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += kMask.size()) {
    text.replace(at, what.size(), kMask);
  }
}

}  // namespace

struct Hooks::Run {
  const config::Template* spec;
  EnvBlock environment;
  std::vector<Secret> masked;
};

std::vector<std::string> masked_lines(std::string output, const std::vector<Secret>& masked) {
  std::vector<std::string_view> words;
  for (const Secret& secret : masked) {
    const std::string_view content = secret.reveal();
    for (std::size_t begin = 0; begin < content.size();) {
      const auto end = std::min(content.find_first_of(" \t\r\n=\"',;", begin), content.size());
      if (end - begin >= kShortestMasked) words.push_back(content.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  // The longest first, so that no rest of one is left.
  std::ranges::sort(words, [](std::string_view a, std::string_view b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  });
  const auto repeated = std::ranges::unique(words);
  words.erase(repeated.begin(), repeated.end());
  for (const std::string_view word : words) replace_all(output, word);
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < output.size();) {
    const auto end = std::min(output.find('\n', begin), output.size());
    if (end > begin) lines.push_back(output.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

void Hooks::start(const config::Template& spec, EnvBlock environment, std::vector<Secret> masked) {
  auto run = std::make_shared<Run>(Run{&spec, std::move(environment), std::move(masked)});
  newest_[&spec] = run;
  ++first_runs_;
  tasks_.spawn(carry_out(std::move(run)));
  changed_.set();
}

asio::awaitable<void> Hooks::carry_out(std::shared_ptr<Run> run) {
  Backoff backoff({std::chrono::seconds(1), std::chrono::minutes(1)});
  for (bool first = true; newest_[run->spec] == run; first = false) {
    const auto result = co_await run_hook(run->spec->command.argv, run->environment.clone(),
                                          run->spec->command_timeout);
    if (first) {
      --first_runs_;
      changed_.set();
    }
    const std::string& path = run->spec->destination;
    if (result) {
      for (const std::string& line : masked_lines(result->output, run->masked))
        log::info("hook.output", line, {{"path", path}});
    }
    if (result && !result->timed_out && result->status.shell_code() == 0) {
      log::info("hook.done", "command done", {{"path", path}});
      co_return;
    }
    const Duration pause = backoff.next(random_.fraction());
    const std::string reason =
        !result             ? result.error().text
        : result->timed_out ? "killed after its time-out"
                            : "ended with code " + std::to_string(result->status.shell_code());
    log::error("hook.failed", "the command failed; trying again",
               {{"path", path}, {"reason", reason}});
    co_await sleep_for(pause);
  }
}

asio::awaitable<void> Hooks::run() {
  for (;;) {  // the group may be empty and fill again
    co_await tasks_.join();
    if (tasks_.cancelled()) co_return;
    co_await changed_.wait(changed_.generation());
  }
}

asio::awaitable<void> Hooks::idle() {
  while (first_runs_ > 0) co_await changed_.wait(changed_.generation());
}

}  // namespace keybearer::render
