#include "config/read_listener.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/owner.hpp"
#include "config/request_pattern.hpp"

namespace keybearer::config {
namespace {

struct HostPort {
  std::string host;
  bool loopback = false;
};

// "127.0.0.1:8200", "[::1]:8200", "localhost:8200".
result<HostPort> parse_host_port(const std::string& text) {
  const auto wrong = [&] {
    const bool path = text.starts_with("unix:") || text.starts_with('/');
    const bool url = text.find("://") != std::string::npos;
    return fail(ErrorKind::config,
                "bad address \"" + escaped(text) + "\"; " +
                    (path  ? "a socket is type = \"unix\" with its path as address"
                     : url ? "it is no URL: \"127.0.0.1:8200\"; TLS is by tls_cert_file"
                           : "expected an IP address and a port, such as \"127.0.0.1:8200\" or "
                             "\"[::1]:8200\""));
  };
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) return wrong();
  HostPort out{text.substr(0, colon)};
  unsigned port = 0;
  const char* const end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data() + colon + 1, end, port);
  if (error != std::errc{} || last != end || port > 65535) return wrong();
  const bool v6 = out.host.starts_with('[') && out.host.ends_with(']');
  if (v6) out.host = out.host.substr(1, out.host.size() - 2);
  unsigned char address[sizeof(in6_addr)];
  const bool good =
      v6 ? inet_pton(AF_INET6, out.host.c_str(), address) == 1
         : out.host == "localhost" || inet_pton(AF_INET, out.host.c_str(), address) == 1;
  if (!good) return wrong();
  out.loopback = out.host == "localhost" || out.host == "::1" || out.host.starts_with("127.");
  return out;
}

// allow = ["GET secret/*"], or [{ who = "uid:1000", rules = ["GET secret/*"] }], or both.
void read_allow(Context& context, Reader& r, Listener& listener) {
  const toml::node* node = r.find("allow");
  if (node == nullptr) return context.origin("listener.allow", "all", {});
  const auto wrong = [&] {
    r.problem("allow",
              R"(expected requests, such as "GET secret/data/app/*", or tables of who and rules)");
  };
  const toml::array* items = node->as_array();
  if (items == nullptr) return wrong();
  Listener::Rule everybody;
  for (const toml::node& item : *items) {
    if (const auto* text = item.as_string()) {
      everybody.requests.push_back(text->get());
      continue;
    }
    const toml::table* table = item.as_table();
    if (table == nullptr) return wrong();
    Reader rule(context, table, r.name_of("allow"));
    std::vector<std::string> who, requests;
    rule.read("rules", requests);
    if (const toml::node* one = rule.find("who"); one != nullptr && one->as_array() == nullptr) {
      rule.read("who", who.emplace_back());
    } else {
      rule.read("who", who);
    }
    if (who.empty())
      rule.problem("who", "required: \"uid:1000\", \"CN=name\" or a certificate's name");
    if (requests.empty())
      rule.problem("rules", "required: requests, such as \"GET secret/data/app/*\"");
    for (const std::string& name : who) listener.allow.push_back({name, requests});
  }
  if (!everybody.requests.empty()) listener.allow.push_back(std::move(everybody));
  for (const Listener::Rule& rule : listener.allow) {
    for (const std::string& request : rule.requests) {
      if (const auto pattern = parse_pattern(request); !pattern)
        r.problem("allow", pattern.error().text + " (+ is one segment, * at the end the rest)");
    }
  }
  context.origin("listener.allow", std::to_string(items->size()) + " rules", place_of(*node));
}

void read_uids(Context& context, Reader& r, Listener& listener) {
  const toml::node* node = r.find("allow_uids");
  if (node == nullptr) return context.origin("listener.allow_uids", "whoever the mode lets", {});
  std::string shown;
  const toml::array* uids = node->as_array();
  for (std::size_t i = 0; uids != nullptr && i < uids->size(); ++i) {
    const auto uid = uids->get(i)->value_exact<std::int64_t>();
    if (!uid || *uid < 0 || *uid > std::numeric_limits<unsigned>::max()) {
      uids = nullptr;
      break;
    }
    listener.allow_uids.push_back(static_cast<unsigned>(*uid));
    shown += (shown.empty() ? "" : ", ") + std::to_string(*uid);
  }
  if (uids == nullptr) return r.problem("allow_uids", "expected an array of user ids");
  context.origin("listener.allow_uids", shown, place_of(*node));
}

// rate_limit = 10, or "10/s".
void read_rate(Context& context, Reader& r, Listener& listener) {
  constexpr int kMost = 1'000'000;
  const toml::node* node = r.find("rate_limit");
  const auto* text = node == nullptr ? nullptr : node->as_string();
  if (text == nullptr) return r.read("rate_limit", listener.rate_limit, 0, kMost);
  int rate = 0;
  const std::string& given = text->get();
  const char* const end = given.data() + given.size();
  const auto [last, error] = std::from_chars(given.data(), end, rate);
  if (error != std::errc{} || std::string_view(last, end) != "/s" || rate < 0 || rate > kMost) {
    return r.problem("rate_limit", "\"" + escaped(given) +
                                       "\": expected requests per second, such as 10 or \"10/s\"");
  }
  listener.rate_limit = rate;
  context.origin("listener.rate_limit", given, place_of(*node));
}

void read_tls(Context& context, Reader& r, Listener& listener) {
  r.read("tls_disable", listener.tls_disable);
  r.read("tls_cert_file", listener.tls_cert_file);
  r.read("tls_key_file", listener.tls_key_file);
  r.read("tls_client_ca_file", listener.tls_client_ca_file);
  r.read("tls_crl_file", listener.tls_crl_file);
  r.read_choice("tls_min_version", listener.tls13_only, {{"tls12", false}, {"tls13", true}});
  r.read("tls_require_and_verify_client_cert", listener.tls_require_client_cert);
  if (listener.tls_disable) return;
  const bool cert = !listener.tls_cert_file.empty();
  if (cert != !listener.tls_key_file.empty())
    r.problem(cert ? "tls_cert_file" : "tls_key_file",
              "tls_cert_file and tls_key_file go together");
  if (cert && listener.type == Listener::Type::unix_socket)
    r.problem("tls_cert_file", "there is no TLS on a unix socket");
  if (listener.tls_require_client_cert && listener.tls_client_ca_file.empty())
    r.problem("tls_require_and_verify_client_cert",
              "needs tls_client_ca_file: whose certificates are accepted");
  if (!cert && (listener.tls_require_client_cert || !listener.tls_client_ca_file.empty()))
    r.problem(listener.tls_require_client_cert ? "tls_require_and_verify_client_cert"
                                               : "tls_client_ca_file",
              "needs tls_cert_file and tls_key_file");
  if (!listener.tls_crl_file.empty() && listener.tls_client_ca_file.empty())
    r.problem("tls_crl_file", "needs tls_client_ca_file");
  (void)context;
}

// Who a rule is for can be known on this listener.
void check_who(Reader& r, const Listener& listener) {
  const bool local = listener.type == Listener::Type::unix_socket;
  for (const Listener::Rule& rule : listener.allow) {
    if (rule.who.empty()) continue;
    const bool is_number = rule.who.starts_with("uid:") || rule.who.starts_with("gid:");
    const std::string_view number = std::string_view(rule.who).substr(is_number ? 4 : 0);
    const std::string who = "\"" + escaped(rule.who) + "\": ";
    if (is_number && (number.empty() || number.find_first_not_of("0123456789") != number.npos))
      r.problem("allow", who + "expected a number, such as \"uid:1000\"");
    else if (is_number && !local)
      r.problem("allow", who + "is for a unix socket, where users are known: type = \"unix\"");
    else if (!is_number && local)
      r.problem("allow", who + "expected \"uid:1000\" or \"gid:1000\" on a unix socket");
    else if (!is_number && listener.tls_client_ca_file.empty())
      r.problem("allow", who + "a certificate's name needs tls_client_ca_file");
  }
}

void read_hosts(Reader& r, Listener& listener) {
  r.read("allow_hosts", listener.allow_hosts);
  for (const std::string& host : listener.allow_hosts)
    if (host.empty() || host.find_first_of("/@, ") != std::string::npos)
      r.problem("allow_hosts",
                "\"" + escaped(host) + "\": expected a name, such as \"vault.local\"");
  r.read("allow_origins", listener.allow_origins);
  for (const std::string& origin : listener.allow_origins) {
    const auto scheme = origin.find("://");
    if (scheme == std::string::npos || scheme == 0 || scheme + 3 == origin.size() ||
        origin.find('/', scheme + 3) != std::string::npos)
      r.problem("allow_origins", "\"" + escaped(origin) +
                                     "\": expected scheme, name and port as a browser sends them, "
                                     "such as \"https://ui.local\"");
  }
}

void read_timeout(Reader& r, std::string_view key, Duration& out) {
  r.read(key, out);
  if (out <= Duration::zero()) r.problem(key, "expected more than zero");
}

void check_place(Reader& r, Listener& listener, bool address_given) {
  if (listener.type == Listener::Type::unix_socket) {
    if (!address_given) return r.problem("address", "required: the path of the socket");
    if (listener.address.size() > 107)
      r.problem("address", "too long for a socket's path (107 bytes)");
    for (const char* key : {"allow_plain"})
      if (r.has(key)) r.problem(key, "is for tcp");
    return;
  }
  for (const char* key : {"socket_mode", "socket_user", "socket_group", "allow_uids"})
    if (r.has(key)) r.problem(key, "is for a unix socket: type = \"unix\"");
  const auto place = parse_host_port(listener.address);
  if (!place) return r.problem("address", place.error().text);
  const bool plain = listener.tls_disable || listener.tls_cert_file.empty();
  if (!place->loopback && plain && !listener.allow_plain) {
    r.problem("address", "\"" + listener.address +
                             "\" can be reached from elsewhere: set tls_cert_file and "
                             "tls_key_file, or allow_plain = true where the network is safe");
  }
}

}  // namespace

void read_listeners(Context& context, Reader& top, Config& config) {
  top.each_table("listener", [&](const toml::table& table, const std::string& prefix) {
    Reader r(context, &table, prefix);
    Listener listener;
    listener.place = r.place();
    r.read_choice("type", listener.type,
                  {{"tcp", Listener::Type::tcp}, {"unix", Listener::Type::unix_socket}});
    r.read("address", listener.address);
    r.read("allow_plain", listener.allow_plain);
    r.read_choice(
        "role", listener.role,
        {{"default", Listener::Role::standard}, {"metrics_only", Listener::Role::metrics_only}});
    r.read("require_request_header", listener.require_request_header);
    r.describe_default("require_request_header", "true for tcp, false for unix");
    read_allow(context, r, listener);
    r.read_choice("allow_mode", listener.allow_mode,
                  {{"enforce", Listener::AllowMode::enforce}, {"log", Listener::AllowMode::log}});
    read_hosts(r, listener);
    r.read_mode("socket_mode", listener.socket_mode);
    r.read("socket_user", listener.socket_user);
    r.read("socket_group", listener.socket_group);
    if (const auto owner = owner_of(listener.socket_user, listener.socket_group);
        !owner && !context.offline)
      r.problem(owner_of(listener.socket_user, "") ? "socket_group" : "socket_user",
                owner.error().text);
    read_uids(context, r, listener);
    read_tls(context, r, listener);
    r.read_size("max_request_size", listener.max_request_size);
    r.read("max_connections", listener.max_connections, 1, 100'000);
    read_rate(context, r, listener);
    read_timeout(r, "header_timeout", listener.header_timeout);
    read_timeout(r, "idle_timeout", listener.idle_timeout);
    read_timeout(r, "progress_timeout", listener.progress_timeout);
    {
      Reader api(context, r.table("agent_api"), prefix + ".agent_api");
      api.read("enable_quit", listener.enable_quit);
    }
    check_place(r, listener, table.contains("address"));
    check_who(r, listener);
    const auto twin = std::ranges::find(config.listeners, listener.address, &Listener::address);
    if (twin != config.listeners.end() && !listener.address.ends_with(":0"))
      r.problem("address", "another listener has it, too");
    if (listener.allow_plain && listener.type == Listener::Type::tcp)
      config.warnings.push_back(listener.place.text() + ": listener.allow_plain: requests to " +
                                listener.address + " are not encrypted");
    config.listeners.push_back(std::move(listener));
  });
}

void read_api_proxy(Context& context, Reader& top, ApiProxy& proxy) {
  Reader r(context, top.table("api_proxy"), "api_proxy");
  const toml::node* node = r.find("use_auto_auth_token");
  if (node != nullptr && node->as_boolean() != nullptr) {
    bool on = true;
    r.read("use_auto_auth_token", on);
    proxy.use_auto_auth_token = on ? ApiProxy::UseToken::yes : ApiProxy::UseToken::no;
  } else if (node != nullptr && node->value<std::string_view>() == "force") {
    proxy.use_auto_auth_token = ApiProxy::UseToken::force;
    context.origin("api_proxy.use_auto_auth_token", "force", place_of(*node));
  } else if (node != nullptr) {
    r.problem("use_auto_auth_token", "expected true, false or \"force\"");
  } else {
    r.describe_default("use_auto_auth_token", "true");
  }
  r.read("allow_token_creation", proxy.allow_token_creation);
}

void read_cache(Context& context, Reader& top, Cache& cache) {
  const toml::table* table = top.table("cache");
  cache.enabled = table != nullptr;
  Reader r(context, table, "cache");
  r.read("kv_ttl", cache.kv_ttl);
  r.read("lists", cache.lists);
  r.read("tokens", cache.tokens);
  int entries = static_cast<int>(cache.max_entries);
  r.read("max_entries", entries, 1, 1'000'000);
  cache.max_entries = static_cast<std::size_t>(entries);
  r.read_size("max_size", cache.max_size);
  r.read("check_interval", cache.check_interval);
  r.describe_default("check_interval", "never");
  if (cache.check_interval && *cache.check_interval <= Duration::zero())
    r.problem("check_interval", "expected more than zero");
  r.read("max_stale", cache.max_stale);
  r.describe_default("max_stale", "none");
}

}  // namespace keybearer::config
