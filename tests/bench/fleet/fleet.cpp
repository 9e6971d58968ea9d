// A fleet after a common outage: the machines of keybearer (lease/token_schedule, lease/secret_schedule) of ten
// thousand agents on one virtual clock, and a server that is away for ten minutes. Prints the requests
// per second and what the busiest second is to the mean; exits with 1 when that is three or more.
//
//     fleet [AGENTS] [--svg FILE]

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iomanip>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "lease/secret_schedule.hpp"
#include "lease/token_schedule.hpp"

namespace {

using namespace keybearer;
using namespace std::chrono_literals;
using lease::Kind;
using lease::SecretSchedule;
using lease::Step;
using lease::TokenSchedule;
using lease::TokenStep;

constexpr Instant kStart{1000h};
constexpr Instant kAway = kStart + 30min, kBack = kStart + 40min, kEnd = kStart + 60min;
constexpr BackoffBounds kRetry{.min = 250ms, .max = 1min};  // vault.retry's defaults
constexpr BackoffBounds kLogins{.min = 1s, .max = 5min};    // auto_auth's

bool away(Instant at) {
  return at >= kAway && at < kBack;
}

// One thing that an agent keeps fresh: its token, or a secret.
struct Machine {
  bool failing = false;
  Machine() = default;
  Machine(const Machine&) = delete;
  virtual ~Machine() = default;
  // The request of this moment; when the next one is due.
  virtual Instant ask(Instant now, double random) = 0;
};

struct Token final : Machine {
  TokenSchedule schedule;
  TokenStep step;
  Backoff logins{kLogins};
  Duration ttl;
  Token(Duration life, double jitter, Instant now) : schedule({}, jitter), ttl(life) {
    granted(now);
  }
  void granted(Instant now) {
    step = schedule.logged_in({.ttl = ttl, .renewable = true}, now, now);
  }
  Instant ask(Instant now, double random) override {
    failing = away(now);
    if (!failing) {
      if (step.what == TokenStep::Do::renew && now < schedule.end().value_or(now)) {
        step = schedule.renewed({.ttl = ttl, .renewable = true}, now, now);
      } else {
        schedule = TokenSchedule({}, random);
        granted(now);
      }
      logins.reset();
    } else if (step.what == TokenStep::Do::renew) {
      step = schedule.failed(now, random);
      if (step.what != TokenStep::Do::renew) step.at = now + logins.next(random);
    } else {
      step.at = now + logins.next(random);
    }
    return step.at;
  }
};

struct Watched final : Machine {
  SecretSchedule schedule;
  lease::Lifetime lifetime;
  Step step;
  Watched(lease::Lifetime life, double jitter, Instant now)
      : schedule({{}, {}, kRetry}, jitter), lifetime(life), step(schedule.answered(life, now)) {}
  Instant ask(Instant now, double random) override {
    failing = away(now);
    if (failing)
      step = schedule.failed(now, random);
    else if (step.what == Step::Do::compare)
      step = schedule.unchanged(now);
    else if (step.what == Step::Do::renew)
      step = schedule.renewed(lifetime.ttl, now);
    else
      step = schedule.answered(lifetime, now);
    return step.at;
  }
};

struct Result {
  std::vector<long> per_second;  // requests, refused ones too, from kStart
  long mean = 0, busiest = 0, total = 0;
  Duration recovery{};
};

// `short_tokens`: every fourth agent has a token of five minutes, which ends during the outage.
Result simulate(int agents, bool short_tokens) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> fraction(0, 1);
  std::vector<std::unique_ptr<Machine>> machines;
  using Due = std::pair<Instant, std::size_t>;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> queue;
  const auto add = [&](std::unique_ptr<Machine> machine, Instant due) {
    queue.emplace(due, machines.size());
    machines.push_back(std::move(machine));
  };
  for (int agent = 0; agent < agents; ++agent) {
    // They were started one after another, in ten minutes.
    const Instant begun = kStart + std::chrono::duration_cast<Duration>(10min * fraction(random));
    const Duration ttl = short_tokens && agent % 4 == 0 ? Duration(5min) : Duration(1h);
    auto token = std::make_unique<Token>(ttl, fraction(random), begun);
    const Instant due = token->step.at;
    add(std::move(token), due);
    const lease::Lifetime kinds[] = {{.kind = Kind::kv2},
                                     {.kind = Kind::kv2},
                                     {.kind = Kind::kv2},
                                     {.kind = Kind::kv2},
                                     {.kind = Kind::unleased},
                                     {.kind = Kind::dynamic, .ttl = 1h, .renewable = true},
                                     {.kind = Kind::dynamic, .ttl = 15min, .renewable = true},
                                     {.kind = Kind::certificate, .ttl = 24h}};
    for (const lease::Lifetime& kind : kinds) {
      auto watched = std::make_unique<Watched>(kind, fraction(random), begun);
      const Instant at = watched->step.at;
      add(std::move(watched), at);
    }
  }
  Result result;
  result.per_second.resize(static_cast<std::size_t>((kEnd - kStart) / 1s));
  Instant recovered = kBack;
  while (!queue.empty() && queue.top().first < kEnd) {
    const auto [now, index] = queue.top();
    queue.pop();
    Machine& machine = *machines[index];
    ++result.per_second[static_cast<std::size_t>((now - kStart) / 1s)];
    const bool was_failing = machine.failing;
    const Instant next = machine.ask(now, fraction(random));
    if (was_failing && !machine.failing) recovered = std::max(recovered, now);
    if (next != Instant::max()) queue.emplace(std::max(next, now + 1ms), index);
  }
  result.recovery = recovered - kBack;
  const auto first = static_cast<std::size_t>((kBack - kStart) / 1s);
  const auto last = static_cast<std::size_t>((recovered - kStart) / 1s);
  for (std::size_t second = first; second <= last; ++second) {
    result.total += result.per_second[second];
    result.busiest = std::max(result.busiest, result.per_second[second]);
  }
  result.mean = result.total / static_cast<long>(last - first + 1);
  return result;
}

void print(const Result& result, int agents) {
  std::printf("%d agents, each a token and 8 secrets; the server is away from minute 30 to 40\n\n",
              agents);
  std::printf("%8s %14s %14s %14s\n", "minute", "requests", "mean/s", "busiest s");
  for (std::size_t minute = 0; minute < result.per_second.size() / 60; ++minute) {
    const auto begin = result.per_second.begin() + static_cast<std::ptrdiff_t>(60 * minute);
    long sum = 0;
    for (auto at = begin; at != begin + 60; ++at) sum += *at;
    std::printf("%8zu %14ld %14.1f %14ld\n", minute, sum, static_cast<double>(sum) / 60,
                *std::max_element(begin, begin + 60));
  }
}

void report(const Result& result, const char* fleet) {
  std::printf(
      "%s: all is fresh %.1f s after the server is back; %ld requests, mean %ld/s, busiest second "
      "%ld (%.2f of the mean)\n",
      fleet, static_cast<double>(result.recovery.count()) / 1000, result.total, result.mean,
      result.busiest, static_cast<double>(result.busiest) / static_cast<double>(result.mean));
}

// Requests per second over the hour; the outage is shaded.
void draw(const Result& result, const std::string& path) {
  constexpr int kWidth = 900, kHeight = 260, kLeft = 60, kBottom = 30;
  const long top = *std::ranges::max_element(result.per_second);
  const auto x = [&](std::size_t second) {
    return kLeft + static_cast<double>(second) * (kWidth - kLeft - 10) /
                       static_cast<double>(result.per_second.size());
  };
  const auto y = [&](long value) {
    return kHeight - kBottom -
           static_cast<double>(value) * (kHeight - kBottom - 20) / static_cast<double>(top);
  };
  std::ofstream svg(path);
  svg << "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " << kWidth << " " << kHeight
      << "\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" "
         "fill=\"white\"/>\n"
      << "<rect x=\"" << x(1800) << "\" y=\"20\" width=\"" << x(2400) - x(1800) << "\" height=\""
      << kHeight - kBottom - 20 << "\" fill=\"#f3d6d6\"/>\n<text x=\"" << x(1810)
      << "\" y=\"34\">the server is away</text>\n<polyline fill=\"none\" stroke=\"#225588\" "
         "points=\"";
  svg << std::fixed << std::setprecision(1);
  for (std::size_t second = 0; second < result.per_second.size(); second += 2)
    svg << x(second) << "," << y((result.per_second[second] + result.per_second[second + 1]) / 2)
        << " ";
  svg << "\"/>\n<text x=\"4\" y=\"14\">requests per second, 10,000 agents</text>\n";
  for (const int minute : {0, 10, 20, 30, 40, 50, 60})
    svg << "<text x=\"" << x(static_cast<std::size_t>(minute) * 60) - 8 << "\" y=\"" << kHeight - 10
        << "\">" << minute << "</text>\n";
  for (const long value : {0L, top / 2, top})
    svg << "<text x=\"4\" y=\"" << y(value) + 4 << "\">" << value << "</text>\n";
  svg << "</svg>\n";
}

}  // namespace

int main(int argc, char** argv) {
  int agents = 10'000;
  std::string svg;
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--svg" && i + 1 < argc)
      svg = argv[++i];
    else
      agents = std::max(1, std::atoi(argv[i]));
  }
  const Result result = simulate(agents, false);
  print(result, agents);
  std::printf("\n");
  report(result, "tokens of an hour");
  // Those whose token has ended log in again within auto_auth.max_backoff: a long, thin tail.
  report(simulate(agents, true), "every fourth token of five minutes");
  if (!svg.empty()) draw(result, svg);
  return result.busiest < 3 * result.mean ? 0 : 1;
}
