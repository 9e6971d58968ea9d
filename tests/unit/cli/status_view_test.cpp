#include "cli/status_view.hpp"

#include <doctest/doctest.h>

#include "../serve/sample.hpp"
#include "json/json.hpp"
#include "serve/status_json.hpp"

namespace keybearer::cli {
namespace {

using namespace std::chrono_literals;

Value status_of(const serve::Snapshot& snapshot) {
  auto parsed = json::parse(serve::status_json(snapshot, serve::Audience::owner));
  REQUIRE(parsed);
  return std::move(*parsed);
}

std::string text_of(const Value& status, const StatusLook& look) {
  std::string text;
  for (const std::string& line : status_lines(status, look)) text += line + "\n";
  return text;
}

std::size_t columns(std::string_view text) {
  std::size_t n = 0;
  for (const char c : text) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return n;
}

TEST_CASE("what a person sees of an instance") {
  const std::string text = text_of(status_of(serve::sample()), {.width = 120});
  for (const char* part :
       {"keybearer 1.2.3  app  pid 77  run  up 1h", "ready      yes",
        "token      valid  approle  ends in 40m  renewal in 28m",
        "server     https://vault:8200  version 1.14.2",
        "child      running  /usr/bin/app  pid 812  up 10m  restarts 2  last end: signal 15",
        "database/creds/app", "1 (v7)", "/srv/app.env", "0640", "11:00:00",
        "restart: DB changed"}) {
    CAPTURE(part);
    CHECK(text.find(part) != std::string::npos);
  }
}

TEST_CASE("count-downs go on between two answers") {
  const std::string text = text_of(status_of(serve::sample()), {.width = 120, .later = 61s});
  CHECK(text.find("ends in 38m 59s") != std::string::npos);
  CHECK(text.find("up 1h 1m") != std::string::npos);
  CHECK(text_of(status_of(serve::sample()), {.width = 120, .later = 3h}).find("now") !=
        std::string::npos);
}

TEST_CASE("why it is not ready") {
  serve::Snapshot s = serve::sample();
  s.secrets[0].generation = 0;
  s.secrets[0].state = serve::Snapshot::Secret::State::denied;
  s.secrets[0].error = "403";
  CHECK(text_of(status_of(s), {}).find("no: database/creds/app: permission denied: 403") !=
        std::string::npos);
}

TEST_CASE("no line is wider or lower than the screen; what comes from outside forges none") {
  serve::Snapshot s = serve::sample();
  s.secrets[0].path = std::string(300, 'p') + "\x1b[2J\nforged";
  s.server.address = "https://\x1b]0;title\x07";
  for (int i = 0; i < 200; ++i) {
    s.secrets.push_back(s.secrets[1]);
    s.files.push_back(s.files[0]);
    s.events.push_back(s.events[0]);
  }
  const Value status = status_of(s);
  for (const int width : {20, 40, 80, 200}) {
    for (const int height : {1, 5, 10, 24, 50, 700}) {
      CAPTURE(width);
      CAPTURE(height);
      const auto lines = status_lines(status, {.width = width, .height = height});
      if (height >= 10) CHECK(lines.size() <= static_cast<std::size_t>(height));
      for (const std::string& line : lines) {
        CAPTURE(line);
        CHECK(columns(line) <= static_cast<std::size_t>(std::max(width, 31)));
        CHECK(line.find('\x1b') == std::string::npos);
        CHECK(line.find('\n') == std::string::npos);
      }
    }
  }
}

TEST_CASE("an empty answer, or one of another version, is no crash") {
  CHECK(status_lines(Value::map(), {}).size() >= 1);
  CHECK(status_lines(Value(), {}).size() >= 1);
}

}  // namespace
}  // namespace keybearer::cli
