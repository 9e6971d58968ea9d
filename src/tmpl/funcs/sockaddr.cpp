#include "tmpl/funcs/sockaddr.hpp"

#include <net/if.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <span>

#include "tmpl/funcs/funcs.hpp"
#include "tmpl/funcs/regex.hpp"
#include "tmpl/funcs/sockaddr_address.hpp"
#include "tmpl/go/go_strings.hpp"
#include "tmpl/go/strconv.hpp"

namespace keybearer::tmpl::sockaddr {
namespace {

bool in_any(const Address& address, std::span<const std::string_view> networks) {
  return std::ranges::any_of(networks,
                             [&](std::string_view n) { return within(address, parse_address(n)); });
}

constexpr std::string_view kSpecial[] = {"0.0.0.0/8",
                                         "10.0.0.0/8",
                                         "100.64.0.0/10",
                                         "127.0.0.0/8",
                                         "169.254.0.0/16",
                                         "172.16.0.0/12",
                                         "192.0.0.0/24",
                                         "192.0.0.0/29",
                                         "192.0.2.0/24",
                                         "192.88.99.0/24",
                                         "192.168.0.0/16",
                                         "198.18.0.0/15",
                                         "198.51.100.0/24",
                                         "203.0.113.0/24",
                                         "240.0.0.0/4",
                                         "255.255.255.255",
                                         "::1",
                                         "::",
                                         "64:ff9b::/96",
                                         "::ffff:0:0/96",
                                         "100::/64",
                                         "2001::/16",
                                         "2002::/16",
                                         "fc00::/7",
                                         "fe80::/10"};
constexpr std::string_view kNotForwarded[] = {"0.0.0.0/8",
                                              "127.0.0.0/8",
                                              "169.254.0.0/16",
                                              "192.0.0.0/24",
                                              "192.0.2.0/24",
                                              "198.51.100.0/24",
                                              "203.0.113.0/24",
                                              "240.0.0.0/4",
                                              "255.255.255.255",
                                              "::1",
                                              "::",
                                              "::ffff:0:0/96",
                                              "2001:db8::/32",
                                              "2001:10::/28",
                                              "fe80::/10"};
struct Rfc {
  std::uint64_t number;
  std::string_view networks;  // between blanks
};
constexpr Rfc kRfcs[] = {
    {919, "255.255.255.255"},
    {1112, "224.0.0.0/4"},
    {1122, "0.0.0.0/8 127.0.0.0/8"},
    {1918, "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16"},
    {2544, "198.18.0.0/15"},
    {2765, "::ffff:0:0/96"},
    {2928, "2001::/16"},
    {3056, "2002::/16"},
    {3068, "192.88.99.0/24 2002:c058:6301::/120"},
    {3171, "224.0.0.0/4"},
    {3330,
     "0.0.0.0/8 10.0.0.0/8 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.2.0/24 "
     "192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 224.0.0.0/4 240.0.0.0/4"},
    {3849, "2001:db8::/32"},
    {3927, "169.254.0.0/16"},
    {4038, "0:0:0:0:0:ffff::/96"},
    {4193, "fc00::/7"},
    {4291, "::/128 ::1/128 ::/96 ::ffff:0:0/96 fe80::/10 fec0::/10 ff00::/8"},
    {4380, "2001::/32"},
    {4773, "2001::/23"},
    {4843, "2001:10::/28"},
    {5180, "2001:200::/48"},
    {5735, "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 198.18.0.0/15"},
    {5737, "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24"},
    {6052, "64:ff9b::/96"},
    {6333, "192.0.0.0/29"},
    {6598, "100.64.0.0/10"},
    {6666, "100::/64"},
    {7335, "192.0.0.0/29"},
};

bool is_private(const Address& a) {
  return in_any(a, kSpecial);
}
bool is_forwardable(const Address& a) {
  return !in_any(a, kNotForwarded);
}

CallError not_a_number(std::string_view function, const std::string& before, std::string_view text,
                       std::string_view reason) {
  return {before + ": strconv." + std::string(function) + ": parsing " + quote(text) + ": " +
          std::string(reason)};
}

// What the names of flags ask for; an unknown one is an error, whether there are addresses or not.
struct Wanted {
  unsigned flags = 0;
  bool by_flags = false;
  std::vector<std::string> kinds;
};
Wanted wanted_flags(std::string_view names) {
  constexpr std::pair<std::string_view, unsigned> kFlags[] = {
      {"broadcast", IFF_BROADCAST}, {"down", 0},    {"loopback", IFF_LOOPBACK},
      {"multicast", IFF_MULTICAST}, {"up", IFF_UP}, {"point-to-point", IFF_POINTOPOINT}};
  constexpr std::string_view kKinds[] = {"forwardable",
                                         "global unicast",
                                         "interface-local multicast",
                                         "link-local multicast",
                                         "link-local unicast",
                                         "loopback",
                                         "multicast",
                                         "unspecified"};
  Wanted out;
  for (std::string& name : parts(lower(names), '|')) {
    const auto* flag = std::ranges::find(kFlags, name, [](const auto& f) { return f.first; });
    const bool kind = std::ranges::find(kKinds, name) != std::end(kKinds);
    if (flag == std::end(kFlags) && !kind)
      throw CallError{"Unknown interface flag: " + quote(name, true)};
    if (flag != std::end(kFlags)) {
      out.by_flags = true;
      out.flags =
          name == "down" ? out.flags & ~static_cast<unsigned>(IFF_UP) : out.flags | flag->second;
    }
    if (kind) out.kinds.push_back(std::move(name));
  }
  return out;
}

bool is_of_kind(const Address& a, std::string_view kind) {
  const bool multicast = a.v6 ? a.bytes[0] == 0xFF : a.bytes[0] >> 4 == 14;
  const bool loopback = a.v6 ? within(a, parse_address("::1")) : a.bytes[0] == 127;
  const bool link_local = a.v6 ? a.bytes[0] == 0xFE && (a.bytes[1] & 0xC0) == 0x80
                               : a.bytes[0] == 169 && a.bytes[1] == 254;
  const bool unspecified = std::ranges::all_of(a.bytes, [](std::uint8_t b) { return b == 0; });
  const bool broadcast = !a.v6 && text_of(a) == "255.255.255.255";
  if (kind == "forwardable") return is_forwardable(a);
  if (kind == "link-local unicast") return link_local;
  if (kind == "unspecified") return unspecified;
  if (kind == "loopback") return loopback;
  if (kind == "multicast") return multicast;
  if (kind == "interface-local multicast") return a.v6 && multicast && (a.bytes[1] & 15) == 1;
  if (kind == "link-local multicast")
    return a.v6 ? multicast && (a.bytes[1] & 15) == 2
                : a.bytes[0] == 224 && a.bytes[1] == 0 && a.bytes[2] == 0;
  return !(unspecified || loopback || multicast || link_local || broadcast);
}

bool has_flag(const Address& a, const Wanted& wanted) {
  return (wanted.by_flags && (a.flags & wanted.flags) == wanted.flags) ||
         std::ranges::any_of(wanted.kinds, [&a](const auto& kind) { return is_of_kind(a, kind); });
}

std::span<const Rfc> rfc(std::string_view text) {
  const std::string prefix = "unable to lookup RFC number " + quote(text) + ": ";
  const auto number = parse_uint(text, 10);
  if (!number)
    throw not_a_number("ParseUint", prefix + "unable to parse RFC number " + quote(text), text,
                       number.error());
  static constexpr Rfc kDynamic[] = {{6890, {}}, {4294967295, {}}};
  for (const auto& known : kDynamic) {
    if (known.number == *number) return {&known, 1};
  }
  const auto* at = std::ranges::find(kRfcs, *number, &Rfc::number);
  if (at == std::end(kRfcs)) throw CallError{prefix + "unsupported RFC " + std::to_string(*number)};
  return {at, 1};
}
bool in_rfc(const Address& a, const Rfc& rfc) {
  if (rfc.number == 6890) return is_private(a);
  if (rfc.number == 4294967295) return !is_forwardable(a);
  return std::ranges::any_of(parts(rfc.networks, ' '), [&a](const std::string& network) {
    return within(a, parse_address(network));
  });
}

using Test = std::function<bool(const Address&)>;
// One test for each part of the selector's value, in its order; each sees all addresses.
std::vector<Test> tests(std::string_view name, std::string_view value, std::string_view selector,
                        bool keep) {
  std::vector<Test> out;
  const auto by_pattern = [&](const char* what, std::string (*text)(const Address&)) {
    try {
      auto regex = std::make_shared<Regex>(value);
      out.emplace_back([regex, text](const Address& a) { return regex->matches(text(a)); });
    } catch (const CallError& error) {
      throw CallError{"Unable to compile " + std::string(what) + " regexp " + quote(value, true) +
                      ": " + error.text};
    }
  };
  if (name == "address") {
    by_pattern("address", with_mask);
  } else if (name == "name") {
    by_pattern("name", [](const Address& a) { return a.interface; });
  } else if (name == "port") {
    by_pattern("port", [](const Address&) { return std::string("0"); });
  } else if (name == "flag" || name == "flags") {
    out.emplace_back(
        [wanted = wanted_flags(value)](const Address& a) { return has_flag(a, wanted); });
  } else if (name == "size") {
    const auto bits = parse_uint(value, 10);
    if (!bits)
      throw not_a_number("ParseUint", "invalid exclude size argument (" + quote(value) + ")", value,
                         bits.error());
    out.emplace_back([bits = *bits](const Address& a) {
      if (bits > width(a))
        throw CallError{std::string("mask size out of bounds for IPv") + (a.v6 ? "6" : "4") +
                        " address: " + std::to_string(bits)};
      return std::cmp_equal(a.bits, bits);
    });
  } else if (name == "rfc" || name == "rfcs") {
    for (const std::string& part : parts(value, '|'))
      out.emplace_back([rfc = rfc(part)[0]](const Address& a) { return in_rfc(a, rfc); });
  } else if (name == "network") {
    for (const std::string& part : parts(value, '|')) {
      const Address network = parse_address(part);
      if (network.bits < 0)
        throw CallError{"unable to create an IP address from " + quote(part, true) +
                        ": invalid IPAddr " + part};
      out.emplace_back([network](const Address& a) { return within(a, network); });
    }
  } else {
    throw CallError{std::string("invalid ") + (keep ? "include" : "exclude") + " selector " +
                    quote(selector)};
  }
  return out;
}

// Each address is looked at for each type, and may be there as often.
Addresses by_type(const Addresses& all, std::string_view value, bool keep) {
  const auto types = parts(lower(value), '|');
  for (const std::string& type : types) {
    if (type != "ip" && type != "ipv4" && type != "ipv6" && type != "unix")
      throw CallError{"unsupported type " + quote(type) + " " + quote(value)};
  }
  Addresses out;
  for (const Address& a : all) {
    for (const std::string& type : types) {
      if ((type == "ip" || type == (a.v6 ? "ipv6" : "ipv4")) == keep) out.push_back(a);
    }
  }
  return out;
}

Address moved_in_network(const Address& a, std::int64_t by) {
  const Wide host = number_of(filled(a, Fill::broadcast)) ^ number_of(filled(a, Fill::network));
  if (a.v6 && by <= 0) {  // back from the last
    const Wide back = static_cast<Wide>(-(by + 1)) & host;
    return with_number(a, number_of(filled(a, Fill::broadcast)) - back);
  }
  const Wide wrapped = by >= 0 ? static_cast<Wide>(by) : static_cast<Wide>(1 + by) + host;
  return with_number(a, number_of(filled(a, Fill::network)) + (wrapped & host));
}

Address masked(const Address& a, std::string_view operation, std::string_view text) {
  const auto bits = parse_uint(text, 10);
  const bool large = bits && *bits > 0xFFFFFFFF;
  if (!bits || large)
    throw not_a_number(
        "ParseUint",
        "unable to convert " + quote(text) + " to int for operation " + quote(operation), text,
        large ? "value out of range" : bits.error());
  if (*bits > width(a))
    throw CallError{"parameter for operation " + quote(operation) + " on ipv" + (a.v6 ? "6" : "4") +
                    " addresses must be between 0 and " + (a.v6 ? "64" : "32")};
  Address out = a;
  out.bits = static_cast<int>(*bits);
  out = filled(out, Fill::network);
  out.bits = std::min(a.bits, out.bits);
  return out;
}

Address calculated(const Address& a, std::string_view operation, std::string_view text) {
  const std::string name = lower(operation);
  if (name == "mask") return masked(a, operation, text);
  if (name != "address" && name != "network")
    throw CallError{"unsupported math operation: " + quote(operation)};
  const auto sign = text.find_first_not_of("\t\n\f\r ");
  if (sign == std::string_view::npos || (text[sign] != '+' && text[sign] != '-'))
    throw CallError{"sign (+/-) is required for operation " + quote(operation)};
  const auto by = parse_int(text, 10, a.v6 ? 64 : 33);
  if (!by)
    throw not_a_number(
        "ParseInt",
        "unable to convert " + quote(text) + " to int for operation " + quote(operation), text,
        by.error());
  return name == "address" ? moved(a, *by) : moved_in_network(a, *by);
}

// Below 0: a comes first.
int compared(const Address& a, const Address& b, std::string_view by, const Machine& machine) {
  const auto first = [](bool x, bool y) { return x == y ? 0 : x ? -1 : 1; };
  if (by == "name") return a.interface.compare(b.interface);
  if (by == "type") return first(!a.v6, !b.v6);
  if (by == "default")
    return first(a.interface == machine.default_interface,
                 b.interface == machine.default_interface);
  if (by == "private" && a.v6 != b.v6) return is_private(a) ? -1 : 0;
  if (by == "private") return first(is_private(a), is_private(b));
  if (by == "port" || a.v6 != b.v6) return 0;
  if (by == "address") return std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size());
  return a.bits - b.bits;
}

}  // namespace

Addresses filtered(const Addresses& all, std::string_view selector, std::string_view value,
                   bool keep) {
  const std::string name = lower(selector);
  if (name == "type") return by_type(all, value, keep);
  Addresses out;
  for (const Test& test : tests(name, value, selector, keep))
    std::ranges::copy_if(all, std::back_inserter(out),
                         [&](const Address& a) { return test(a) == keep; });
  return out;
}

Addresses sorted(Addresses all, std::string_view clauses, const Machine& machine) {
  constexpr std::string_view kOrders[] = {"address", "default", "name", "port",
                                          "private", "size",    "type"};
  std::vector<std::pair<std::string, bool>> orders;
  for (const std::string& clause : parts(clauses, ',')) {
    std::string by = lower(trimmed_space(clause));
    const bool down = by.starts_with('-');
    if (down || by.starts_with('+')) by.erase(0, 1);
    if (std::ranges::find(kOrders, by) == std::end(kOrders))
      throw CallError{"unknown sort type: " + quote(clause)};
    orders.emplace_back(std::move(by), down);
  }
  insertion_sort(all, [&](const Address& a, const Address& b) {
    for (const auto& [by, down] : orders) {
      const int order = compared(a, b, by, machine);
      if (order != 0) return down ? order > 0 : order < 0;
    }
    return false;
  });
  return all;
}

Addresses unique(const Addresses& all, std::string_view selector) {
  const std::string by = lower(selector);
  Addresses out;
  std::string last;
  for (const Address& a : all) {
    if (by != "address" && by != "name")
      throw CallError{"unsupported unique constraint " + quote(selector, true)};
    const std::string here = by == "name" ? a.interface : with_mask(a);
    if (!last.empty() && last == here) continue;
    last = here;
    out.push_back(a);
  }
  return out;
}

Addresses calculated(const Addresses& all, std::string_view operation, std::string_view text) {
  Addresses out;
  for (const Address& a : all) {
    try {
      out.push_back(calculated(a, operation, text));
    } catch (const CallError& error) {
      throw CallError{"unable to perform an IPMath operation on " + shown(a) + ": " + error.text};
    }
  }
  return out;
}

}  // namespace keybearer::tmpl::sockaddr
