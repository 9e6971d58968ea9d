#include "render/preview.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "render/line_diff.hpp"

namespace keybearer::render {
namespace {

constexpr std::size_t kContext = 3;                // lines around a change
constexpr std::size_t kMostCompared = 20'000'000;  // old lines x new lines, when masked

// A line of the template's own text with gaps where something was printed.
struct MaskedLine {
  std::vector<std::string_view> literals = {{}};  // one more than there are gaps
  bool newline = false;

  [[nodiscard]] bool has_gaps() const { return literals.size() > 1; }
  void append_to(Secret& out) const {
    for (std::size_t i = 0; i < literals.size(); ++i) {
      if (i > 0) out.append(kMask);
      out.append(literals[i]);
    }
    if (newline) out.push_back('\n');
  }
};

// `printed` are sorted; what is between them is the template's text.
std::vector<MaskedLine> masked_lines(std::string_view content,
                                     const std::vector<tmpl::Range>& printed) {
  std::vector<MaskedLine> out;
  auto range = printed.begin();
  std::size_t at = 0;
  for (const std::string_view line : lines_of(content)) {
    MaskedLine masked;
    masked.newline = line.ends_with('\n');
    const std::size_t end = at + line.size() - (masked.newline ? 1 : 0);
    std::size_t literal = at;
    bool gap = false;  // ranges that touch are one gap
    for (auto r = range; r != printed.end() && r->begin < end; ++r) {
      const std::size_t from = std::max(r->begin, at), to = std::min(r->end, end);
      if (from >= to) continue;
      if (!gap || from > literal) {
        masked.literals.back() = content.substr(literal, from - literal);
        masked.literals.emplace_back();
      }
      gap = true;
      literal = to;
    }
    masked.literals.back() = content.substr(literal, end - literal);
    at += line.size();
    while (range != printed.end() && range->end <= at) ++range;
    out.push_back(std::move(masked));
  }
  return out;
}

// How much of an old line this line explains; nothing: it does not fit.
std::optional<std::size_t> explained_by(std::string_view old, const MaskedLine& line) {
  const auto& literals = line.literals;
  if (!line.has_gaps()) return old == literals[0] ? std::optional(old.size() + 1) : std::nullopt;
  if (!old.starts_with(literals.front())) return std::nullopt;
  std::size_t size = literals.front().size() + literals.back().size();
  old.remove_prefix(literals.front().size());
  if (!old.ends_with(literals.back())) return std::nullopt;
  old.remove_suffix(literals.back().size());
  for (std::size_t i = 1; i + 1 < literals.size(); ++i) {
    const auto found = old.find(literals[i]);
    if (found == std::string_view::npos) return std::nullopt;
    old.remove_prefix(found + literals[i].size());
    size += literals[i].size();
  }
  return size;
}

// An old line as the template line that it fits best: what the template says can be shown.
void append_old(Secret& out, std::string_view line, const std::vector<MaskedLine>& now) {
  const bool newline = line.ends_with('\n');
  if (newline) line.remove_suffix(1);
  const MaskedLine* best = nullptr;
  std::size_t most = 0;
  for (const MaskedLine& candidate : now) {
    const auto size = explained_by(line, candidate);
    if (!size || (best != nullptr && *size <= most)) continue;
    best = &candidate;
    most = *size;
  }
  MaskedLine shown;
  if (best != nullptr)
    shown.literals = best->literals;
  else if (!line.empty())
    shown.literals.emplace_back();
  shown.newline = newline;
  shown.append_to(out);
}

struct Texts {
  std::vector<std::string_view> before, after;
  Values values;
  std::vector<MaskedLine> masked;  // of after, when values are masked
};

void append_line(Secret& out, const Texts& texts, const Edit& edit) {
  using Kind = Edit::Kind;
  out.push_back(edit.kind == Kind::keep ? ' ' : edit.kind == Kind::add ? '+' : '-');
  const bool old = edit.kind == Kind::remove;
  const std::string_view line = old ? texts.before[edit.before] : texts.after[edit.after];
  if (texts.values == Values::shown) {
    out.append(line);
  } else if (!old) {
    texts.masked[edit.after].append_to(out);
  } else if (texts.before.size() * texts.masked.size() < kMostCompared) {
    append_old(out, line, texts.masked);
  } else {
    append_old(out, line, {});
  }
  if (!line.ends_with('\n')) out.append("\n\\ No newline at end of file\n");
}

// "3,7", "3", "0,0": as diff -u counts.
std::string span_text(std::size_t first, std::size_t count) {
  const std::string from = std::to_string(count == 0 ? first : first + 1);
  return count == 1 ? from : from + "," + std::to_string(count);
}

void append_hunk(Secret& out, const Texts& texts, const std::vector<Edit>& edits, std::size_t begin,
                 std::size_t end) {
  std::size_t before = 0, after = 0;
  Edit first = edits[begin];
  for (std::size_t i = begin; i < end; ++i) {
    first.before = std::min(first.before, edits[i].before);
    first.after = std::min(first.after, edits[i].after);
    before += edits[i].kind != Edit::Kind::add ? 1 : 0;
    after += edits[i].kind != Edit::Kind::remove ? 1 : 0;
  }
  out.append("@@ -" + span_text(first.before, before) + " +" + span_text(first.after, after) +
             " @@\n");
  for (std::size_t i = begin; i < end; ++i) append_line(out, texts, edits[i]);
}

}  // namespace

Secret preview(const RenderedFile& file, Values values) {
  if (values == Values::shown) return file.content->clone();
  Secret out;
  for (const MaskedLine& line : masked_lines(file.content->reveal(), file.printed))
    line.append_to(out);
  return out;
}

Secret preview_diff(const RenderedFile& file, std::optional<std::string_view> before,
                    Values values) {
  const std::string_view now = file.content->reveal();
  const std::string& path = file.spec->destination;
  Secret out;
  if (before && *before == now) return out;
  out.append("--- " + (before ? path : "/dev/null") + "\n+++ " + path + "\n");
  const std::string_view old = before.value_or(std::string_view{});
  if (old.find('\0') != std::string_view::npos || now.find('\0') != std::string_view::npos) {
    out.append("Binary files differ\n");
    return out;
  }
  Texts texts{.before = lines_of(old), .after = lines_of(now), .values = values, .masked = {}};
  if (values == Values::masked) texts.masked = masked_lines(now, file.printed);
  const std::vector<Edit> edits = line_diff(texts.before, texts.after);

  const auto changed = [&edits](std::size_t i) { return edits[i].kind != Edit::Kind::keep; };
  for (std::size_t i = 0; i < edits.size(); ++i) {
    if (!changed(i)) continue;
    const std::size_t begin = i - std::min(i, kContext);
    std::size_t last = i;  // the hunk's last change: the next one is more than two contexts away
    for (std::size_t k = i; k < edits.size() && k <= last + 2 * kContext + 1; ++k) {
      if (changed(k)) last = k;
    }
    append_hunk(out, texts, edits, begin, std::min(edits.size(), last + kContext + 1));
    i = last + kContext;
  }
  return out;
}

}  // namespace keybearer::render
