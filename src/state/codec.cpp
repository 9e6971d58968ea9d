#include "state/codec.hpp"

#include <algorithm>
#include <bit>

namespace keybearer::state {

void Writer::number(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(0x80 | (value & 0x7f));
  bytes_ += static_cast<char>(value);
}

void Writer::signed_number(std::int64_t value) {
  const auto bits = static_cast<std::uint64_t>(value);
  number((bits << 1) ^ (value < 0 ? ~std::uint64_t{0} : 0));
}

void Writer::text(std::string_view bytes) {
  number(bytes.size());
  bytes_ += bytes;
}

bool Writer::value(const Value& value, int depth) {
  if (depth > kMaxDepth) return false;
  number(static_cast<std::uint64_t>(value.type()));
  switch (value.type()) {
    case Type::nil:
      return true;
    case Type::boolean:
      flag(value.as_bool());
      return true;
    case Type::integer:
    case Type::int64:
    case Type::byte:
      signed_number(value.as_int());
      return true;
    case Type::uint64:
      number(value.as_uint());
      return true;
    case Type::float64:
      number(std::bit_cast<std::uint64_t>(value.as_double()));
      return true;
    case Type::number:
    case Type::string:
      text(value.as_text());
      return true;
    case Type::list:
    case Type::strings:
    case Type::ints:
    case Type::lists: {
      flag(value.is_nil_of());
      if (value.is_nil_of()) return true;
      number(value.size());
      return std::ranges::all_of(value.items(),
                                 [&](const Value& item) { return this->value(item, depth + 1); });
    }
    case Type::map:
    case Type::string_map:
    case Type::any_map: {
      flag(value.is_nil_of());
      if (value.is_nil_of()) return true;
      number(value.size());
      return std::ranges::all_of(value.entries(), [&](const Value::Entry& entry) {
        return this->value(entry.key, depth + 1) && this->value(entry.value, depth + 1);
      });
    }
    case Type::complex128:
    case Type::object:
      break;
  }
  return false;
}

std::uint64_t Reader::number() {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (rest_.empty()) break;
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    if (shift == 63 && byte > 1) break;
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  fail();
  return 0;
}

std::int64_t Reader::signed_number() {
  const std::uint64_t bits = number();
  return static_cast<std::int64_t>((bits >> 1) ^ ((bits & 1) != 0 ? ~std::uint64_t{0} : 0));
}

bool Reader::flag() {
  const std::uint64_t value = number();
  if (value > 1) fail();
  return value == 1;
}

std::string_view Reader::text() {
  const std::uint64_t size = number();
  if (size > rest_.size()) {
    fail();
    return {};
  }
  const std::string_view bytes = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return bytes;
}

std::size_t Reader::count() {
  const std::uint64_t items = number();
  if (items > rest_.size()) {
    fail();
    return 0;
  }
  return items;
}

Value Reader::value(int depth) {
  const std::uint64_t type = number();
  if (depth > kMaxDepth || type > static_cast<std::uint64_t>(Type::object)) {
    fail();
    return {};
  }
  const auto kind = static_cast<Type>(type);
  switch (kind) {
    case Type::nil:
      return {};
    case Type::boolean:
      return {flag()};
    case Type::integer:
      return Value::integer(signed_number());
    case Type::int64:
      return Value::int64(signed_number());
    case Type::byte:
      return Value::byte(static_cast<std::uint8_t>(signed_number()));
    case Type::uint64:
      return Value::uint64(number());
    case Type::float64:
      return {std::bit_cast<double>(number())};
    case Type::number:
      return Value::number(text());
    case Type::string:
      return {text()};
    case Type::list:
    case Type::strings:
    case Type::ints:
    case Type::lists: {
      if (flag()) return Value::nil_of(kind);
      List items;
      for (std::size_t n = count(); n > 0 && ok_; --n) items.push_back(value(depth + 1));
      return ok_ ? Value::list(kind, std::move(items)) : Value();
    }
    case Type::map:
    case Type::string_map:
    case Type::any_map: {
      if (flag()) return Value::nil_of(kind);
      Value map = Value::map(kind);
      for (std::size_t n = count(); n > 0 && ok_; --n) {
        const Value key = value(depth + 1);
        Value member = value(depth + 1);
        const bool plain =
            key.type() == Type::string ||
            (kind == Type::any_map && (key.type() == Type::integer || key.type() == Type::boolean));
        if (!plain) fail();
        if (ok_) map.set_key(key, std::move(member));
      }
      return ok_ ? map : Value();
    }
    case Type::complex128:
    case Type::object:
      break;
  }
  fail();
  return {};
}

}  // namespace keybearer::state
