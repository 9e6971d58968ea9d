#include "cli/arguments.hpp"

#include <doctest/doctest.h>

#include "cli/completion.hpp"

namespace keybearer::cli {
namespace {

using Words = std::vector<std::string>;

TEST_CASE("options may stand before the command, and it alone moves") {
  const auto takes_value = [](std::string_view name) {
    return name == "-c" || name == "--address";
  };
  const std::pair<Words, Words> rows[] = {
      {{"run", "-c", "x"}, {"run", "-c", "x"}},
      {{"-c", "x", "run"}, {"run", "-c", "x"}},
      {{"-c", "x", "run", "--once"}, {"run", "-c", "x", "--once"}},
      {{"--once", "-c", "run", "run"}, {"run", "--once", "-c", "run"}},
      {{"--address=a", "render", "t"}, {"render", "--address=a", "t"}},
      {{"--help"}, {"--help"}},
      {{"-c"}, {"-c"}},
      {{"-c", "x"}, {"-c", "x"}},
      {{}, {}},
      {{"-", "run"}, {"-", "run"}},
  };
  for (const auto& [given, expected] : rows) CHECK(command_first(given, takes_value) == expected);
}

TEST_CASE("a word that is no command is led to the one that was meant") {
  constexpr std::string_view kCommands[] = {"run", "render", "check"};
  CHECK(unknown_command("rum", kCommands).ends_with("did you mean \"run\"?"));
  CHECK(unknown_command("zzzz", kCommands) ==
        "no command \"zzzz\"; there are run, render and check");
  CHECK_FALSE(unknown_command("a\nb", kCommands).contains('\n'));
}

TEST_CASE("a command line that is refused is said in one line, with what was meant") {
  const Words options = {"--once", "--config", "-c", "--help"};
  const std::pair<Words, const char*> rows[] = {
      {{"run", "--onec"},
       "run: unknown option --onec; did you mean --once? (keybearer run --help)"},
      {{"run", "--confg=x"}, "run: unknown option --confg; did you mean --config? "},
      {{"run", "-c", "x", "--zzzzzzzz"}, "run: unknown option --zzzzzzzz (keybearer run --help)"},
      {{"run", "-c"}, "run: 1 required (keybearer run --help)"},
      {{"-x"}, "1 required (keybearer --help)"},
      {{"run", "--a\nb"}, "run: unknown option --a\\nb"},
  };
  for (const auto& [words, said] : rows) {
    const std::string text = usage_problem(words, "1 required", options);
    CHECK_MESSAGE(text.starts_with(said), text);
  }
  CHECK(usage_problem(Words{"get"}, "PATH is required\nRun", options) ==
        "get: PATH is required Run (keybearer get --help)");
}

TEST_CASE("an option with one dash, as Go's programs take it, is no other option's value") {
  const Words options = {"--once", "--config", "-c", "--help", "--log-level", "-o"};
  const std::pair<Words, const char*> rows[] = {
      {{"run", "-config=agent.hcl"}, "run: an option has two dashes: --config"},
      {{"render", "-c", "x", "-once"}, "render: an option has two dashes: --once"},
      {{"run", "-log-level", "debug"}, "run: an option has two dashes: --log-level"},
      {{"run", "-cagent.toml"}, ""},
      {{"run", "-o", "x", "--once"}, ""},
      {{"run", "-onceler"}, ""},
      {{"render", "-"}, ""},
      {{"render"}, ""},
  };
  for (const auto& [words, said] : rows) CHECK(single_dash(words, [&] { return options; }) == said);
}

TEST_CASE("each shell's script names every command and option; another shell has none") {
  const std::vector<CommandWords> commands = {
      {"run", "start: it's a \"program\"", {"--config", "-c"}}, {"check", "check", {"--show"}}};
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = completion_script(shell, commands);
    CAPTURE(script);
    for (const char* word : {"run", "check", "config", "show", "keybearer"})
      CHECK(script.contains(word));
  }
  CHECK(completion_script("tcsh", commands).empty());
}

TEST_CASE("options that a command line does not name are left out, but for its help") {
  const Named some(
      {"run", "--address=http://127.0.0.1:8200", "-cagent.toml", "--env-from", "kv/data/app"});
  CHECK(some("--address"));
  CHECK(some("--env"));  // as --env-from begins
  CHECK_FALSE(some("--namespace"));
  for (const char* help : {"-h", "--help", "-ch"}) CHECK(Named({"run", help})("--namespace"));
  CHECK(Named{}("--namespace"));
}

}  // namespace
}  // namespace keybearer::cli
