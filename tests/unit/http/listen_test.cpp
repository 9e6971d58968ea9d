#include "http/listen.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <barrier>
#include <boost/asio/io_context.hpp>
#include <cstring>
#include <thread>

#include "base/fd.hpp"
#include "support/temp_directory.hpp"

namespace keybearer::http {
namespace {

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

bool is_answered(const std::string& path) {
  const sockaddr_un address = address_of(path);
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

// Left behind by a process that was killed.
void leave_socket(const std::string& path) {
  const sockaddr_un address = address_of(path);
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
}

struct Listener {
  boost::asio::io_context context;
  Acceptor acceptor{context};
  SocketFile file;
  bool listens = false;

  void begin(const std::string& path) {
    auto url = parse_url("unix://" + path);
    listens = url && listen_on(acceptor, *url, true, {}, file).has_value();
  }
};

TEST_CASE("of several that begin to listen at once one does, and can be reached") {
  const test::TempDirectory directory;
  const std::string path = directory / "s";
  for (int round = 0; round < 200; ++round) {
    CAPTURE(round);
    if (round % 2 == 0) leave_socket(path);
    std::vector<std::unique_ptr<Listener>> all;
    for (int i = 0; i < 3; ++i) all.push_back(std::make_unique<Listener>());
    {
      std::barrier together(3);
      std::vector<std::jthread> threads;
      for (const auto& one : all)
        threads.emplace_back([&together, &path, one = one.get()] {
          together.arrive_and_wait();
          one->begin(path);
        });
    }
    CHECK(std::ranges::count_if(all, [](const auto& one) { return one->listens; }) == 1);
    CHECK(is_answered(path));
    for (const auto& one : all) one->file.remove();
  }
}

}  // namespace
}  // namespace keybearer::http
