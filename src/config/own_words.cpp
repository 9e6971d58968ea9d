#include "config/own_words.hpp"

#include <charconv>
#include <string_view>
#include <utility>

namespace keybearer::config {
namespace {

// What our own texts are made of: a value that is one of these is not seen in them.
constexpr std::string_view kOurs =
    "address answer certificate command configuration connection credential default denied "
    "destination directory error expired failed forbidden function invalid kubernetes lease login "
    "method missing namespace network password path permission refused renewal request "
    "revoked role secret secret_id role_id server service template timeout token token_file "
    "unknown username value variable vault version wrapping database approle policy";

class Words {
 public:
  void add(std::string_view word) {
    if (word.empty()) return;
    text_ += word;
    text_ += '\n';
  }
  void add(const std::vector<std::string>& words) {
    for (const std::string& word : words) add(word);
  }
  void add(const ValueSource& value) {
    add(value.source);
    add(value.secret);
    add(value.key);
  }
  void add(const std::vector<NamedValue>& values) {
    for (const NamedValue& named : values) {
      add(named.name);
      add(named.node.value);
      add(named.node.children);
    }
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace

std::string own_words(const Config& config) {
  Words words;
  words.add(kOurs);
  for (const std::string* word :
       {&config.name, &config.pid_file, &config.log_file, &config.vault.vault_namespace,
        &config.vault.ca_cert, &config.vault.ca_path, &config.vault.client_cert,
        &config.vault.client_key, &config.vault.tls_server_name, &config.exec.working_directory})
    words.add(*word);
  words.add(config.vault.address);
  words.add(config.files);
  for (const Command* command :
       {&config.notify.command, &config.exec.command, &config.exec.verify.command})
    words.add(command->argv);
  const Method& method = config.auto_auth.method;
  words.add(method.mount_path);
  for (const std::string_view word : method.texts()) words.add(word);
  for (const Sink& sink : config.auto_auth.sinks)
    for (const std::string* word : {&sink.path, &sink.user, &sink.group}) words.add(*word);
  if (const auto& identity = config.auto_auth.verify_identity) {
    words.add(identity->entity_id);
    words.add(identity->policies);
    for (const auto& [key, value] : identity->metadata) words.add(key), words.add(value);
  }
  for (const SecretRule& rule : config.secrets) {
    words.add(rule.path);
    words.add(rule.name);
    for (const auto& [key, value] : rule.data) words.add(key), words.add(value);
  }
  for (const Template& spec : config.templates) {
    for (const std::string* word :
         {&spec.source, &spec.destination, &spec.user, &spec.group, &spec.sandbox_path})
      words.add(*word);
    words.add(spec.values);
    words.add(spec.command.argv);
  }
  for (const EnvVar& variable : config.env) {
    words.add(variable.name);
    words.add(variable.value);
    words.add(variable.rule.pattern);
  }
  for (const EnvFrom& from : config.env_from) {
    words.add(from.secret);
    words.add(from.prefix);
    words.add(from.keys);
    for (const auto& [key, name] : from.names) words.add(key), words.add(name);
  }
  return words.take();
}

namespace {

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    unsigned byte = 0;
    const char* digits = text.data() + at + 1;
    if (text[at] == '%' && at + 2 < text.size() &&
        std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      out += static_cast<char>(byte);
      at += 2;
    } else {
      out += text[at];
    }
  }
  return out;
}

// "user:password" of "http://user:password@proxy:3128", and the password alone.
void add_password(const std::string& url, std::vector<std::string>& out) {
  const auto scheme = url.find("://");
  const auto begin = scheme == std::string::npos ? 0 : scheme + 3;
  const auto end = url.find_last_of('@', url.find('/', begin));
  if (end == std::string::npos || end < begin) return;
  const std::string both = url.substr(begin, end - begin);
  const auto colon = both.find(':');
  if (colon == std::string::npos) return;
  for (const std::string& text : {both, both.substr(colon + 1)}) {
    out.push_back(text);
    out.push_back(percent_decoded(text));
  }
}

}  // namespace

std::vector<std::string> credentials_of(const Config& config) {
  const Method& method = config.auto_auth.method;
  std::vector<std::string> out;
  for (const std::string_view secret : method.secrets()) out.emplace_back(secret);
  out.push_back(method.text("role_id"));
  for (const auto& [name, value] : config.vault.headers) out.push_back(value);
  for (const std::string& url :
       {config.vault.proxy_address.value_or(""), config.vault.https_proxy, config.vault.http_proxy})
    add_password(url, out);
  return out;
}

}  // namespace keybearer::config
