#include "serve/status_html.hpp"

#include <fmt/format.h>

#include "config/scalars.hpp"
#include "crypto/digest.hpp"
#include "serve/page_assets.hpp"
#include "serve/readiness.hpp"
#include "serve/texts.hpp"

namespace keybearer::serve {
namespace {

constexpr std::size_t kEventsShown = 20;

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// What comes from outside: no control characters, no markup.
std::string shown(std::string_view text) {
  return escaped(config::escaped(text));
}

std::string pill(std::string_view text, std::string_view colour) {
  return fmt::format(R"(<span class="pill {}">{}</span>)", colour, shown(text));
}

std::string spaced(std::string_view name) {
  std::string out(name);
  for (char& c : out)
    if (c == '_') c = ' ';
  return out;
}

std::string clock_text(std::optional<WallTime> at) {
  if (!at) return "-";
  const std::string text = rfc3339(*at);
  return text.substr(0, 10) + " " + text.substr(11, 8);
}

class Page {
 public:
  explicit Page(const Snapshot& s) : s_(s), health_(readiness(s)) {}

  std::string html() {
    const std::string name = shown(s_.instance.name);
    const bool ready = health_.ready();
    out_ = fmt::format(
        R"(<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">)"
        R"(<title>{} - {}</title><noscript><meta http-equiv="refresh" content="10"></noscript><style>{}</style></head><body><main>)",
        ready ? "ready" : "not ready", name, kPageStyle);
    out_ += fmt::format(
        R"(<header><h1 id="name">{}</h1><span id="ready">{}</span><span class="dim" id="about">keybearer {}, {}, pid {}, up {}</span></header>)",
        name, pill(ready ? "ready" : "not ready", ready ? "good" : "bad"),
        shown(s_.instance.version), shown(s_.instance.mode), s_.instance.pid,
        up(s_.now - s_.instance.started));
    reasons();
    out_ += R"(<div class="cards">)";
    token();
    server();
    child();
    out_ += "</div>";
    secrets();
    files();
    events();
    out_ += fmt::format(
        R"(<footer><span id="stamp">{} UTC</span>, <span id="live">as it was then</span>. No value of a secret is shown here.</footer></main><script>{}</script></body></html>)",
        clock_text(s_.wall), kPageScript);
    return std::move(out_);
  }

 private:
  [[nodiscard]] std::string left(std::optional<Instant> at) const {
    if (!at) return "-";
    const Duration left = *at - s_.now;
    return fmt::format(R"(<span data-left="{}">{}</span>)", left.count() / 1000,
                       left.count() < 0 ? "now" : whole_text(left));
  }
  [[nodiscard]] static std::string up(Duration time) {
    return fmt::format(R"(<span data-up="{}">{}</span>)", time.count() / 1000, whole_text(time));
  }
  [[nodiscard]] static std::string whole_text(Duration time) {
    return short_text(Duration(time.count() / 1000 * 1000));
  }

  void begin(std::string_view id, std::string_view title, bool hidden = false) {
    out_ += fmt::format(R"(<section id="{}-section"{}><h2>{}</h2>)", id, hidden ? " hidden" : "",
                        title);
  }
  void begin_list(std::string_view id, std::string_view title, bool hidden = false) {
    begin(id, title, hidden);
    out_ += fmt::format(R"(<div id="{}"><dl>)", id);
  }
  // `html`: escaped already.
  void item(std::string_view label, const std::string& html) {
    if (!html.empty()) out_ += fmt::format("<dt>{}</dt><dd>{}</dd>", label, html);
  }
  void end_list() { out_ += "</dl></div></section>"; }

  void reasons() {
    begin("reasons", "Why it is not ready", health_.ready());
    out_ += R"(<ul id="reasons">)";
    for (const Readiness::Reason& reason : health_.reasons)
      out_ += "<li>" + shown(reason.subject) + ": " + shown(reason.text) + "</li>";
    out_ += "</ul></section>";
  }

  void token() {
    using Phase = Snapshot::Token::Phase;
    const Snapshot::Token& t = s_.token;
    const bool held = t.phase == Phase::valid || t.phase == Phase::ending;
    begin_list("token", "Token");
    item("state", pill(spaced(name_of(t.phase)), t.phase == Phase::valid  ? "good"
                                                 : t.phase == Phase::lost ? "bad"
                                                                          : "warn"));
    item("method", shown(t.method));
    if (held) item("ends in", t.expires ? left(t.expires) : "never");
    if (t.next_at) item(t.phase == Phase::valid ? "renewal in" : "next try in", left(t.next_at));
    item("error", shown(t.error));
    end_list();
  }

  void server() {
    begin_list("server", "Server");
    item("state",
         s_.server.reachable_since ? pill("reachable", "good") : pill("no answer", "warn"));
    item("address", shown(s_.server.address));
    item("version", shown(s_.server.version));
    if (s_.server.reachable_since)
      item("since", clock_text(s_.wall_at(*s_.server.reachable_since)));
    item("error", shown(s_.server.error));
    end_list();
  }

  void child() {
    begin_list("child", "Program", !s_.child);
    if (s_.child) {
      const Snapshot::Child& c = *s_.child;
      item("state", pill(spaced(c.state), c.alive ? "good" : "warn"));
      item("command", shown(c.command));
      if (c.pid > 0) item("pid", std::to_string(c.pid));
      if (c.alive) item("up", up(s_.now - c.since));
      item("restarts", std::to_string(c.starts > 0 ? c.starts - 1 : 0));
      if (c.last_exit)
        item("last end",
             (c.last_exit->signaled ? "signal " : "code ") + std::to_string(c.last_exit->code));
      if (c.outdated) item("values", "outdated, as configured");
    }
    end_list();
  }

  void begin_table(std::string_view id, std::string_view title,
                   std::initializer_list<std::string_view> names, bool hidden) {
    begin(id, title, hidden);
    out_ += "<table><thead><tr>";
    labels_.assign(names);
    for (const std::string_view name : names) out_ += fmt::format("<th>{}</th>", name);
    out_ += fmt::format(R"(</tr></thead><tbody id="{}">)", id);
  }
  void row(const std::vector<std::string>& cells) {  // escaped already
    out_ += "<tr>";
    for (std::size_t i = 0; i < cells.size(); ++i) {
      out_ += i == 0 ? "<td>" + cells[i] + "</td>"
                     : fmt::format(R"(<td data-label="{}">{}</td>)", labels_[i], cells[i]);
    }
    out_ += "</tr>";
  }
  void end_table() { out_ += "</tbody></table></section>"; }

  void secrets() {
    using State = Snapshot::Secret::State;
    begin_table("secrets", "Secrets",
                {"", "state", "kind", "version", "lease", "next", "last change"},
                s_.secrets.empty());
    for (const Snapshot::Secret& secret : s_.secrets) {
      const char* colour = secret.state == State::fresh ? "good"
                           : secret.generation > 0      ? "warn"
                                                        : "bad";
      const std::string_view state = state_of(secret, s_.now);
      row({shown(secret.path), pill(state, state == "expired" ? "bad" : colour), shown(secret.kind),
           secret.version > 0 ? "v" + std::to_string(secret.version) : "", left(secret.lease_end),
           left(secret.next_at), shown(secret.error.empty() ? secret.reason : secret.error)});
    }
    end_table();
  }

  void files() {
    begin_table("files", "Files", {"", "mode", "written", "result"}, s_.files.empty());
    for (const Snapshot::File& file : s_.files) {
      const char* result = file.written > 0     ? "written"
                           : file.unchanged > 0 ? "unchanged"
                                                : "pending";
      row({shown(file.path), file.mode != 0 ? config::mode_text(file.mode) : "",
           clock_text(file.written_at), file.error.empty() ? result : shown(file.error)});
    }
    end_table();
  }

  void events() {
    begin_table("events", "Last events", {"", "event", "message"}, s_.events.empty());
    std::size_t left = kEventsShown;
    for (auto event = s_.events.rbegin(); event != s_.events.rend() && left > 0; ++event, --left) {
      const char* colour = event->level == log::Level::error  ? "bad"
                           : event->level == log::Level::warn ? "warn"
                                                              : "dim";
      row({clock_text(event->at), pill(event->event, colour), shown(event->message)});
    }
    end_table();
  }

  const Snapshot& s_;
  Readiness health_;
  std::string out_;
  std::vector<std::string_view> labels_;
};

std::string source_hash(std::string_view text) {
  return "'sha256-" + sha256_base64(text) + "'";
}

}  // namespace

std::string status_html(const Snapshot& snapshot) {
  return Page(snapshot).html();
}

const std::string& page_security_policy() {
  static const std::string policy =
      "default-src 'none'; style-src " + source_hash(kPageStyle) + "; script-src " +
      source_hash(kPageScript) +
      "; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
  return policy;
}

}  // namespace keybearer::serve
