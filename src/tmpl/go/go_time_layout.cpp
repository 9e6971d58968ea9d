// Layouts: what of "Mon Jan 2 15:04:05 MST 2006" a text has. Mirrors Go's time/format.go.

#include <algorithm>
#include <ctime>

#include "tmpl/go/go_time.hpp"
#include "tmpl/go/strconv.hpp"

namespace keybearer::tmpl::go_time {
namespace {

// offset: -0700 and its kin; iso_offset: Z0700 and its kin, with Z for UTC.
enum class Std : std::uint8_t {
  none,
  long_month,
  month,
  num_month,
  zero_month,
  long_weekday,
  weekday,
  day,
  under_day,
  zero_day,
  under_year_day,
  zero_year_day,
  hour,
  hour12,
  zero_hour12,
  minute,
  zero_minute,
  second,
  zero_second,
  long_year,
  year,
  upper_pm,
  lower_pm,
  zone_name,
  offset,
  iso_offset,
  fraction0,
  fraction9
};

struct Chunk {
  Std std = Std::none;
  std::size_t begin = 0, end = 0;  // in the layout
  int parts = 2;                   // offset: 1 hours, 2 minutes, 3 seconds
  bool colons = false;             // offset
  int digits = 0;                  // fraction
  char separator = '.';            // fraction
};

bool lower_at(std::string_view s, std::size_t i) {
  return i < s.size() && s[i] >= 'a' && s[i] <= 'z';
}
bool digit_at(std::string_view s, std::size_t i) {
  return i < s.size() && s[i] >= '0' && s[i] <= '9';
}

// An offset's form after its sign or Z: the longest first where one begins another.
struct OffsetForm {
  std::string_view text;
  int parts;
  bool colons;
};
constexpr OffsetForm kOffsets[] = {{"070000", 3, false},
                                   {"07:00:00", 3, true},
                                   {"0700", 2, false},
                                   {"07:00", 2, true},
                                   {"07", 1, false}};

// What begins at `i`, if anything does.
Chunk chunk_at(std::string_view layout, std::size_t i) {
  const std::string_view rest = layout.substr(i);
  const auto is = [&](Std std, std::size_t length) { return Chunk{std, i, i + length}; };
  switch (rest[0]) {
    case 'J':
      if (rest.starts_with("January")) return is(Std::long_month, 7);
      if (rest.starts_with("Jan") && !lower_at(rest, 3)) return is(Std::month, 3);
      break;
    case 'M':
      if (rest.starts_with("Monday")) return is(Std::long_weekday, 6);
      if (rest.starts_with("Mon") && !lower_at(rest, 3)) return is(Std::weekday, 3);
      if (rest.starts_with("MST")) return is(Std::zone_name, 3);
      break;
    case '0':
      if (rest.size() >= 2 && rest[1] >= '1' && rest[1] <= '6') {
        constexpr Std kZero[] = {Std::zero_month,  Std::zero_day,    Std::zero_hour12,
                                 Std::zero_minute, Std::zero_second, Std::year};
        return is(kZero[rest[1] - '1'], 2);
      }
      if (rest.starts_with("002")) return is(Std::zero_year_day, 3);
      break;
    case '1':
      return rest.starts_with("15") ? is(Std::hour, 2) : is(Std::num_month, 1);
    case '2':
      return rest.starts_with("2006") ? is(Std::long_year, 4) : is(Std::day, 1);
    case '_':
      if (rest.starts_with("_2006")) return Chunk{Std::long_year, i + 1, i + 5};
      if (rest.starts_with("_2")) return is(Std::under_day, 2);
      if (rest.starts_with("__2")) return is(Std::under_year_day, 3);
      break;
    case '3':
      return is(Std::hour12, 1);
    case '4':
      return is(Std::minute, 1);
    case '5':
      return is(Std::second, 1);
    case 'P':
      if (rest.starts_with("PM")) return is(Std::upper_pm, 2);
      break;
    case 'p':
      if (rest.starts_with("pm")) return is(Std::lower_pm, 2);
      break;
    case '-':
    case 'Z':
      for (const OffsetForm& form : kOffsets) {
        if (!rest.substr(1).starts_with(form.text)) continue;
        Chunk chunk = is(rest[0] == 'Z' ? Std::iso_offset : Std::offset, form.text.size() + 1);
        chunk.parts = form.parts;
        chunk.colons = form.colons;
        return chunk;
      }
      break;
    case '.':
    case ',':
      if (rest.size() > 1 && (rest[1] == '0' || rest[1] == '9')) {
        const std::size_t end = std::min(rest.find_first_not_of(rest[1], 1), rest.size());
        if (digit_at(rest, end)) break;  // only a fraction is all one digit
        Chunk chunk = is(rest[1] == '0' ? Std::fraction0 : Std::fraction9, end);
        chunk.digits = static_cast<int>(end) - 1;
        chunk.separator = rest[0];
        return chunk;
      }
      break;
    default:
      break;
  }
  return {};
}

Chunk next_chunk(std::string_view layout, std::size_t from) {
  for (std::size_t i = from; i < layout.size(); ++i) {
    const Chunk chunk = chunk_at(layout, i);
    if (chunk.std != Std::none) return chunk;
  }
  return {Std::none, layout.size(), layout.size()};
}

void append_number(std::string& out, std::int64_t value, std::size_t width, char fill = '0') {
  if (value < 0) out += '-';
  const std::string digits = std::to_string(value < 0 ? -value : value);
  if (digits.size() < width) out.append(width - digits.size(), fill);
  out += digits;
}

void append_offset(std::string& out, int offset, int parts, bool colons) {
  const int minutes = std::abs(offset / 60);
  out += offset / 60 < 0 ? '-' : '+';
  append_number(out, minutes / 60, 2);
  if (parts >= 2) {
    if (colons) out += ':';
    append_number(out, minutes % 60, 2);
  }
  if (parts >= 3) {
    if (colons) out += ':';
    append_number(out, (offset / 60 < 0 ? -offset : offset) % 60, 2);
  }
}

void append_fraction(std::string& out, int nanoseconds, const Chunk& chunk) {
  const bool trim = chunk.std == Std::fraction9;
  if (trim && nanoseconds == 0) return;
  std::string digits;
  append_number(digits, nanoseconds, 9);
  digits.resize(std::min<std::size_t>(9, static_cast<std::size_t>(chunk.digits)));
  if (trim) {
    while (!digits.empty() && digits.back() == '0') digits.pop_back();
    if (digits.empty()) return;
  }
  out += chunk.separator;
  out += digits;
}

void append_chunk(std::string& out, const Chunk& chunk, const Time& time, const Civil& at) {
  const int hour12 = at.hour % 12 == 0 ? 12 : at.hour % 12;
  switch (chunk.std) {
    case Std::none:
      break;
    case Std::year:
      append_number(out, (at.year < 0 ? -at.year : at.year) % 100, 2);
      break;
    case Std::long_year:
      append_number(out, at.year, 4);
      break;
    case Std::month:
      out += month_name(at.month).substr(0, 3);
      break;
    case Std::long_month:
      out += month_name(at.month);
      break;
    case Std::num_month:
      append_number(out, at.month, 0);
      break;
    case Std::zero_month:
      append_number(out, at.month, 2);
      break;
    case Std::weekday:
      out += weekday_name(at.weekday).substr(0, 3);
      break;
    case Std::long_weekday:
      out += weekday_name(at.weekday);
      break;
    case Std::day:
      append_number(out, at.day, 0);
      break;
    case Std::under_day:
      append_number(out, at.day, 2, ' ');
      break;
    case Std::zero_day:
      append_number(out, at.day, 2);
      break;
    case Std::under_year_day:
      append_number(out, at.year_day, 3, ' ');
      break;
    case Std::zero_year_day:
      append_number(out, at.year_day, 3);
      break;
    case Std::hour:
      append_number(out, at.hour, 2);
      break;
    case Std::hour12:
      append_number(out, hour12, 0);
      break;
    case Std::zero_hour12:
      append_number(out, hour12, 2);
      break;
    case Std::minute:
      append_number(out, at.minute, 0);
      break;
    case Std::zero_minute:
      append_number(out, at.minute, 2);
      break;
    case Std::second:
      append_number(out, at.second, 0);
      break;
    case Std::zero_second:
      append_number(out, at.second, 2);
      break;
    case Std::upper_pm:
      out += at.hour >= 12 ? "PM" : "AM";
      break;
    case Std::lower_pm:
      out += at.hour >= 12 ? "pm" : "am";
      break;
    case Std::zone_name:
      if (at.zone.empty()) append_offset(out, at.offset, 2, false);
      out += at.zone;
      break;
    case Std::offset:
    case Std::iso_offset:
      if (chunk.std == Std::iso_offset && at.offset == 0)
        out += 'Z';
      else
        append_offset(out, at.offset, chunk.parts, chunk.colons);
      break;
    case Std::fraction0:
    case Std::fraction9:
      append_fraction(out, time.nanoseconds, chunk);
      break;
  }
}

// --- reading ---

constexpr bool is_leap(std::int64_t year) {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}
constexpr int kBefore[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
int days_in(int month, std::int64_t year) {
  return kBefore[month] - kBefore[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

// One text against one layout. Errors are kept as flags: `bad` for a text that does not fit, a name
// for a value out of range.
class Reader {
 public:
  Reader(std::string_view layout, std::string_view text) : layout_(layout), text_(text) {}

  std::expected<Time, std::string> read(Zone::Kind zone);

 private:
  bool skip(std::string_view prefix);
  void element(const Chunk& chunk, std::size_t next);
  void number(int& into, bool fixed);
  void name(int& into, std::string_view (*of)(int), int first, int count, bool is_short);
  void offset(const Chunk& chunk);
  void zone();
  void nanoseconds(std::size_t bytes);
  void second(bool fixed, std::size_t next);
  void half(std::string_view before, std::string_view after);
  std::optional<std::string_view> finish_date();
  Time in_zone(Zone::Kind zone) const;
  [[nodiscard]] std::unexpected<std::string> mismatch(std::string_view element) const;

  std::string_view layout_, text_;
  bool bad_ = false;
  std::string_view out_of_range_;
  int year_ = 0, month_ = -1, day_ = -1, year_day_ = -1;
  int hour_ = 0, minute_ = 0, second_ = 0, nanosecond_ = 0;
  bool am_ = false, pm_ = false, utc_ = false;
  int offset_ = -1;
  std::string zone_;
};

// As package time quotes: what is no ASCII in bytes.
std::string quoted(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || byte < ' ') {
      out += "\\x";
      out += {kHex[byte >> 4], kHex[byte & 15]};
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::unexpected<std::string> Reader::mismatch(std::string_view element) const {
  return std::unexpected("parsing time \"[masked]\" as " + quoted(layout_) +
                         ": cannot parse \"[masked]\" as " + quoted(element));
}

// Text of the layout between its elements; runs of blanks count as one.
bool Reader::skip(std::string_view prefix) {
  const auto cut = [](std::string_view& s) {
    s.remove_prefix(std::min(s.find_first_not_of(' '), s.size()));
  };
  while (!prefix.empty()) {
    if (prefix[0] == ' ') {
      if (!text_.empty() && text_[0] != ' ') return false;
      cut(prefix);
      cut(text_);
      continue;
    }
    if (text_.empty() || text_[0] != prefix[0]) return false;
    prefix.remove_prefix(1);
    text_.remove_prefix(1);
  }
  return true;
}

// One or two digits; two when fixed.
void Reader::number(int& into, bool fixed) {
  if (!digit_at(text_, 0) || (fixed && !digit_at(text_, 1))) {
    bad_ = true;
    return;
  }
  const std::size_t digits = digit_at(text_, 1) ? 2 : 1;
  into = 0;
  for (std::size_t i = 0; i < digits; ++i) into = into * 10 + (text_[i] - '0');
  text_.remove_prefix(digits);
}

void Reader::name(int& into, std::string_view (*of)(int), int first, int count, bool is_short) {
  for (int i = first; i < first + count; ++i) {
    const std::string_view name = is_short ? of(i).substr(0, 3) : of(i);
    if (text_.size() < name.size()) continue;
    const bool same = std::equal(name.begin(), name.end(), text_.begin(),
                                 [](char a, char b) { return (a | 0x20) == (b | 0x20); });
    if (!same) continue;
    into = i;
    text_.remove_prefix(name.size());
    return;
  }
  bad_ = true;
}

// '.' or ',' and the digits after it, `bytes` in all.
void Reader::nanoseconds(std::size_t bytes) {
  bad_ = text_[0] != '.' && text_[0] != ',';
  if (bad_) return;
  // Go's strconv.Atoi reads it, which takes a sign too.
  constexpr std::size_t kMost = 10;
  const auto number = parse_int(text_.substr(1, std::min(bytes, kMost) - 1), 10);
  text_.remove_prefix(bytes);
  if (!number) {
    bad_ = true;
  } else if (*number < 0) {
    out_of_range_ = "fractional second";
  } else {
    nanosecond_ = static_cast<int>(*number);
    for (std::size_t i = std::min(bytes, kMost); i < kMost; ++i) nanosecond_ *= 10;
  }
}

void Reader::second(bool fixed, std::size_t next) {
  number(second_, fixed);
  if (bad_) return;
  if (second_ >= 60) {
    out_of_range_ = "second";
    return;
  }
  // A fraction is taken even where the layout has none.
  if (text_.size() < 2 || (text_[0] != '.' && text_[0] != ',') || !digit_at(text_, 1)) return;
  const Std following = next_chunk(layout_, next).std;
  if (following == Std::fraction0 || following == Std::fraction9) return;
  nanoseconds(std::min(text_.find_first_not_of("0123456789", 1), text_.size()));
}

void Reader::half(std::string_view before, std::string_view after) {
  const std::string_view text = text_.substr(0, 2);
  am_ = am_ || text == before;
  pm_ = pm_ || text == after;
  if (text != before && text != after) bad_ = true;
  if (text_.size() >= 2) text_.remove_prefix(2);
}

void Reader::offset(const Chunk& chunk) {
  const std::size_t step = chunk.colons ? 3 : 2;
  const std::size_t length = 3 + step * static_cast<std::size_t>(chunk.parts - 1);
  if (text_.size() < length) {
    bad_ = true;
    return;
  }
  const auto parts = static_cast<std::size_t>(chunk.parts);
  for (std::size_t i = 1; i < parts && chunk.colons; ++i) bad_ = bad_ || text_[i * step] != ':';
  if (bad_) return;
  int values[3] = {0, 0, 0};
  for (std::size_t i = 0; i < parts && !bad_; ++i) {  // what was read is judged all the same
    const std::size_t at = 1 + i * step;
    bad_ = !digit_at(text_, at) || !digit_at(text_, at + 1);
    if (!bad_) values[i] = (text_[at] - '0') * 10 + (text_[at + 1] - '0');
  }
  // Some write 24 hours or 60 minutes.
  if (values[0] > 24) out_of_range_ = "time zone offset hour";
  if (values[1] > 60) out_of_range_ = "time zone offset minute";
  if (values[2] > 60) out_of_range_ = "time zone offset second";
  offset_ = (values[0] * 60 + values[1]) * 60 + values[2];
  if (text_[0] == '-')
    offset_ = -offset_;
  else if (text_[0] != '+')
    bad_ = true;
  text_.remove_prefix(length);
}

// "+03", "-4": how long it is; 0 when it is none. Hours up to 23.
std::size_t signed_offset(std::string_view text) {
  if (text.empty() || (text[0] != '-' && text[0] != '+')) return 0;
  int hours = 0;
  std::size_t end = 1;
  for (; digit_at(text, end); ++end) hours = std::min(1000, hours * 10 + (text[end] - '0'));
  return end == 1 || hours > 23 ? 0 : end;
}

// A zone's abbreviation: three capitals, four or five that end in T, and what else there is.
std::size_t zone_length(std::string_view text) {
  if (text.size() < 3) return 0;
  if (text.starts_with("ChST") || text.starts_with("MeST")) return 4;
  if (text.starts_with("GMT")) return 3 + signed_offset(text.substr(3));
  if (text[0] == '+' || text[0] == '-') return signed_offset(text);
  std::size_t capitals = 0;
  while (capitals < 6 && capitals < text.size() && text[capitals] >= 'A' && text[capitals] <= 'Z')
    ++capitals;
  if (capitals == 5) return text[4] == 'T' ? 5 : 0;
  if (capitals == 4) return text[3] == 'T' || text.starts_with("WITA") ? 4 : 0;
  return capitals == 3 ? 3 : 0;
}

void Reader::zone() {
  if (text_.starts_with("UTC")) {
    utc_ = true;
    text_.remove_prefix(3);
    return;
  }
  const std::size_t length = zone_length(text_);
  if (length == 0) bad_ = true;
  zone_ = text_.substr(0, length);
  text_.remove_prefix(length);
}

void Reader::element(const Chunk& chunk, std::size_t next) {
  int ignored = 0;
  switch (chunk.std) {
    case Std::none:
      break;
    case Std::year:
      // Two characters of which the first may be a sign, as Go's atoi reads them.
      if (text_.size() < 2 || !digit_at(text_, 1) ||
          (!digit_at(text_, 0) && text_[0] != '-' && text_[0] != '+')) {
        bad_ = true;
      } else {
        year_ = digit_at(text_, 0) ? (text_[0] - '0') * 10 + (text_[1] - '0')
                                   : (text_[0] == '-' ? -1 : 1) * (text_[1] - '0');
        year_ += year_ >= 69 ? 1900 : 2000;
        text_.remove_prefix(2);
      }
      break;
    case Std::long_year:
      year_ = 0;
      for (std::size_t i = 0; i < 4; ++i) {
        if (!digit_at(text_, i)) bad_ = true;
        if (!bad_) year_ = year_ * 10 + (text_[i] - '0');
      }
      if (!bad_) text_.remove_prefix(4);
      break;
    case Std::month:
    case Std::long_month:
      name(month_, month_name, 1, 12, chunk.std == Std::month);
      break;
    case Std::num_month:
    case Std::zero_month:
      number(month_, chunk.std == Std::zero_month);
      if (!bad_ && (month_ <= 0 || month_ > 12)) out_of_range_ = "month";
      break;
    case Std::weekday:
    case Std::long_weekday:
      name(ignored, weekday_name, 0, 7, chunk.std == Std::weekday);
      break;
    case Std::day:
    case Std::under_day:
    case Std::zero_day:
      if (chunk.std == Std::under_day && text_.starts_with(' ')) text_.remove_prefix(1);
      number(day_, chunk.std == Std::zero_day);
      break;
    case Std::under_year_day:
    case Std::zero_year_day: {
      for (int i = 0; i < 2 && chunk.std == Std::under_year_day && text_.starts_with(' '); ++i)
        text_.remove_prefix(1);
      std::size_t digits = 0;
      int value = 0;
      for (; digits < 3 && digit_at(text_, digits); ++digits)
        value = value * 10 + (text_[digits] - '0');
      bad_ = digits == 0 || (chunk.std == Std::zero_year_day && digits != 3);
      year_day_ = value;
      text_.remove_prefix(digits);
      break;
    }
    case Std::hour:
      number(hour_, false);
      if (hour_ >= 24) out_of_range_ = "hour";
      break;
    case Std::hour12:
    case Std::zero_hour12:
      number(hour_, chunk.std == Std::zero_hour12);
      if (hour_ > 12) out_of_range_ = "hour";
      break;
    case Std::minute:
    case Std::zero_minute:
      number(minute_, chunk.std == Std::zero_minute);
      if (minute_ >= 60) out_of_range_ = "minute";
      break;
    case Std::second:
    case Std::zero_second:
      second(chunk.std == Std::zero_second, next);
      break;
    case Std::upper_pm:
      half("AM", "PM");
      break;
    case Std::lower_pm:
      half("am", "pm");
      break;
    case Std::iso_offset:
      if (text_.starts_with('Z')) {
        utc_ = true;
        text_.remove_prefix(1);
        break;
      }
      [[fallthrough]];
    case Std::offset:
      offset(chunk);
      break;
    case Std::zone_name:
      zone();
      break;
    case Std::fraction0: {
      const auto bytes = static_cast<std::size_t>(chunk.digits) + 1;
      if (text_.size() < bytes)
        bad_ = true;
      else
        nanoseconds(bytes);
      break;
    }
    case Std::fraction9:
      if (text_.size() >= 2 && (text_[0] == '.' || text_[0] == ',') && digit_at(text_, 1))
        nanoseconds(std::min(text_.find_first_not_of("0123456789", 1), text_.size()));
      break;
  }
}

// Month and day from the day of the year, and defaults. What is wrong, if anything is.
std::optional<std::string_view> Reader::finish_date() {
  if (year_day_ >= 0) {
    int month = 0, day = 0, year_day = year_day_;
    if (is_leap(year_) && year_day == 60) {
      month = 2;
      day = 29;
    } else if (is_leap(year_) && year_day > 60) {
      --year_day;
    }
    if (year_day < 1 || year_day > 365) return "day-of-year out of range";
    if (month == 0) {
      month = (year_day - 1) / 31 + 1;
      if (kBefore[month] < year_day) ++month;
      day = year_day - kBefore[month - 1];
    }
    if (month_ >= 0 && month_ != month) return "day-of-year does not match month";
    month_ = month;
    if (day_ >= 0 && day_ != day) return "day-of-year does not match day";
    day_ = day;
  }
  if (month_ < 0) month_ = 1;
  if (day_ < 0) day_ = 1;
  if (day_ < 1 || day_ > days_in(month_, year_)) return "day out of range";
  return std::nullopt;
}

Time Reader::in_zone(Zone::Kind zone) const {
  const auto at = [this](const Zone& where) {
    return date(year_, month_, day_, hour_, minute_, second_, nanosecond_, where);
  };
  if (utc_) return at({});
  const Zone local{Zone::Kind::local, 0, {}};
  if (offset_ != -1) {
    Time time = at({});
    time.seconds -= offset_;
    // The local zone where it has this offset at that time, else one made up.
    time.zone = local;
    const Civil there = civil(time);
    if (there.offset != offset_ || (!zone_.empty() && there.zone != zone_))
      time.zone = {Zone::Kind::fixed, offset_, zone_};
    return time;
  }
  if (!zone_.empty()) {
    const Time there = at(local);
    if (civil(there).zone == zone_) return there;
    int hours = 0;
    if (zone_.starts_with("GMT") && zone_.size() > 3) {
      for (std::size_t i = 4; i < zone_.size(); ++i) hours = hours * 10 + (zone_[i] - '0');
      if (zone_[3] == '-') hours = -hours;
    }
    Time time = at({});
    time.zone = {Zone::Kind::fixed, hours * 3600, zone_};
    // Go keeps the wall clock's number and only names the zone.
    return time;
  }
  return at(zone == Zone::Kind::utc ? Zone{} : local);
}

std::expected<Time, std::string> Reader::read(Zone::Kind zone) {
  const auto wrong = [](std::string_view what) {
    return std::unexpected("parsing time \"[masked]\": " + std::string(what));
  };
  for (std::size_t from = 0;;) {
    const Chunk chunk = next_chunk(layout_, from);
    const std::string_view prefix = layout_.substr(from, chunk.begin - from);
    if (!skip(prefix)) return mismatch(prefix);
    if (chunk.std == Std::none) break;
    from = chunk.end;
    element(chunk, from);
    if (!out_of_range_.empty()) return wrong(std::string(out_of_range_) + " out of range");
    if (bad_) return mismatch(layout_.substr(chunk.begin, chunk.end - chunk.begin));
  }
  if (!text_.empty()) return wrong("extra text: \"[masked]\"");
  if (pm_ && hour_ < 12) hour_ += 12;
  if (!pm_ && am_ && hour_ == 12) hour_ = 0;
  if (const auto problem = finish_date()) return wrong(*problem);
  return in_zone(zone);
}

}  // namespace

std::string format(const Time& time, std::string_view layout) {
  std::string out;
  const Civil at = civil(time);
  for (std::size_t from = 0;;) {
    const Chunk chunk = next_chunk(layout, from);
    out += layout.substr(from, chunk.begin - from);
    if (chunk.std == Std::none) return out;
    append_chunk(out, chunk, time, at);
    from = chunk.end;
  }
}

std::string to_string(const Time& time) {
  return format(time, "2006-01-02 15:04:05.999999999 -0700 MST");
}

std::expected<Time, std::string> parse(std::string_view layout, std::string_view text,
                                       Zone::Kind zone) {
  return Reader(layout, text).read(zone);
}

}  // namespace keybearer::tmpl::go_time
