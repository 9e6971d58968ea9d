#include "agent.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <set>

#include "agent_notify.hpp"
#include "auth/auth_loop.hpp"
#include "base/log.hpp"
#include "base/pid_file.hpp"
#include "base/task_group.hpp"
#include "child/supervisor.hpp"
#include "http/client.hpp"
#include "render/files.hpp"
#include "secrets/secrets.hpp"
#include "vault/client.hpp"

namespace keybearer {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;

constexpr Duration kLookForKeyAgain = 3s;  // a key that is not in its secret yet, at the first start

// sysexits.h; cli.md has the table.
int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::denied:
    case ErrorKind::refused: return 77;
    case ErrorKind::not_found: return 75;
    case ErrorKind::render: return 65;
    case ErrorKind::io: return 73;
    case ErrorKind::config: return 78;
    default: return is_outage(kind) ? 69 : 70;
  }
}

}  // namespace
}  // namespace keybearer
