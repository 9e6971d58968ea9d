#include "agent/control.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <cstring>
#include <map>

#include "base/directory.hpp"
#include "base/exit_code.hpp"
#include "base/log.hpp"
#include "base/task_group.hpp"
#include "base/timer.hpp"
#include "config/scalars.hpp"
#include "http/server.hpp"
#include "http/url.hpp"

namespace keybearer {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;

constexpr Duration kStartFirst = 100ms;        // the child's start goes before the socket
constexpr std::size_t kMostAsked = 64 * 1024;  // bytes of a request
constexpr Duration kLookAgain = 20ms;          // for what came of a rotation, while somebody waits

bool is_template(const config::Template& spec, std::string_view name) {
  const auto file = [](std::string_view path) { return path.substr(path.rfind('/') + 1); };
  return spec.destination == name || spec.source == name || file(spec.destination) == name;
}

std::vector<std::string> ids_of_template(const DeliveryLoop& delivery, std::string_view name,
                                         bool& known) {
  std::vector<std::string> ids;
  for (const render::RenderedFile& file : delivery.rendering().renderer.files()) {
    if (!is_template(*file.spec, name)) continue;
    known = true;
    const std::vector<std::string>& asked = delivery.asked_by(file.spec->destination);
    ids.insert(ids.end(), asked.begin(), asked.end());
  }
  return ids;
}

result<std::vector<std::string>> ids_of(const secrets::SecretStore& secrets,
                                        const DeliveryLoop& delivery,
                                        const serve::RotateRequest& wanted) {
  std::vector<std::string> ids;
  if (wanted.target) {
    bool known = false;
    ids = ids_of_template(delivery, *wanted.target, known);
    if (!known) return fail(ErrorKind::not_found, "no template " + config::escaped(*wanted.target));
  }
  if (wanted.secret) {
    const auto named = secrets.find(*wanted.secret);
    if (named.empty()) {
      return fail(ErrorKind::not_found,
                  "no secret " + config::escaped(*wanted.secret) + " is in use here");
    }
    if (!wanted.target) return named;
    std::erase_if(ids, [&named](const std::string& id) {
      return std::ranges::find(named, id) == named.end();
    });
    return ids;
  }
  if (!wanted.target)
    for (const secrets::Status* status : secrets.all()) ids.push_back(status->id);
  return ids;
}

struct Before {
  std::uint64_t generation = 0;
  Outcomes fetches;
};

std::uint64_t finished(const Outcomes& counted) {
  return counted.succeeded + counted.refused + counted.unanswered;
}

// A refusal is counted when it comes; what it means stands only after the token was looked up.
bool is_over(const secrets::Status& status, const Before& before) {
  if (status.fetches.succeeded != before.fetches.succeeded) return true;
  return finished(status.fetches) != finished(before.fetches) && status.error.has_value();
}

serve::Rotated rotated(const secrets::Status& status, const Before& before) {
  serve::Rotated out{.path = status.path, .text = {}};
  if (!is_over(status, before)) {
    out.text = "no answer yet; it goes on";
  } else if (status.generation != before.generation) {
    out.done = true;
    out.text = status.why;
  } else if (status.error) {
    out.text = status.error->text;
  } else {
    out.done = true;
    out.text = "unchanged";
    if (status.kv_version > 0) out.text += " (version " + std::to_string(status.kv_version) + ")";
  }
  return out;
}

bool is_live(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
         errno == EAGAIN;
}

// Of instances of this name that were killed.
void remove_stale(const std::string& socket) {
  for (const std::string& other : config::sockets_beside(socket))
    if (other != socket && !is_live(other)) unlink(other.c_str());
}

// The file's mode says so, too; whoever got past it, is told by the kernel.
awaitable<void> for_owner(http::Exchange& exchange, const http::Handler& answer) {
  const auto& who = exchange.peer().credentials;
  if (who && (who->uid == 0 || who->uid == geteuid())) co_return co_await answer(exchange);
  exchange.close_after();
  (void)co_await exchange.respond(
      http::error_response(403, "only for the user that runs keybearer, and root"));
}

using Listening = std::shared_ptr<http::Server>;

result<Listening> listen_at(const asio::any_io_executor& executor, const std::string& socket,
                            const http::Handler& handler) {
  const auto slash = socket.rfind('/');
  const std::string above = slash == socket.npos ? "." : socket.substr(0, std::max(slash, 1UL));
  auto directory = open_directory(above, {}, Missing::make);
  if (!directory) return std::unexpected(std::move(directory).error());
  auto url = http::parse_url("unix://" + (*directory)->path + "/" +
                             socket.substr(slash == socket.npos ? 0 : slash + 1));
  if (!url) return std::unexpected(std::move(url).error());
  auto server = std::make_shared<http::Server>(
      executor, http::ServerOptions{.address = std::move(*url), .limits = {.max_connections = 16}},
      handler);
  if (auto listening = server->listen(); !listening)
    return std::unexpected(std::move(listening).error());
  return server;
}

// The socket of this name, or one with our pid in its name where another instance has that.
result<Listening> open_socket(const asio::any_io_executor& executor, const config::Control& control,
                              const std::string& name, const config::Surroundings& around,
                              const http::Handler& handler) {
  std::optional<Error> first;
  for (const std::string& socket : config::control_sockets(control, name, around)) {
    remove_stale(socket);
    const std::string beside = config::with_pid(socket, getpid());
    bool taken = is_live(socket);
    auto listening = listen_at(executor, taken ? beside : socket, handler);
    if (!listening && !taken && is_live(socket)) {  // by now
      taken = true;
      listening = listen_at(executor, beside, handler);
    }
    if (listening) {
      if (taken) {
        log::info(
            "control.socket_taken",
            "another instance of this name has the control socket; this one has its pid in it",
            {{"taken", socket}, {"socket", beside}});
      } else {
        log::debug("control.listening", "control socket", {{"socket", socket}});
      }
      return listening;
    }
    if (!first) first = std::move(listening).error();
  }
  return std::unexpected(first.value_or(Error{ErrorKind::io, "no place for it"}));
}

awaitable<void> run_server(Listening server) {
  co_await server->run();
}

struct ControlSocket {
  config::Control control;
  std::string name;
  config::Surroundings around;
  http::Handler handler;
  Event& reloaded;
  TaskGroup& tasks;

  // A reload opens one that was removed, or could not be made before.
  awaitable<void> keep_open() {
    const auto executor = co_await asio::this_coro::executor;
    Listening server;
    for (std::uint64_t seen = reloaded.generation();; seen = reloaded.generation()) {
      if (!server || !server->can_be_reached()) {
        auto opened = open_socket(executor, control, name, around, handler);
        if (opened) {
          if (server) server->stop();
          server = *std::move(opened);
          tasks.spawn(run_server(server));
        } else {
          log::warn("control.unavailable",
                    "no control socket: status, rotate, reload and stop can't work",
                    {{"reason", opened.error().text}});
        }
      }
      (void)co_await reloaded.wait(seen);
    }
  }
};

}  // namespace

awaitable<result<std::vector<serve::Rotated>>> rotate(secrets::SecretStore& secrets,
                                                      const DeliveryLoop& delivery,
                                                      serve::RotateRequest wanted, Duration limit) {
  const auto ids = ids_of(secrets, delivery, wanted);
  if (!ids) co_return std::unexpected(ids.error());
  std::map<std::string, Before> before;
  for (const std::string& id : *ids) {
    const secrets::Status* status = secrets.status(id);
    if (status == nullptr) continue;
    if (before.emplace(status->id, Before{status->generation, status->fetches}).second)
      secrets.refresh(status->id);
  }
  const Instant end = Clock::now() + limit;
  const auto pending = [&] {
    return std::ranges::any_of(before, [&secrets](const auto& each) {
      const secrets::Status* status = secrets.status(each.first);
      return status != nullptr && !is_over(*status, each.second);
    });
  };
  while (pending() && Clock::now() < end) co_await sleep_for(kLookAgain);
  std::vector<serve::Rotated> out;
  for (const auto& [id, was] : before) {
    if (const secrets::Status* status = secrets.status(id)) out.push_back(rotated(*status, was));
  }
  co_return out;
}

serve::ReloadOutcome outcome_of(const ReloadReport& report) {
  serve::ReloadOutcome out{
      .applied = report.applied, .changed = report.changed, .needs_restart = report.needs_restart};
  if (!report.refused.empty()) {
    out.errors.push_back(report.refused);
    out.code = kUnavailable;
    return out;
  }
  bool templates = !report.problems.empty();
  for (const config::Problem& problem : report.problems) {
    out.errors.push_back(config::problem_text(problem));
    templates = templates && problem.kind == ErrorKind::render;
  }
  if (!report.applied) out.code = templates ? kTemplate : kConfig;
  return out;
}

awaitable<void> serve_control(config::Control control, std::string name,
                              config::Surroundings around, const serve::ControlActions& actions,
                              Event& ready, Event& reloaded) {
  if (!control.enabled) co_return;
  (void)co_await ready.wait(0, Clock::now() + kStartFirst);
  const http::Handler answer = http::whole_bodies(
      [&actions](http::ServerRequest request) {
        return serve::control(actions, std::move(request));
      },
      kMostAsked);
  TaskGroup tasks(co_await asio::this_coro::executor);
  ControlSocket socket{
      .control = std::move(control),
      .name = std::move(name),
      .around = std::move(around),
      .handler = [&answer](http::Exchange& exchange) { return for_owner(exchange, answer); },
      .reloaded = reloaded,
      .tasks = tasks};
  tasks.spawn(socket.keep_open());
  co_await tasks.join();
}

}  // namespace keybearer
