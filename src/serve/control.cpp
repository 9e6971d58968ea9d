#include "serve/control.hpp"

#include "base/exit_code.hpp"
#include "json/json.hpp"
#include "serve/health.hpp"
#include "serve/status_json.hpp"

namespace keybearer::serve {
namespace {

namespace asio = boost::asio;
using asio::awaitable;

Value texts(const std::vector<std::string>& items) {
  List list;
  for (const std::string& item : items) list.emplace_back(item);
  return Value::list(std::move(list));
}

std::optional<std::string> member(const Value& map, std::string_view name) {
  const Value* found = map.is_map() ? map.find(name) : nullptr;
  if (found == nullptr || !found->is_text()) return std::nullopt;
  return std::string(found->as_text());
}

// The body is {"secret": ..., "template": ...}, or nothing: all of them.
awaitable<http::ServerResponse> rotate(const ControlActions& actions,
                                       const http::ServerRequest& request) {
  RotateRequest wanted;
  if (!request.body.empty()) {
    const auto body = json::parse(request.body.reveal());
    if (!body || !body->is_map())
      co_return errors_response(400, "expected a JSON object with \"secret\" or \"template\"");
    wanted = {.secret = member(*body, "secret"), .target = member(*body, "template")};
  }
  const auto rotated = co_await actions.rotate(std::move(wanted));
  if (!rotated) {
    const bool unknown = rotated.error().kind == ErrorKind::not_found;
    co_return errors_response(unknown ? 404 : 503, rotated.error().text);
  }
  List list;
  for (const Rotated& each : *rotated) {
    Value map = Value::map();
    map.set("path", each.path);
    map.set("done", each.done);
    map.set("text", each.text);
    list.push_back(std::move(map));
  }
  Value answer = Value::map();
  answer.set("secrets", Value::list(std::move(list)));
  co_return json_response(200, json::write(answer) + "\n");
}

awaitable<http::ServerResponse> reload(const ControlActions& actions) {
  const ReloadOutcome outcome = co_await actions.reload();
  Value answer = Value::map();
  answer.set("applied", outcome.applied);
  answer.set("code", outcome.code);
  answer.set("changed", texts(outcome.changed));
  answer.set("needs_restart", texts(outcome.needs_restart));
  if (!outcome.errors.empty()) answer.set("errors", texts(outcome.errors));
  const int refused = outcome.code == kUnavailable ? 503 : 400;
  co_return json_response(outcome.applied ? 200 : refused, json::write(answer) + "\n");
}

}  // namespace

awaitable<http::ServerResponse> control(const ControlActions& actions,
                                        http::ServerRequest request) {
  const std::string_view path = path_of(request.target);
  const bool get = request.method == "GET", post = request.method == "POST";
  if (path == "/status") {
    if (!get) co_return method_not_allowed("GET");
    const bool ids = has_parameter(request.target, "show_ids");
    co_return json_response(200, status_json(actions.inspected.snapshot(),
                                             ids ? Audience::owner_ids : Audience::owner));
  }
  if (path == "/rotate")
    co_return post ? co_await rotate(actions, request) : method_not_allowed("POST");
  if (path == "/reload") co_return post ? co_await reload(actions) : method_not_allowed("POST");
  if (path == "/stop") {
    if (!post) co_return method_not_allowed("POST");
    actions.stop();
    co_return json_response(202, "{\"stopping\":true}\n");
  }
  if (auto shown = inspect(actions.inspected, request)) co_return std::move(*shown);
  co_return errors_response(404, "no such path");
}

}  // namespace keybearer::serve
