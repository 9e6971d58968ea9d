#include "serve/health.hpp"

#include "json/json.hpp"
#include "serve/readiness.hpp"
#include "serve/status_json.hpp"

namespace keybearer::serve {
namespace {

constexpr const char* kText = "text/plain; charset=utf-8";

http::ServerResponse made(int status, const char* type, std::string_view body) {
  http::ServerResponse response{.status = status, .content_type = type, .body = Secret(body)};
  response.headers.emplace_back("Cache-Control", "no-store");
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  return response;
}

}  // namespace

std::string_view path_of(std::string_view target) {
  return target.substr(0, target.find('?'));
}

bool has_parameter(std::string_view target, std::string_view name) {
  const auto query = target.find('?');
  std::string_view rest = query == target.npos ? "" : target.substr(query + 1);
  while (!rest.empty()) {
    const std::string_view one = rest.substr(0, rest.find('&'));
    if (one.substr(0, one.find('=')) == name) return true;
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
  }
  return false;
}

http::ServerResponse json_response(int status, std::string_view body) {
  return made(status, "application/json", body);
}

http::ServerResponse errors_response(int status, std::string_view text) {
  return json_response(status, "{\"errors\":[" + json::quote(text) + "]}\n");
}

http::ServerResponse method_not_allowed(std::string_view allowed) {
  auto response = errors_response(405, "expected " + std::string(allowed));
  response.headers.emplace_back("Allow", std::string(allowed));
  return response;
}

http::ServerResponse livez() {
  return made(200, kText, "ok\n");
}

http::ServerResponse readyz(const Snapshot& snapshot, bool verbose) {
  const Readiness health = readiness(snapshot);
  const int status = health.ready() ? 200 : 503;
  if (verbose) return json_response(status, readiness_json(snapshot, health));
  std::string text = health.ready() ? "ok\n" : "";
  for (const Readiness::Reason& reason : health.reasons)
    text += reason.subject + ": " + reason.text + "\n";
  return made(status, kText, text);
}

http::ServerResponse startupz(const Snapshot& snapshot) {
  return snapshot.instance.ready ? made(200, kText, "ok\n") : made(503, kText, "starting\n");
}

}  // namespace keybearer::serve
