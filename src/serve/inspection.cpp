#include "serve/inspection.hpp"

#include <algorithm>

#include "serve/health.hpp"
#include "serve/prometheus.hpp"
#include "serve/status_html.hpp"
#include "serve/status_json.hpp"

namespace keybearer::serve {
namespace {

// The value of a parameter that needs no decoding: "json" of "/?format=json".
std::string_view parameter(std::string_view target, std::string_view name) {
  const auto query = target.find('?');
  std::string_view rest = query == target.npos ? "" : target.substr(query + 1);
  while (!rest.empty()) {
    const std::string_view one = rest.substr(0, rest.find('&'));
    const auto equals = one.find('=');
    if (equals != one.npos && one.substr(0, equals) == name) return one.substr(equals + 1);
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
  }
  return {};
}

http::ServerResponse typed(std::string type, std::string_view body) {
  http::ServerResponse response = json_response(200, body);
  response.content_type = std::move(type);
  return response;
}

http::ServerResponse page(const Snapshot& snapshot, std::string_view target) {
  if (parameter(target, "format") == "json")
    return json_response(200, status_json(snapshot, Audience::anyone));
  auto response = typed("text/html; charset=utf-8", status_html(snapshot));
  response.headers.emplace_back("Content-Security-Policy", page_security_policy());
  response.headers.emplace_back("Referrer-Policy", "no-referrer");
  return response;
}

http::ServerResponse agent_metrics(const Snapshot& snapshot, const http::ServerRequest& request) {
  const std::string_view accept = request.header("Accept");
  const bool text = parameter(request.target, "format") == "prometheus" ||
                    accept.find("prometheus") != accept.npos ||
                    accept.find("openmetrics") != accept.npos;
  if (text) return typed(kMetricsType, prometheus(snapshot, process_usage()));
  return json_response(200, agent_metrics_json(snapshot, process_usage()));
}

}  // namespace

const std::vector<std::string>& inspection_paths() {
  static const std::vector<std::string> paths = {"/livez",   "/readyz",           "/startupz",
                                                 "/metrics", "/agent/v1/metrics", "/"};
  return paths;
}

std::optional<http::ServerResponse> inspect(const Inspected& inspected,
                                            const http::ServerRequest& request) {
  std::string_view path = path_of(request.target);
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  if (std::ranges::find(inspection_paths(), path) == inspection_paths().end()) return std::nullopt;
  const bool is_metrics = path == "/metrics" || path == "/agent/v1/metrics";
  if (is_metrics && !inspected.metrics())
    return errors_response(404, "metrics are switched off (metrics.enabled)");
  if (request.method != "GET" && request.method != "HEAD") return method_not_allowed("GET, HEAD");
  if (path == "/livez") return livez();
  if (path == "/readyz" && inspected.probe) inspected.probe();
  const Snapshot now = inspected.snapshot();
  if (path == "/readyz") return readyz(now, has_parameter(request.target, "verbose"));
  if (path == "/startupz") return startupz(now);
  if (path == "/metrics") return typed(kMetricsType, prometheus(now, process_usage()));
  if (path == "/agent/v1/metrics") return agent_metrics(now, request);
  return page(now, request.target);
}

}  // namespace keybearer::serve
