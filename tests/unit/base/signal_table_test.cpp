#include "base/signal_table.hpp"

#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <sstream>

// Rules: P6 (src/RULES.md).
namespace keybearer {
namespace {

TEST_CASE("every signal from 1 to 31 has its row, and the real-time ones are forwarded") {
  const auto table = signal_table();
  REQUIRE(table.size() == 31);
  const auto forwarded = forwarded_signals();
  for (int number = 1; number <= 31; ++number) {
    CAPTURE(number);
    const SignalRow& row = table[static_cast<std::size_t>(number) - 1];
    CHECK(row.number == number);
    CHECK(role_of(number) == row.role);
    CHECK((row.role == SignalRole::forwarded) == row.meaning.empty());
    const bool forwards = std::ranges::find(forwarded, number) != forwarded.end();
    CHECK(forwards == (row.role == SignalRole::forwarded));
  }
  for (int number = SIGRTMIN; number <= SIGRTMAX; ++number) {
    CHECK(role_of(number) == SignalRole::forwarded);
    CHECK(std::ranges::find(forwarded, number) != forwarded.end());
  }
  CHECK(own_signals() == std::vector<int>{SIGHUP, SIGINT, SIGQUIT, SIGTERM});
  CHECK(role_of(SIGCHLD) == SignalRole::ours);
}

TEST_CASE("names and numbers of signals") {
  for (const SignalRow& row : signal_table()) {
    CHECK(signal_name(row.number) == "SIG" + std::string(row.name));
    CHECK(signal_number(signal_name(row.number)) == row.number);
    CHECK(signal_number(row.name) == row.number);
    CHECK(signal_number(std::to_string(row.number)) == row.number);
  }
  for (int number = SIGRTMIN; number <= SIGRTMAX; ++number)
    CHECK(signal_number(signal_name(number)) == number);
  CHECK(signal_number("term") == SIGTERM);
  CHECK(signal_number("sigRtMax-1") == SIGRTMAX - 1);
  CHECK(signal_number("RTMIN+0") == SIGRTMIN);
  CHECK(signal_number("POLL") == SIGIO);
  for (const char* bad : {"", "SIG", "0", "-1", "65", "TERMINATE", "RTMIN-1", "RTMAX+1", "RTMIN+",
                          "RTMIN3", "RTMIN+99999999999"}) {
    CAPTURE(bad);
    CHECK_FALSE(signal_number(bad).has_value());
  }
}

TEST_CASE("the manual page lists what the table says") {
  std::ifstream in(KEYBEARER_SOURCE_DIR "/packaging/man/keybearer.1");
  std::stringstream text;
  text << in.rdbuf();
  std::string page = text.str();
  page.erase(0, page.find(".Sh SIGNALS"));
  page.erase(page.find(".Sh", 3));
  const auto section = [&page](std::string_view title) {
    const auto begin = page.find(title);
    REQUIRE(begin != std::string::npos);
    return page.substr(begin, page.find(".It", begin + title.size()) - begin);
  };
  const std::pair<SignalRole, std::string> sections[] = {
      {SignalRole::ours, section(".It keybearer's own")},
      {SignalRole::forwarded, section(".It forwarded to the program")},
      {SignalRole::never, section(".It never forwarded")}};
  for (const auto& [role, listed] : sections) {
    for (const SignalRow& row : signal_table()) {
      CAPTURE(row.name);
      const bool there = listed.find(".Dv SIG" + std::string(row.name) + "\n") != std::string::npos;
      CHECK(there == (row.role == role));
    }
  }
}

}  // namespace
}  // namespace keybearer
