#include "cli/status_view.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.hpp"
#include "config/scalars.hpp"
#include "serve/texts.hpp"

namespace keybearer::cli {
namespace {

constexpr std::string_view kBold = "\x1b[1m", kDim = "\x1b[2m", kRed = "\x1b[31m",
                           kGreen = "\x1b[32m", kYellow = "\x1b[33m", kPlain = "\x1b[0m";

struct Cell {
  std::string text = {};
  std::string_view colour = {};
};
using Row = std::vector<Cell>;

std::string clean(std::string_view text) {
  return config::escaped(text);
}

// Columns that a terminal needs for it: characters, for all that we show.
std::size_t columns(std::string_view text) {
  std::size_t n = 0;
  for (const char c : text) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return n;
}

std::string cut(std::string_view text, std::size_t most) {
  if (columns(text) <= most) return std::string(text);
  std::string out;
  std::size_t n = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xC0) != 0x80 && ++n >= most) break;
    out += text[at];
  }
  return out + "…";
}

class View {
 public:
  View(const Value& status, const StatusLook& look) : status_(status), look_(look) {}

  std::vector<std::string> lines() {
    head();
    const std::size_t fixed = lines_.size() + 1;
    std::vector<Row> secrets = secret_rows(), files = file_rows(), events = event_rows();
    limit(fixed, secrets, files, events);
    table("SECRET", {"kind", "state", "gen", "lease", "next", "last change"}, secrets);
    table("FILE", {"mode", "written", "result"}, files);
    table("EVENTS", {}, events);
    return std::move(lines_);
  }

 private:
  [[nodiscard]] double seconds_at(const Value& map, std::string_view name, bool& there) const {
    const Value& value = value_at(map, name);
    there = value.is_text() || value.type() == Type::float64 || value.type() == Type::integer;
    if (value.is_text()) return std::strtod(std::string(value.as_text()).c_str(), nullptr);
    return value.type() == Type::float64 ? value.as_double() : 0;
  }
  // Time left until NAME, or "-".
  [[nodiscard]] std::string left(const Value& map, std::string_view name) const {
    bool there = false;
    const double seconds = seconds_at(map, name, there);
    if (!there) return "-";
    const auto ms = static_cast<std::int64_t>(seconds * 1000) - look_.later.count();
    return ms <= 0 ? "now" : serve::short_text(Duration(ms / 1000 * 1000));
  }
  [[nodiscard]] std::string grown(const Value& map, std::string_view name) const {
    bool there = false;
    const double seconds = seconds_at(map, name, there);
    if (!there) return "-";
    return serve::short_text(
        Duration((static_cast<std::int64_t>(seconds * 1000) + look_.later.count()) / 1000 * 1000));
  }
  [[nodiscard]] std::string painted(const Cell& cell) const {
    if (!look_.colour || cell.colour.empty()) return cell.text;
    return std::string(cell.colour) + cell.text + std::string(kPlain);
  }

  void line(const std::string& label, const std::string& text, std::string_view colour = {}) {
    const auto room = static_cast<std::size_t>(std::max(20, look_.width - 11));
    lines_.push_back(fmt::format("{:<10} ", label) + painted({cut(text, room), colour}));
  }

  void head() {
    const Value& about = value_at(status_, "instance");
    const bool ready = bool_at(status_, "ready");
    const std::string name = clean(text_at(about, "name"));
    const std::string title =
        fmt::format("keybearer {}  {}  pid {}  {}  up {}", text_at(about, "version"), name,
                    int_at(about, "pid"), text_at(about, "mode"), grown(about, "uptime"));
    lines_.push_back(painted({cut(title, static_cast<std::size_t>(look_.width)), kBold}));
    if (ready) line("ready", "yes", kGreen);
    const Value& reasons = value_at(status_, "reasons");
    if (!ready && reasons.is_list()) {
      for (std::size_t i = 0; i < reasons.size(); ++i) {
        const Value& reason = reasons.items()[i];
        if (i == 5 && reasons.size() > 6) {
          line("", fmt::format("and {} more", reasons.size() - i), kRed);
          break;
        }
        line(i == 0 ? "ready" : "",
             (i == 0 ? "no: " : "    ") + clean(text_at(reason, "subject")) + ": " +
                 clean(text_at(reason, "reason")),
             kRed);
      }
    }
    if (text_at(about, "config_reload") == "failed")
      line("config", "the last reload failed; the configuration before it is in force", kYellow);
    token();
    server();
    child();
  }

  void token() {
    const Value& token = value_at(status_, "token");
    const std::string_view phase = text_at(token, "phase");
    std::string text = std::string(phase) + "  " + clean(text_at(token, "method"));
    const bool held = phase == "valid" || phase == "ending";
    if (held) {
      const bool ends = value_at(token, "expires").is_text();
      text += ends ? "  ends in " + left(token, "expires_in") : "  without an end";
      if (value_at(token, "next").is_text())
        text +=
            std::string(phase == "valid" ? "  renewal in " : "  next in ") + left(token, "next_in");
    }
    if (const auto error = text_at(token, "error"); !error.empty()) text += "  " + clean(error);
    line("token", text, phase == "valid" ? kGreen : phase == "lost" ? kRed : kYellow);
  }

  void server() {
    const Value& server = value_at(status_, "server");
    const bool reachable = bool_at(server, "reachable");
    std::string text = clean(text_at(server, "address"));
    if (const auto version = text_at(server, "version"); !version.empty())
      text += "  version " + clean(version);
    if (const auto error = text_at(server, "error"); !error.empty()) text += "  " + clean(error);
    line("server", text, reachable ? std::string_view{} : kYellow);
  }

  void child() {
    const Value& child = value_at(status_, "child");
    if (!child.is_map()) return;
    const std::string_view state = text_at(child, "state");
    std::string text = std::string(state) + "  " + clean(text_at(child, "command"));
    if (int_at(child, "pid") > 0)
      text += fmt::format("  pid {}  up {}", int_at(child, "pid"), grown(child, "uptime"));
    text += fmt::format("  restarts {}", int_at(child, "restarts"));
    const Value& exit = value_at(child, "last_exit");
    if (exit.is_map()) {
      text +=
          fmt::format("  last end: {} {}", text_at(exit, "kind") == "signal" ? "signal" : "code",
                      int_at(exit, "code"));
    }
    if (bool_at(child, "outdated")) text += "  (has old values, as configured)";
    line("child", text, state == "running" ? kGreen : kYellow);
  }

  [[nodiscard]] ValueItems list(std::string_view name) const {
    const Value& value = value_at(status_, name);
    return value.is_list() ? value.items() : ValueItems{};
  }

  [[nodiscard]] std::vector<Row> secret_rows() const {
    std::vector<Row> rows;
    for (const Value& secret : list("secrets")) {
      const std::string_view state = text_at(secret, "state");
      const bool none = int_at(secret, "generation") == 0;
      const std::string_view colour = state == "fresh"             ? kGreen
                                      : none || state == "expired" ? kRed
                                                                   : kYellow;
      const std::string_view action = text_at(secret, "next_action");
      std::string next = left(secret, "next_refresh_in");
      if (!action.empty()) next = std::string(action) + (next == "now" ? " now" : " in " + next);
      std::string_view why = text_at(secret, "error");
      if (why.empty()) why = text_at(secret, "reason");
      const auto version = int_at(secret, "version");
      rows.push_back({{clean(text_at(secret, "path"))},
                      {std::string(text_at(secret, "kind"))},
                      {std::string(state), colour},
                      {std::to_string(int_at(secret, "generation")) +
                       (version > 0 ? " (v" + std::to_string(version) + ")" : "")},
                      {left(secret, "lease_ends_in")},
                      {std::move(next)},
                      {clean(why)}});
    }
    return rows;
  }

  [[nodiscard]] std::vector<Row> file_rows() const {
    std::vector<Row> rows;
    for (const Value& file : list("files")) {
      const std::string_view result = text_at(file, "result"), error = text_at(file, "error");
      std::string_view at = text_at(file, "last_written");
      at = at.size() >= 19 ? at.substr(11, 8) : "-";
      rows.push_back({{clean(text_at(file, "path"))},
                      {std::string(text_at(file, "mode"))},
                      {std::string(at)},
                      {error.empty() ? std::string(result) : clean(error),
                       result == "failed" ? kRed : std::string_view{}}});
    }
    return rows;
  }

  [[nodiscard]] std::vector<Row> event_rows() const {
    std::vector<Row> rows;
    for (const Value& event : list("events")) {
      const std::string_view time = text_at(event, "time"), level = text_at(event, "level");
      std::string text = clean(text_at(event, "message"));
      if (const auto fields = text_at(event, "fields"); !fields.empty())
        text += "  " + clean(fields);
      rows.push_back({{std::string(time.size() >= 19 ? time.substr(11, 8) : time), kDim},
                      {std::move(text), level == "error"  ? kRed
                                        : level == "warn" ? kYellow
                                                          : std::string_view{}}});
    }
    if (look_.height == 0 && rows.size() > 10) rows.erase(rows.begin(), rows.end() - 10);
    return rows;
  }

  // What does not fit is left out: events first (the oldest), then files, then secrets.
  void limit(std::size_t fixed, std::vector<Row>& secrets, std::vector<Row>& files,
             std::vector<Row>& events) const {
    if (look_.height <= 0) return;
    const auto height = static_cast<std::size_t>(look_.height);
    const auto titles = [](const std::vector<Row>& rows) -> std::size_t {
      return rows.empty() ? 0 : 2;
    };
    std::size_t room = height > fixed ? height - fixed : 0;
    const auto take = [&room](std::size_t most) {
      const std::size_t taken = std::min(room, most);
      room -= taken;
      return taken;
    };
    const std::size_t for_events = std::min<std::size_t>(events.size() + titles(events), 6);
    const auto shorten = [&](std::vector<Row>& rows, std::size_t reserve) {
      const std::size_t wanted = rows.size() + titles(rows);
      const std::size_t kept = room > reserve ? std::min(wanted, room - reserve) : 0;
      (void)take(kept);
      const std::size_t fits = kept > titles(rows) ? kept - titles(rows) : 0;
      if (fits < rows.size()) {
        const std::size_t hidden = rows.size() - fits + 1;
        rows.resize(fits > 0 ? fits - 1 : 0);
        if (fits > 0) rows.push_back({{fmt::format("and {} more", hidden), kDim}});
      }
    };
    shorten(secrets, for_events + std::min<std::size_t>(files.size() + titles(files), 5));
    shorten(files, for_events);
    const std::size_t fits = room > titles(events) ? room - titles(events) : 0;
    if (fits < events.size())
      events.erase(events.begin(), events.end() - static_cast<std::ptrdiff_t>(fits));
  }

  void table(const std::string& first, const std::vector<std::string>& titles,
             const std::vector<Row>& rows) {
    if (rows.empty()) return;
    lines_.emplace_back();
    std::vector<std::size_t> widths(std::max(titles.size() + 1, rows.front().size()), 0);
    widths[0] = titles.empty() ? 0 : first.size();
    for (std::size_t i = 0; i < titles.size(); ++i) widths[i + 1] = titles[i].size();
    for (const Row& row : rows)
      for (std::size_t i = 0; i < row.size() && row.size() > 1; ++i)
        widths[i] = std::max(widths[i], columns(row[i].text));
    // A long first column leaves room for the others.
    if (widths.size() > 2) {
      std::size_t others = 0;
      for (std::size_t i = 1; i + 1 < widths.size(); ++i) others += widths[i] + 2;
      const auto all = static_cast<std::size_t>(look_.width);
      widths[0] = std::min(widths[0],
                           std::max<std::size_t>(16, all > others + 18 ? all - others - 18 : 16));
    }
    Row title{{first, kBold}};
    for (const std::string& each : titles) title.push_back({each, kDim});
    lines_.push_back(row_text(title, widths));
    for (const Row& row : rows) lines_.push_back(row_text(row, widths));
  }

  [[nodiscard]] std::string row_text(const Row& row, const std::vector<std::size_t>& widths) const {
    std::string out;
    std::size_t used = 0;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const auto all = static_cast<std::size_t>(look_.width);
      const std::size_t room = all > used ? all - used : 0;
      if (room < 2) break;
      const bool last = i + 1 == row.size();
      const Cell cell{
          cut(row[i].text, last ? room : std::min(room, std::max<std::size_t>(widths[i], 1))),
          row[i].colour};
      out += painted(cell);
      if (last) break;
      const std::size_t width = std::max(widths[i], columns(cell.text)) + 2;
      used += width;
      if (used + 2 > all) break;  // there is no room for another
      out.append(width - columns(cell.text), ' ');
    }
    return out;
  }

  const Value& status_;
  StatusLook look_;
  std::vector<std::string> lines_;
};

}  // namespace

std::vector<std::string> status_lines(const Value& status, const StatusLook& look) {
  return View(status, look).lines();
}

}  // namespace keybearer::cli
