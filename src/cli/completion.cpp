#include "cli/completion.hpp"

namespace keybearer::cli {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::string names_of(const std::vector<CommandWords>& commands) {
  std::string out;
  for (const CommandWords& command : commands) out += (out.empty() ? "" : " ") + command.name;
  return out;
}

// After "--" the words are another program's: its own completion, by file names.
std::string bash(const std::vector<CommandWords>& commands) {
  std::string out =
      "# bash completion of keybearer: . <(keybearer completion bash)\n"
      "_keybearer() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} i command= options=\n"
      "  COMPREPLY=()\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    [[ ${COMP_WORDS[i]} == -- ]] && { COMPREPLY=($(compgen -c -f -- \"$word\")); return; }\n"
      "    [[ -z $command && \" " +
      names_of(commands) +
      " \" == *\" ${COMP_WORDS[i]} \"* ]] && command=${COMP_WORDS[i]}\n"
      "  done\n"
      "  case $command in\n";
  for (const CommandWords& command : commands)
    out += "    " + command.name + ") options=\"" + joined(command.options) + "\" ;;\n";
  out += "    *) options=\"" + names_of(commands) +
         " --help --version\" ;;\n"
         "  esac\n"
         "  if [[ $word == -* || -z $command ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
         "  else\n"
         "    COMPREPLY=($(compgen -f -- \"$word\"))\n"
         "  fi\n"
         "}\n"
         "complete -o filenames -F _keybearer keybearer\n";
  return out;
}

std::string zsh_quoted(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'')
      out += "'\\''";
    else if (c == ':' || c == '\\')
      (out += '\\') += c;
    else
      out += c;
  }
  return out;
}

std::string zsh(const std::vector<CommandWords>& commands) {
  std::string out =
      "#compdef keybearer\n"
      "# zsh completion of keybearer: keybearer completion zsh > \"${fpath[1]}/_keybearer\"\n"
      "_keybearer() {\n"
      "  local -a commands options\n"
      "  local command= word\n"
      "  commands=(\n";
  for (const CommandWords& command : commands)
    out += "    '" + command.name + ":" + zsh_quoted(command.description) + "'\n";
  out +=
      "  )\n"
      "  for word in ${words[2,CURRENT-1]}; do\n"
      "    [[ $word == -- ]] && { _normal; return }\n"
      "    [[ -z $command && -n ${(M)commands:#$word:*} ]] && command=$word\n"
      "  done\n"
      "  case $command in\n";
  for (const CommandWords& command : commands)
    out += "    " + command.name + ") options=(" + joined(command.options) + ") ;;\n";
  out +=
      "    *) _describe 'command' commands; return ;;\n"
      "  esac\n"
      "  if [[ $PREFIX == -* ]]; then compadd -- $options; else _files; fi\n"
      "}\n"
      "compdef _keybearer keybearer\n";
  return out;
}

std::string fish_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string fish(const std::vector<CommandWords>& commands) {
  const std::string names = names_of(commands);
  std::string out = "# fish completion of keybearer: keybearer completion fish | source\n";
  for (const CommandWords& command : commands) {
    out += "complete -c keybearer -f -n \"not __fish_seen_subcommand_from " + names + "\" -a " +
           command.name + " -d " + fish_quoted(command.description) + "\n";
    for (const std::string& option : command.options) {
      const bool is_long = option.starts_with("--");
      out += "complete -c keybearer -n \"__fish_seen_subcommand_from " + command.name + "\" " +
             (is_long ? "-l " + option.substr(2) : "-s " + option.substr(1)) + "\n";
    }
  }
  return out;
}

}  // namespace

std::string completion_script(std::string_view shell, const std::vector<CommandWords>& commands) {
  if (shell == "bash") return bash(commands);
  if (shell == "zsh") return zsh(commands);
  if (shell == "fish") return fish(commands);
  return {};
}

}  // namespace keybearer::cli
