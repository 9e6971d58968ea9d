#include "serve/prometheus.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "json/json.hpp"
#include "serve/texts.hpp"

namespace keybearer::serve {
namespace {

using Labels = std::vector<std::pair<std::string_view, std::string>>;

// The text format's escapes: backslash, quote and line end.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n')
      out += "\\n";
    else if (c == '\\' || c == '"')
      (out += '\\') += c;
    else
      out += c;
  }
  return out;
}

std::string number(double value) {
  return fmt::format("{}", value);
}
std::string number(std::uint64_t value) {
  return std::to_string(value);
}
std::string number(std::string_view value) {
  return std::string(value);
}
double unix_seconds(WallTime at) {
  return static_cast<double>(
             std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count()) /
         1000;
}

struct Sample {
  std::string suffix;  // of the name: "_bucket"
  std::vector<std::pair<std::string, std::string>> labels;
  std::string value;
};

// One metric, with its samples. Its lines come once, and only with a sample.
struct Metric {
  std::string_view name, type, help;
  std::vector<Sample> samples = {};
};

// Adds its metric at its end.
class Family {
 public:
  Family(std::vector<Metric>& out, std::string_view name, std::string_view type,
         std::string_view help)
      : out_(out), metric_{name, type, help} {}
  ~Family() {
    if (!metric_.samples.empty()) out_.push_back(std::move(metric_));
  }
  Family(const Family&) = delete;

  template <class Number>
  void add(const Labels& labels, Number value, std::string_view suffix = "") {
    Sample sample{.suffix = std::string(suffix), .labels = {}, .value = number(value)};
    for (const auto& [label, text] : labels) sample.labels.emplace_back(label, text);
    metric_.samples.push_back(std::move(sample));
  }
  void add(std::string_view label, const Outcomes& counted, Labels labels = {}) {
    labels.emplace_back(label, "success");
    add(labels, counted.succeeded);
    labels.back().second = "refused";
    add(labels, counted.refused);
    labels.back().second = "unanswered";
    add(labels, counted.unanswered);
  }

 private:
  std::vector<Metric>& out_;
  Metric metric_;
};

// Several secrets of one path (other versions, other arguments of a write) are one series.
struct PathStats {
  Outcomes fetches;
  std::optional<Instant> last_success, lease_end;
  std::uint64_t generation = 0;
};

std::map<std::string, PathStats> by_path(const std::vector<Snapshot::Secret>& secrets) {
  std::map<std::string, PathStats> all;
  const auto earlier = [](std::optional<Instant>& a, const std::optional<Instant>& b) {
    if (b) a = a ? std::min(*a, *b) : *b;
  };
  for (const Snapshot::Secret& secret : secrets) {
    PathStats& stats = all[secret.path];
    stats.fetches.succeeded += secret.fetches.succeeded;
    stats.fetches.refused += secret.fetches.refused;
    stats.fetches.unanswered += secret.fetches.unanswered;
    earlier(stats.last_success, secret.last_success);
    earlier(stats.lease_end, secret.lease_end);
    stats.generation += secret.generation;
  }
  return all;
}

void add_token(std::vector<Metric>& out, const Snapshot& s) {
  Family attempts(out, "keybearer_auth_attempts_total", "counter", "Logins, by method and result.");
  for (const auto& [method, counted] : s.token.attempts)
    attempts.add("result", counted, {{"method", method}});
  Family expiry(out, "keybearer_token_expiry_timestamp_seconds", "gauge",
                "When the token ends; absent without a token, +Inf without an end.");
  using Phase = Snapshot::Token::Phase;
  const bool held = s.token.phase == Phase::valid || s.token.phase == Phase::ending;
  if (s.token.expires)
    expiry.add({}, unix_seconds(s.wall_at(*s.token.expires)));
  else if (held)
    expiry.add({}, std::string_view("+Inf"));
  Family(out, "keybearer_token_renewals_total", "counter", "Renewals of the token, by result.")
      .add("result", s.token.renewals);
}

void add_secrets(std::vector<Metric>& out, const Snapshot& s) {
  const auto all = by_path(s.secrets);
  Family fetches(out, "keybearer_secret_fetch_total", "counter",
                 "Reads of a secret, comparisons of its version too, by result.");
  for (const auto& [path, stats] : all) fetches.add("result", stats.fetches, {{"secret", path}});
  Family success(out, "keybearer_secret_last_success_timestamp_seconds", "gauge",
                 "When a secret was last read, compared or renewed with success.");
  for (const auto& [path, stats] : all) {
    if (stats.last_success)
      success.add({{"secret", path}}, unix_seconds(s.wall_at(*stats.last_success)));
  }
  Family lease(out, "keybearer_secret_lease_expiry_timestamp_seconds", "gauge",
               "When the lease or certificate of a secret ends.");
  for (const auto& [path, stats] : all) {
    if (stats.lease_end) lease.add({{"secret", path}}, unix_seconds(s.wall_at(*stats.lease_end)));
  }
  Family generation(out, "keybearer_secret_generation", "gauge",
                    "Grows by one with each new value of a secret.");
  for (const auto& [path, stats] : all) generation.add({{"secret", path}}, stats.generation);
}

void add_histogram(std::vector<Metric>& out, const Histogram& times) {
  Family family(out, "keybearer_secret_fetch_duration_seconds", "histogram",
                "How long reads of secrets took.");
  std::uint64_t all = 0;
  for (std::size_t i = 0; i < Histogram::kBounds.size(); ++i) {
    all += times.count(i);
    family.add({{"le", number(Histogram::kBounds[i])}}, all, "_bucket");
  }
  all += times.count(Histogram::kBounds.size());
  family.add({{"le", "+Inf"}}, all, "_bucket");
  family.add({}, times.sum(), "_sum");
  family.add({}, all, "_count");
}

void add_files(std::vector<Metric>& out, const Snapshot& s) {
  Family renders(out, "keybearer_render_total", "counter",
                 "Renderings of a file that were brought to the disk, by result.");
  for (const Snapshot::File& file : s.files) {
    renders.add({{"target", file.path}, {"result", "written"}}, file.written);
    renders.add({{"target", file.path}, {"result", "unchanged"}}, file.unchanged);
    renders.add({{"target", file.path}, {"result", "failed"}}, file.failed);
  }
}

void add_child(std::vector<Metric>& out, const Snapshot::Child& child) {
  Family(out, "keybearer_child_up", "gauge", "1 while the program runs.")
      .add({}, std::uint64_t{child.alive ? 1U : 0U});
  Family restarts(out, "keybearer_child_restarts_total", "counter",
                  "Starts of the program after the first, by reason.");
  for (const auto& [reason, count] : child.restarts) restarts.add({{"reason", reason}}, count);
  Family exits(out, "keybearer_child_exit_total", "counter",
               "Ends of the program, by kind and exit code or signal.");
  for (const auto& [exit, count] : child.exits) {
    exits.add({{"kind", exit.signaled ? "signal" : "exit"}, {"code", std::to_string(exit.code)}},
              count);
  }
  Family(out, "keybearer_rollback_total", "counter",
         "Times that the program was given back its values from before.")
      .add({}, child.roll_backs);
}

void add_requests(std::vector<Metric>& out, const Snapshot::Requests& r) {
  Family requests(out, "keybearer_requests_total", "counter",
                  "Requests to the server, by result: 2xx, 4xx, 5xx, or no answer.");
  requests.add({{"result", "success"}}, r.succeeded);
  requests.add({{"result", "refused"}}, r.refused);
  requests.add({{"result", "failed"}}, r.failed);
  requests.add({{"result", "unanswered"}}, r.unanswered);
  Family(out, "keybearer_requests_throttled_total", "counter",
         "Requests that had to wait for the request budget or for Retry-After.")
      .add({}, r.throttled);
}

void add_connections(std::vector<Metric>& out, const http::ServerStats& c) {
  Family(out, "keybearer_listener_connections_total", "counter", "Connections accepted.")
      .add({}, c.connections);
  Family(out, "keybearer_listener_connections", "gauge", "Connections that are open.")
      .add({}, std::uint64_t{c.open});
  Family dropped(out, "keybearer_listener_connections_dropped_total", "counter",
                 "Connections refused because all places were busy, idle ones that gave way, and "
                 "TLS handshakes that failed.");
  dropped.add({{"reason", "busy"}}, c.connections_refused);
  dropped.add({{"reason", "idle"}}, c.connections_evicted);
  dropped.add({{"reason", "tls"}}, c.tls_failures);
  Family responses(out, "keybearer_listener_responses_total", "counter",
                   "Answers of the listeners, by the class of their status.");
  for (const int digit : {1, 2, 3, 4, 5})
    responses.add({{"code", fmt::format("{}xx", digit)}}, c.responses[digit]);
}

void add_listeners(std::vector<Metric>& out, const Snapshot::Serving& s) {
  add_connections(out, s.connections);
  Family refused(out, "keybearer_listener_refused_total", "counter",
                 "Requests that no handler has seen, by the check that refused them.");
  for (const auto& [check, count] : s.listeners.refused) refused.add({{"check", check}}, count);
  refused.add({{"check", "malformed"}}, s.connections.malformed);
  refused.add({{"check", "slow"}}, s.connections.timeouts);
  Family(out, "keybearer_listener_would_refuse_total", "counter",
         "Requests that allow_mode = \"log\" let pass.")
      .add({}, s.listeners.dry_run_refusals);
}

void add_proxy(std::vector<Metric>& out, const ProxyStats& p) {
  Family requests(
      out, "keybearer_proxy_requests_total", "counter",
      "Requests that the server or the cache answered, by result: below 400, 4xx, 5xx.");
  requests.add({{"result", "success"}}, p.success);
  requests.add({{"result", "refused"}}, p.client_error);
  requests.add({{"result", "failed"}}, p.error);
  Family failed(out, "keybearer_proxy_failed_total", "counter",
                "Requests answered with an error of keybearer's own, by X-Keybearer-Error.");
  for (const auto& [what, count] : p.failed) failed.add({{"reason", what}}, count);
  Family(out, "keybearer_proxy_cancelled_total", "counter", "Requests whose client has left.")
      .add({}, p.cancelled);
  Family kept(out, "keybearer_proxy_token_kept_total", "counter",
              "Requests refused, and answers held back, to keep the token keybearer's own.");
  kept.add({{"what", "request"}}, p.refused);
  kept.add({{"what", "answer"}}, p.leaks_stopped);
}

void add_cache(std::vector<Metric>& out, const Snapshot::Serving::Cache& cache) {
  const CacheStats& c = cache.stats;
  Family requests(
      out, "keybearer_cache_requests_total", "counter",
      "Requests that the cache may answer: from memory, with another one's answer, or not.");
  requests.add({{"result", "hit"}}, c.hits);
  requests.add({{"result", "joined"}}, c.joined);
  requests.add({{"result", "miss"}}, c.misses);
  Family(out, "keybearer_cache_stale_total", "counter",
         "Answers served past their time, because the server was away.")
      .add({}, c.stale);
  Family(out, "keybearer_cache_compared_total", "counter",
         "Comparisons of a version with the server's.")
      .add({}, c.compared);
  Family(out, "keybearer_cache_stored_total", "counter", "Answers kept.").add({}, c.stored);
  Family removed(
      out, "keybearer_cache_removed_total", "counter",
      "Answers let go: for lack of room, or because they ended, were revoked or cleared.");
  removed.add({{"reason", "room"}}, c.evicted);
  removed.add({{"reason", "ended"}}, c.dropped);
  Family(out, "keybearer_cache_entries", "gauge", "Answers in the cache.")
      .add({}, std::uint64_t{cache.entries});
  Family(out, "keybearer_cache_bytes", "gauge", "Memory that they take.")
      .add({}, std::uint64_t{cache.bytes});
}

void add_serving(std::vector<Metric>& out, const Snapshot::Serving& serving) {
  add_listeners(out, serving);
  if (serving.proxies) add_proxy(out, serving.proxy);
  if (serving.cache) add_cache(out, *serving.cache);
}

void add_process(std::vector<Metric>& out, const ProcessUsage& process) {
  const auto gauge = [&out](std::string_view name, std::string_view help, auto value) {
    Family(out, name, "gauge", help).add({}, value);
  };
  Family(out, "process_cpu_seconds_total", "counter", "CPU time spent, user and system.")
      .add({}, process.cpu_seconds);
  gauge("process_resident_memory_bytes", "Resident memory.", process.resident_bytes);
  gauge("process_virtual_memory_bytes", "Virtual memory.", process.virtual_bytes);
  gauge("process_open_fds", "Open file descriptors.", process.open_descriptors);
  gauge("process_max_fds", "Limit of open file descriptors.", process.max_descriptors);
}

std::vector<Metric> collect(const Snapshot& s, const ProcessUsage& process) {
  std::vector<Metric> out;
  Family(out, "keybearer_build_info", "gauge", "Always 1; the version is its label.")
      .add({{"version", s.instance.version}}, std::uint64_t{1});
  add_token(out, s);
  add_secrets(out, s);
  add_histogram(out, s.fetch_time);
  add_files(out, s);
  if (s.child) add_child(out, *s.child);
  add_requests(out, s.requests);
  if (s.serving) add_serving(out, *s.serving);
  Family(out, "keybearer_redactions_total", "counter",
         "Values that were taken out of log lines, errors and output.")
      .add({}, s.redactions);
  Family(out, "keybearer_config_reload_success", "gauge",
         "0 when the last reload failed, and the configuration before it is in force.")
      .add({}, std::uint64_t{s.instance.reload_failed ? 0U : 1U});
  add_process(out, process);
  Family(out, "process_start_time_seconds", "gauge", "When this process was started.")
      .add({}, unix_seconds(s.wall_at(s.instance.started)));
  return out;
}

Value labels_of(const Sample& sample) {
  Value labels = Value::map();
  for (const auto& [label, text] : sample.labels) labels.set(label, text);
  return labels;
}

}  // namespace

std::string prometheus(const Snapshot& snapshot, const ProcessUsage& process) {
  std::string out;
  for (const Metric& metric : collect(snapshot, process)) {
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", metric.name, metric.help, metric.name,
                       metric.type);
    for (const Sample& sample : metric.samples) {
      out += metric.name;
      out += sample.suffix;
      char before = '{';
      for (const auto& [label, text] : sample.labels) {
        out += fmt::format("{}{}=\"{}\"", before, label, escaped(text));
        before = ',';
      }
      if (!sample.labels.empty()) out += '}';
      out += ' ' + sample.value + '\n';
    }
  }
  return out;
}

std::string agent_metrics_json(const Snapshot& snapshot, const ProcessUsage& process) {
  List gauges, counters;
  for (const Metric& metric : collect(snapshot, process)) {
    if (metric.type == "histogram") continue;
    for (const Sample& sample : metric.samples) {
      Value one = Value::map();
      one.set("Name", metric.name);
      one.set("Labels", labels_of(sample));
      const Value value = sample.value == "+Inf" ? Value() : Value::number(sample.value);
      if (metric.type == "gauge") {
        one.set("Value", value);
        gauges.push_back(std::move(one));
        continue;
      }
      for (const char* name : {"Count", "Sum"}) one.set(name, value);
      counters.push_back(std::move(one));
    }
  }
  Value out = Value::map();
  out.set("Timestamp", rfc3339(snapshot.wall));
  out.set("Gauges", Value::list(std::move(gauges)));
  out.set("Counters", Value::list(std::move(counters)));
  out.set("Points", Value::list({}));
  out.set("Samples", Value::list({}));
  return json::write(out) + "\n";
}

}  // namespace keybearer::serve
