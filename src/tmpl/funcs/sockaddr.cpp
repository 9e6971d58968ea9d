#include "tmpl/funcs/sockaddr.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <span>

#include "tmpl/funcs/funcs.hpp"
#include "tmpl/funcs/regex.hpp"
#include "tmpl/go/strconv.hpp"

namespace keybearer::tmpl::sockaddr {
namespace {

using Addresses = std::vector<Address>;

constexpr std::string_view kSupported =
    "GetAllInterfaces, GetDefaultInterfaces, GetPrivateInterfaces, GetPublicInterfaces, "
    "GetInterfaceIP, GetInterfaceIPs, GetPrivateIP, GetPrivateIPs, GetPublicIP, GetPublicIPs, "
    "include, exclude, sort, unique, limit, offset, join, attr";

[[noreturn]] void unsupported(const std::string& what) {
  throw CallError{"sockaddr: " + what + " is not supported; supported are " +
                  std::string(kSupported)};
}

// Stable; there are a handful of addresses.
template <class T, class Less>
void insertion_sort(std::vector<T>& all, Less less) {
  for (std::size_t i = 1; i < all.size(); ++i) {
    for (std::size_t k = i; k > 0 && less(all[k], all[k - 1]); --k) std::swap(all[k], all[k - 1]);
  }
}

// --- addresses ---

std::size_t width(const Address& a) {
  return a.v6 ? 128 : 32;
}
bool within(const Address& address, const Address& network) {
  if (address.v6 != network.v6 || address.bits < network.bits) return false;
  for (int bit = 0; bit < network.bits; ++bit) {
    const auto at = static_cast<std::size_t>(bit / 8);
    const int mask = 0x80 >> bit % 8;
    if ((address.bytes[at] & mask) != (network.bytes[at] & mask)) return false;
  }
  return true;
}
std::string text_of(const Address& a) {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(a.v6 ? AF_INET6 : AF_INET, a.bytes.data(), text, sizeof text);
  return text;
}
std::string with_mask(const Address& a) {
  const std::string text = text_of(a);
  return a.bits == static_cast<int>(width(a)) ? text : text + "/" + std::to_string(a.bits);
}
// The network's first address, its last, or its mask.
enum class Fill : std::uint8_t { network, broadcast, mask };
Address filled(const Address& a, Fill fill) {
  Address out = a;
  for (std::size_t bit = 0; bit < width(a); ++bit) {
    const bool in_mask = static_cast<int>(bit) < a.bits;
    auto& byte = out.bytes[bit / 8];
    const auto mask = static_cast<std::uint8_t>(0x80 >> bit % 8);
    if (fill == Fill::mask ? in_mask : !in_mask && fill == Fill::broadcast)
      byte |= mask;
    else if (fill == Fill::mask || !in_mask)
      byte &= static_cast<std::uint8_t>(~mask);
  }
  return out;
}

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
constexpr std::string_view kPrivate[] = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"};
constexpr std::string_view kUnique[] = {"fc00::/7"};
constexpr std::string_view kShared[] = {"100.64.0.0/10"};
constexpr std::string_view kHosts[] = {"0.0.0.0/8", "127.0.0.0/8"};
constexpr std::string_view kMulticast[] = {"224.0.0.0/4"};

std::span<const std::string_view> networks_of_rfc(std::string_view number) {
  if (number == "6890") return kSpecial;
  if (number == "1918") return kPrivate;
  if (number == "4193") return kUnique;
  if (number == "6598") return kShared;
  if (number == "1122") return kHosts;
  if (number == "1112") return kMulticast;
  unsupported("RFC " + std::string(number));
}

bool is_private(const Address& a) {
  return in_any(a, kSpecial);
}
bool is_forwardable(const Address& a) {
  return !in_any(a, kNotForwarded);
}

// --- attributes ---

std::string flags_text(unsigned flags) {
  constexpr std::pair<unsigned, const char*> kNames[] = {{IFF_UP, "up"},
                                                         {IFF_BROADCAST, "broadcast"},
                                                         {IFF_LOOPBACK, "loopback"},
                                                         {IFF_POINTOPOINT, "pointtopoint"},
                                                         {IFF_MULTICAST, "multicast"},
                                                         {IFF_RUNNING, "running"}};
  std::string out;
  for (const auto& [bit, name] : kNames) {
    if ((flags & bit) != 0) out += (out.empty() ? "" : "|") + std::string(name);
  }
  return out.empty() ? "0" : out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return out;
}

std::string attribute(const Address& a, std::string_view name) {
  const std::string wanted = lower(name);
  if (wanted == "name") return a.interface;
  if (wanted == "flags") return flags_text(a.flags);
  if (wanted == "address" || wanted == "host") return text_of(a);
  if (wanted == "string") return with_mask(a);
  if (wanted == "port") return "0";
  if (wanted == "mask_bits") return std::to_string(a.bits);
  if (wanted == "netmask") return text_of(filled(a, Fill::mask));
  if (wanted == "network") return text_of(filled(a, Fill::network));
  if (wanted == "type") return a.v6 ? "IPv6" : "IPv4";
  if (!a.v6 && wanted == "broadcast") return text_of(filled(a, Fill::broadcast));
  if (!a.v6 && wanted == "size") return std::to_string(std::uint64_t{1} << (32 - a.bits));
  throw CallError{"sockaddr: unsupported attribute name " + quote(name)};
}

// --- filters ---

std::vector<std::string> parts(std::string_view text, char separator) {
  std::vector<std::string> out;
  for (std::size_t at = 0;;) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    out.emplace_back(text.substr(at, end - at));
    if (end == text.size()) return out;
    at = end + 1;
  }
}

bool has_flag(const Address& a, const std::string& names) {
  unsigned wanted = 0;
  bool by_flags = false, matched = false;
  for (const std::string& name : parts(lower(names), '|')) {
    const bool loopback = name == "loopback", multicast = name == "multicast";
    if (name == "up" || name == "down" || name == "broadcast" || name == "point-to-point" ||
        loopback || multicast) {
      by_flags = true;
      if (name == "down") wanted &= ~static_cast<unsigned>(IFF_UP);
      if (name == "up") wanted |= IFF_UP;
      if (name == "broadcast") wanted |= IFF_BROADCAST;
      if (name == "point-to-point") wanted |= IFF_POINTOPOINT;
      if (loopback) wanted |= IFF_LOOPBACK;
      if (multicast) wanted |= IFF_MULTICAST;
    }
    const bool multicast_address = a.v6 ? a.bytes[0] == 0xFF : a.bytes[0] >> 4 == 14;
    const bool loopback_address = a.v6 ? within(a, parse_address("::1")) : a.bytes[0] == 127;
    const bool link_local = a.v6 ? a.bytes[0] == 0xFE && (a.bytes[1] & 0xC0) == 0x80
                                 : a.bytes[0] == 169 && a.bytes[1] == 254;
    const bool unspecified = std::ranges::all_of(a.bytes, [](std::uint8_t b) { return b == 0; });
    if (name == "forwardable") {
      matched = matched || is_forwardable(a);
    } else if (name == "link-local unicast") {
      matched = matched || link_local;
    } else if (name == "unspecified") {
      matched = matched || unspecified;
    } else if (name == "global unicast") {
      matched = matched || !(unspecified || loopback_address || multicast_address || link_local);
    } else if (loopback) {
      matched = matched || loopback_address;
    } else if (multicast) {
      matched = matched || multicast_address;
    } else if (!by_flags) {
      throw CallError{"sockaddr: Unknown interface flag: " + quote(name)};
    }
  }
  return matched || (by_flags && (a.flags & wanted) == wanted);
}

bool matches(const Address& a, std::string_view selector, const std::string& value) {
  const std::string name = lower(selector);
  if (name == "address") return regex_matches(value, with_mask(a));
  if (name == "name") return regex_matches(value, a.interface);
  if (name == "flag" || name == "flags") return has_flag(a, value);
  if (name == "size") return std::to_string(a.bits) == value;
  const auto any = [&](auto&& test) { return std::ranges::any_of(parts(value, '|'), test); };
  if (name == "rfc" || name == "rfcs")
    return any([&](const std::string& part) { return in_any(a, networks_of_rfc(part)); });
  if (name == "network")
    return any([&](const std::string& part) {
      const Address network = parse_address(part);
      if (network.bits < 0)
        throw CallError{"sockaddr: unable to create an IP address from " + quote(part)};
      return within(a, network);
    });
  if (name == "type")
    return any([&](const std::string& part) {
      const std::string type = lower(part);
      if (type != "ip" && type != "ipv4" && type != "ipv6" && type != "unix")
        throw CallError{"sockaddr: unsupported type " + quote(type)};
      return type == "ip" || type == (a.v6 ? "ipv6" : "ipv4");
    });
  throw CallError{"sockaddr: invalid selector " + quote(selector)};
}

Addresses filtered(const Addresses& all, std::string_view selector, const std::string& value,
                   bool keep) {
  Addresses out;
  std::ranges::copy_if(all, std::back_inserter(out),
                       [&](const Address& a) { return matches(a, selector, value) == keep; });
  return out;
}

// Below 0: a comes first. Addresses of two types are left as they are but for "type".
int compared(const Address& a, const Address& b, std::string_view by, const Machine& machine) {
  const auto first = [](bool x, bool y) { return x == y ? 0 : x ? -1 : 1; };
  if (by == "name") return a.interface.compare(b.interface);
  if (by == "type") return first(!a.v6, !b.v6);
  if (by == "default")
    return first(a.interface == machine.default_interface,
                 b.interface == machine.default_interface);
  if (by == "private") return first(is_private(a), is_private(b));
  if (by == "port" || a.v6 != b.v6) return 0;
  if (by == "address") return std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size());
  if (by == "size") return a.bits - b.bits;
  throw CallError{"sockaddr: unknown sort type: " + quote(by)};
}

Addresses sorted(Addresses all, std::string_view clauses, const Machine& machine) {
  insertion_sort(all, [&](const Address& a, const Address& b) {
    for (std::string clause : parts(lower(clauses), ',')) {
      std::erase(clause, ' ');
      const bool down = clause.starts_with('-');
      if (down || clause.starts_with('+')) clause.erase(0, 1);
      const int order = compared(a, b, clause, machine);
      if (order != 0) return down ? order > 0 : order < 0;
    }
    return false;
  });
  return all;
}

// --- sources ---

Addresses usable(const Machine& machine) {
  Addresses all = filtered(machine.addresses, "flags", "forwardable", true);
  all = filtered(all, "flags", "up", true);
  return sorted(std::move(all), "default,type,size", machine);
}
std::string first_of(const Addresses& all) {
  return all.empty() ? std::string() : text_of(all.front());
}
std::string all_of(const Addresses& all) {
  std::string out;
  for (const Address& a : all) out += (out.empty() ? "" : " ") + text_of(a);
  return out;
}

// --- the language ---

struct Word {
  std::string text;
  bool quoted = false;
};
struct Result {
  Addresses addresses;
  std::optional<std::string> text;
};

std::vector<std::vector<Word>> steps(std::string_view pipeline) {
  std::vector<std::vector<Word>> out(1);
  while (true) {
    pipeline.remove_prefix(std::min(pipeline.find_first_not_of(" \t\r\n"), pipeline.size()));
    if (pipeline.empty()) return out;
    if (pipeline[0] == '|') {
      out.emplace_back();
      pipeline.remove_prefix(1);
      continue;
    }
    std::size_t end = 1;
    const char first = pipeline[0];
    if (first == '"' || first == '`') {
      while (end < pipeline.size() && pipeline[end] != first)
        end += first == '"' && pipeline[end] == '\\' ? 2 : 1;
      const auto text = unquote(pipeline.substr(0, std::min(end + 1, pipeline.size())));
      if (!text) throw CallError{"sockaddr: unterminated quoted string"};
      out.back().push_back({*text, true});
      pipeline.remove_prefix(std::min(end + 1, pipeline.size()));
    } else {
      end = std::min(pipeline.find_first_of(" \t\r\n|\"`"), pipeline.size());
      out.back().push_back({std::string(pipeline.substr(0, end))});
      pipeline.remove_prefix(end);
    }
  }
}

class Evaluator {
 public:
  explicit Evaluator(const Machine& machine) : machine_(machine) {}
  void step(const std::vector<Word>& words, bool first, std::string_view whole);
  Result result;

 private:
  bool source(const std::string& name, const std::vector<Word>& words);
  void filter(const std::string& name, const std::vector<Word>& words);
  void expect(const std::vector<Word>& words, std::size_t count) const {
    if (words.size() != count + 1)
      throw CallError{"sockaddr: wrong number of args for " + words[0].text + ": want " +
                      std::to_string(count) + " got " + std::to_string(words.size() - 1)};
  }
  static std::int64_t number(const Word& word) {
    const auto value = parse_int(word.text, 0);
    if (!value || word.quoted) throw CallError{"sockaddr: expected integer; found " + word.text};
    return *value;
  }

  const Machine& machine_;
};

bool Evaluator::source(const std::string& name, const std::vector<Word>& words) {
  const Addresses& all = machine_.addresses;
  const bool is_public = name.starts_with("GetPublic");
  if (name == "GetInterfaceIP" || name == "GetInterfaceIPs") {
    expect(words, 1);
    const bool one = name == "GetInterfaceIP";
    Addresses named = filtered(all, "name", words[1].text, true);
    if (one) named = filtered(named, "flags", "forwardable", true);
    named = sorted(std::move(named), "type,size", machine_);
    result.text = one ? first_of(named) : all_of(named);
    return true;
  }
  if (!name.starts_with("Get")) return false;
  expect(words, 0);
  if (name == "GetAllInterfaces") {
    result = {all, {}};
  } else if (name == "GetDefaultInterfaces") {
    result = {{}, {}};
    std::ranges::copy_if(all, std::back_inserter(result.addresses), [this](const Address& a) {
      return a.interface == machine_.default_interface;
    });
  } else if (name == "GetPrivateInterfaces" || name == "GetPublicInterfaces") {
    result = {filtered(usable(machine_), "rfc", "6890", !is_public), {}};
  } else if (name == "GetPrivateIP" || name == "GetPublicIP") {
    result.text = first_of(filtered(usable(machine_), "rfc", "6890", !is_public));
  } else if (name == "GetPrivateIPs" || name == "GetPublicIPs") {
    Addresses some = filtered(sorted(all, "type,size", machine_), "rfc", "6890", !is_public);
    if (!is_public) some = filtered(some, "flags", "forwardable", true);
    result.text = all_of(some);
  } else {
    return false;
  }
  return true;
}

void Evaluator::filter(const std::string& name, const std::vector<Word>& words) {
  Addresses& all = result.addresses;
  if (name == "include" || name == "exclude") {
    expect(words, 2);
    all = filtered(all, words[1].text, words[2].text, name == "include");
  } else if (name == "sort") {
    expect(words, 1);
    all = sorted(std::move(all), words[1].text, machine_);
  } else if (name == "unique") {
    expect(words, 1);
    const std::string by = lower(words[1].text);
    const auto same = [&by](const Address& a, const Address& b) {
      return by == "name" ? a.interface == b.interface : with_mask(a) == with_mask(b);
    };
    all.erase(std::unique(all.begin(), all.end(), same), all.end());
  } else if (name == "limit") {
    expect(words, 1);
    const auto most = static_cast<std::size_t>(std::max<std::int64_t>(0, number(words[1])));
    if (all.size() > most) all.resize(most);
  } else if (name == "offset") {
    expect(words, 1);
    const std::int64_t by = number(words[1]);
    const auto count = static_cast<std::size_t>(by < 0 ? -by : by);
    if (count > all.size())
      throw CallError{"sockaddr: unable to seek past the end of the interface array"};
    const auto skipped = static_cast<std::ptrdiff_t>(by < 0 ? all.size() - count : count);
    all.erase(all.begin(), all.begin() + skipped);
  } else if (name == "attr") {
    expect(words, 1);
    result.text = all.empty() ? std::string() : attribute(all.front(), words[1].text);
  } else if (name == "join") {
    expect(words, 2);
    std::string joined;
    for (std::size_t i = 0; i < all.size(); ++i)
      joined += (i > 0 ? words[2].text : "") + attribute(all[i], words[1].text);
    result.text = joined;
  } else {
    unsupported(quote(name));
  }
}

void Evaluator::step(const std::vector<Word>& words, bool first, std::string_view whole) {
  if (words.empty() || words[0].quoted) throw CallError{"sockaddr: missing function in pipeline"};
  const std::string& name = words[0].text;
  if (kSupported.find(name) == std::string_view::npos && name != "math") {
    throw CallError{"unable to parse template " + quote(whole, true) +
                    ": template: sockaddr.Parse:1: function " + quote(name) + " not defined"};
  }
  if (!first && result.text) throw CallError{"sockaddr: " + name + " after a text"};
  if (source(name, words)) return;
  if (first) throw CallError{"sockaddr: wrong number of args for " + name};
  filter(name, words);
}

std::string default_interface() {
  std::FILE* file = std::fopen("/proc/net/route", "re");
  if (file == nullptr) return {};
  char line[512];
  std::string found;
  while (found.empty() && std::fgets(line, sizeof line, file) != nullptr) {
    char name[IF_NAMESIZE + 1];
    unsigned destination = 0, gateway = 0, flags = 0;
    if (std::sscanf(line, "%16s %x %x %x", name, &destination, &gateway, &flags) == 4 &&
        destination == 0 && gateway != 0)
      found = name;
  }
  std::fclose(file);
  return found;
}

}  // namespace

Address parse_address(std::string_view text) {
  Address out;
  out.bits = -1;
  const std::size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  out.v6 = address.find(':') != std::string::npos;
  if (inet_pton(out.v6 ? AF_INET6 : AF_INET, address.c_str(), out.bytes.data()) != 1) return out;
  int bits = static_cast<int>(width(out));
  if (slash != std::string_view::npos) {
    const auto number = parse_uint(text.substr(slash + 1), 10);
    if (!number || *number > width(out)) return out;
    bits = static_cast<int>(*number);
  }
  out.bits = bits;
  return out;
}

Machine this_machine() {
  Machine machine{{}, default_interface()};
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return machine;
  std::vector<std::pair<unsigned, Address>> found;
  for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr) continue;
    const int family = at->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    Address address{at->ifa_name, at->ifa_flags, family == AF_INET6};
    const auto bytes_of = [family](const void* from) {
      return family == AF_INET6
                 ? static_cast<const void*>(&static_cast<const sockaddr_in6*>(from)->sin6_addr)
                 : static_cast<const void*>(&static_cast<const sockaddr_in*>(from)->sin_addr);
    };
    std::memcpy(address.bytes.data(), bytes_of(at->ifa_addr), width(address) / 8);
    address.bits = static_cast<int>(width(address));
    if (at->ifa_netmask != nullptr) {
      std::array<std::uint8_t, 16> mask{};
      std::memcpy(mask.data(), bytes_of(at->ifa_netmask), width(address) / 8);
      address.bits = 0;
      for (const std::uint8_t byte : mask) address.bits += std::popcount(byte);
    }
    found.emplace_back(if_nametoindex(at->ifa_name), std::move(address));
  }
  freeifaddrs(list);
  insertion_sort(found, [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [index, address] : found) machine.addresses.push_back(std::move(address));
  return machine;
}

std::string evaluate(std::string_view pipeline, const Machine& machine) {
  const std::string whole = "{{ " + std::string(pipeline) + " }}";
  Evaluator evaluator(machine);
  bool first = true;
  for (const auto& words : steps(pipeline))
    evaluator.step(words, std::exchange(first, false), whole);
  if (evaluator.result.text) return *evaluator.result.text;
  // A list of addresses by itself: Go prints its struct, which nobody can use.
  std::string out;
  for (const Address& a : evaluator.result.addresses)
    out += (out.empty() ? "" : " ") + with_mask(a);
  return out;
}

}  // namespace keybearer::tmpl::sockaddr
