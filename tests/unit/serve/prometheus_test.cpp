#include "serve/prometheus.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "sample.hpp"

namespace keybearer::serve {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::stringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

const ProcessUsage kUsage{.cpu_seconds = 0.25,
                          .resident_bytes = 5'000'000,
                          .virtual_bytes = 9'000'000,
                          .open_descriptors = 12,
                          .max_descriptors = 1024};

TEST_CASE(
    "the names of the contract (behaviour section 7), each with HELP and TYPE, and no other") {
  const std::set<std::string> contract = {"keybearer_build_info",
                                          "keybearer_auth_attempts_total",
                                          "keybearer_token_expiry_timestamp_seconds",
                                          "keybearer_token_renewals_total",
                                          "keybearer_secret_fetch_total",
                                          "keybearer_secret_fetch_duration_seconds",
                                          "keybearer_secret_last_success_timestamp_seconds",
                                          "keybearer_secret_lease_expiry_timestamp_seconds",
                                          "keybearer_secret_generation",
                                          "keybearer_render_total",
                                          "keybearer_child_up",
                                          "keybearer_child_restarts_total",
                                          "keybearer_child_exit_total",
                                          "keybearer_rollback_total",
                                          "keybearer_requests_total",
                                          "keybearer_requests_throttled_total",
                                          "keybearer_redactions_total",
                                          "keybearer_config_reload_success",
                                          "process_cpu_seconds_total",
                                          "process_resident_memory_bytes",
                                          "process_virtual_memory_bytes",
                                          "process_open_fds",
                                          "process_max_fds",
                                          "process_start_time_seconds"};
  std::set<std::string> helped, typed;
  for (const std::string& line : lines_of(prometheus(sample(), kUsage))) {
    std::stringstream words(line);
    std::string hash, what, name;
    words >> hash >> what >> name;
    if (hash == "#" && what == "HELP") CHECK(helped.insert(name).second);
    if (hash == "#" && what == "TYPE") CHECK(typed.insert(name).second);
  }
  CHECK(helped == contract);
  CHECK(typed == contract);
}

TEST_CASE("samples") {
  const std::string text = prometheus(sample(), kUsage);
  for (const char* line :
       {"keybearer_build_info{version=\"1.2.3\"} 1",
        "keybearer_auth_attempts_total{method=\"approle\",result=\"success\"} 2",
        "keybearer_auth_attempts_total{method=\"approle\",result=\"refused\"} 1",
        "keybearer_auth_attempts_total{method=\"approle\",result=\"unanswered\"} 3",
        "keybearer_token_renewals_total{result=\"success\"} 4",
        "keybearer_secret_fetch_total{secret=\"kv/data/app\",result=\"unanswered\"} 1",
        "keybearer_secret_generation{secret=\"database/creds/app\"} 3",
        "keybearer_render_total{target=\"/srv/app.env\",result=\"written\"} 2",
        "keybearer_child_up 1", "keybearer_child_restarts_total{reason=\"secret\"} 2",
        "keybearer_child_exit_total{kind=\"signal\",code=\"15\"} 2", "keybearer_rollback_total 0",
        "keybearer_requests_total{result=\"failed\"} 2", "keybearer_requests_throttled_total 4",
        "keybearer_redactions_total 5", "keybearer_config_reload_success 1", "process_open_fds 12",
        "process_cpu_seconds_total 0.25"}) {
    CAPTURE(line);
    CHECK(text.find(std::string(line) + "\n") != std::string::npos);
  }
  // 2026-11-29T12:40:00Z
  CHECK(text.find("keybearer_token_expiry_timestamp_seconds 1795956000") != std::string::npos);
}

TEST_CASE("the histogram's buckets are cumulative and end with +Inf and the count") {
  std::vector<double> counts;
  for (const std::string& line : lines_of(prometheus(sample(), kUsage))) {
    if (line.starts_with("keybearer_secret_fetch_duration_seconds_bucket"))
      counts.push_back(std::stod(line.substr(line.rfind(' '))));
  }
  REQUIRE(counts.size() == Histogram::kBounds.size() + 1);
  CHECK(std::ranges::is_sorted(counts));
  CHECK(counts[1] == 0);  // 2.5 ms
  CHECK(counts[2] == 1);  // 5 ms
  CHECK(counts.back() == 2);
  const std::string text = prometheus(sample(), kUsage);
  CHECK(text.find("_bucket{le=\"+Inf\"} 2\n") != std::string::npos);
  CHECK(text.find("_duration_seconds_count 2\n") != std::string::npos);
  CHECK(text.find("_duration_seconds_sum 20.003\n") != std::string::npos);
}

TEST_CASE("no series comes twice, whatever the secrets are called; labels are escaped") {
  Snapshot s = sample();
  s.secrets.push_back(s.secrets[0]);  // another version of the same path
  s.secrets[1].path = "kv/data/\"quoted\\\nline";
  std::set<std::string> series;
  for (const std::string& line : lines_of(prometheus(s, kUsage))) {
    if (line.starts_with('#')) continue;
    CAPTURE(line);
    CHECK(series.insert(line.substr(0, line.rfind(' '))).second);
  }
  CHECK(prometheus(s, kUsage).find("secret=\"kv/data/\\\"quoted\\\\\\nline\"") !=
        std::string::npos);
}

TEST_CASE("a token without an end, none at all, no child; never an accessor") {
  Snapshot s = sample();
  s.token.expires.reset();
  s.child.reset();
  CHECK(prometheus(s, kUsage).find("token_expiry_timestamp_seconds +Inf") != std::string::npos);
  CHECK(prometheus(s, kUsage).find("child_") == std::string::npos);
  CHECK(prometheus(s, kUsage).find("accessor") == std::string::npos);
  s.token.phase = Snapshot::Token::Phase::lost;
  CHECK(prometheus(s, kUsage).find("token_expiry") == std::string::npos);
}

TEST_CASE("listeners, proxy and cache: only where there are such") {
  Snapshot s = sample();
  s.serving = Snapshot::Serving{
      .listeners = {.refused = {{"guard", 3}}, .dry_run_refusals = 1},
      .connections = {.connections = 9, .malformed = 2, .responses = {0, 0, 7, 0, 1, 0}, .open = 4},
      .proxy = {.success = 5, .failed = {{"upstream", 6}}, .leaks_stopped = 1, .cancelled = 2},
      .proxies = true,
      .cache =
          Snapshot::Serving::Cache{.stats = {.hits = 8, .stale = 1}, .entries = 3, .bytes = 99}};
  const std::string text = prometheus(s, kUsage);
  for (const char* line :
       {"keybearer_listener_connections_total 9", "keybearer_listener_connections 4",
        "keybearer_listener_responses_total{code=\"2xx\"} 7",
        "keybearer_listener_refused_total{check=\"guard\"} 3",
        "keybearer_listener_refused_total{check=\"malformed\"} 2",
        "keybearer_listener_would_refuse_total 1",
        "keybearer_proxy_requests_total{result=\"success\"} 5",
        "keybearer_proxy_failed_total{reason=\"upstream\"} 6",
        "keybearer_proxy_token_kept_total{what=\"answer\"} 1", "keybearer_proxy_cancelled_total 2",
        "keybearer_cache_requests_total{result=\"hit\"} 8", "keybearer_cache_stale_total 1",
        "keybearer_cache_entries 3", "keybearer_cache_bytes 99"}) {
    CAPTURE(line);
    CHECK(text.find(std::string(line) + "\n") != std::string::npos);
  }
  s.serving->proxies = false;
  s.serving->cache.reset();
  const std::string less = prometheus(s, kUsage);
  CHECK(less.find("keybearer_proxy_") == std::string::npos);
  CHECK(less.find("keybearer_cache_") == std::string::npos);
}

}  // namespace
}  // namespace keybearer::serve
