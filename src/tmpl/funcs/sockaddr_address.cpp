#include "tmpl/funcs/sockaddr_address.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <span>

#include "tmpl/funcs/funcs.hpp"
#include "tmpl/go/strconv.hpp"

namespace keybearer::tmpl::sockaddr {
namespace {

std::string dotted(std::span<const std::uint8_t> bytes) {
  std::string out;
  for (const std::uint8_t byte : bytes) out += (out.empty() ? "" : ".") + std::to_string(byte);
  return out;
}

}  // namespace

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
// Go's net.IP: IPv4 in IPv6 is IPv4; the longest run of two zeros or more is left out.
std::string text_of(const Address& a) {
  constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  if (!a.v6) return dotted({a.bytes.data(), 4});
  if (std::equal(kMapped.begin(), kMapped.end(), a.bytes.begin()))
    return dotted(std::span(a.bytes).subspan(12));
  const auto group = [&a](std::size_t i) { return a.bytes[2 * i] << 8 | a.bytes[2 * i + 1]; };
  std::size_t run = 8, longest = 1;
  for (std::size_t i = 0; i < 8; ++i) {
    std::size_t end = i;
    while (end < 8 && group(end) == 0) ++end;
    if (end - i > longest) {
      run = i;
      longest = end - i;
    }
  }
  std::string out;
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == run) {
      out += "::";
      i += longest - 1;
      continue;
    }
    if (!out.empty() && !out.ends_with(':')) out += ':';
    char text[5];
    std::snprintf(text, sizeof text, "%x", static_cast<unsigned>(group(i)));
    out += text;
  }
  return out;
}
std::string with_mask(const Address& a) {
  const std::string text = text_of(a);
  return a.bits == static_cast<int>(width(a)) ? text : text + "/" + std::to_string(a.bits);
}
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

Wide number_of(const Address& a) {
  Wide number = 0;
  for (std::size_t i = 0; i < width(a) / 8; ++i) number = number << 8 | a.bytes[i];
  return number;
}
Address with_number(Address a, Wide number) {
  for (std::size_t i = width(a) / 8; i-- > 0; number >>= 8)
    a.bytes[i] = static_cast<std::uint8_t>(number & 255);
  return a;
}
Address moved(const Address& a, std::int64_t by) {
  return with_number(a, number_of(a) + static_cast<Wide>(by));
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return out;
}

std::vector<std::string> parts(std::string_view text, char separator) {
  std::vector<std::string> out;
  for (std::size_t at = 0;;) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    out.emplace_back(text.substr(at, end - at));
    if (end == text.size()) return out;
    at = end + 1;
  }
}

// --- attributes ---

namespace {

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

std::string based(Wide value, unsigned base, std::size_t digits) {
  std::string out;
  for (; value != 0 || out.size() < digits; value /= base)
    out += "0123456789abcdef"[static_cast<std::size_t>(value % base)];
  std::ranges::reverse(out);
  return out;
}

// The first host of a network, or its last; IPv6 counts the network's own address.
Address usable(const Address& a, Fill fill) {
  Address out = filled(a, fill);
  if (!a.v6 && a.bits < 31) out = moved(out, fill == Fill::network ? 1 : -1);
  return out;
}

std::string octets(const Address& a) {
  std::string out;
  for (std::size_t i = 0; i < width(a) / 8; ++i)
    out += (i == 0 ? "" : " ") + std::to_string(a.bytes[i]);
  return out;
}

}  // namespace

std::string attribute(const Address& a, std::string_view name) {
  const std::string wanted = lower(name);
  if (wanted == "name" && !a.interface.empty()) return a.interface;
  if (wanted == "flags") return flags_text(a.flags);
  if (wanted == "address" || wanted == "host") return text_of(a);
  if (wanted == "string") return with_mask(a);
  if (wanted == "port") return "0";
  if (wanted == "mask_bits") return std::to_string(a.bits);
  if (wanted == "netmask") return text_of(filled(a, Fill::mask));
  if (wanted == "network") return text_of(filled(a, Fill::network));
  if (wanted == "first_usable") return text_of(usable(a, Fill::network));
  if (wanted == "last_usable") return text_of(usable(a, Fill::broadcast));
  if (wanted == "hex") return based(number_of(a), 16, width(a) / 4);
  if (wanted == "binary") return based(number_of(a), 2, width(a));
  if (wanted == "octets") return octets(a);
  if (wanted == "type") return a.v6 ? "IPv6" : "IPv4";
  if (wanted == "size")  // of all of IPv6: one more than 128 bits hold
    return a.v6 && a.bits == 0
               ? "340282366920938463463374607431768211456"
               : based(Wide{1} << (width(a) - static_cast<std::size_t>(a.bits)), 10, 1);
  if (!a.v6 && wanted == "broadcast") return text_of(filled(a, Fill::broadcast));
  if (wanted == (a.v6 ? "uint128" : "uint32")) return based(number_of(a), 10, 1);
  throw CallError{"unsupported attribute name " + quote(lower(name))};
}

// The address and what Go prints of its net.Interface.
std::string shown(const Address& a) {
  return with_mask(a) + " " + shown_interface(a);
}
std::string shown_interface(const Address& a) {
  return "{" + std::to_string(a.index) + " " + std::to_string(a.mtu) + " " + a.interface + " " +
         a.hardware + " " + flags_text(a.flags) + "}";
}

// --- this machine ---

namespace {

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

namespace {

// What else Go knows of an interface: its MTU and its hardware address.
void add_link(Address& address, const ifaddrs* list) {
  address.index = static_cast<int>(if_nametoindex(address.interface.c_str()));
  ifreq request{};
  address.interface.copy(request.ifr_name, IF_NAMESIZE - 1);
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket >= 0 && ioctl(socket, SIOCGIFMTU, &request) == 0) address.mtu = request.ifr_mtu;
  if (socket >= 0) close(socket);
  for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || at->ifa_addr->sa_family != AF_PACKET ||
        address.interface != at->ifa_name)
      continue;
    sockaddr_ll link{};
    std::memcpy(&link, at->ifa_addr, sizeof link);
    const std::span<const unsigned char> bytes(link.sll_addr,
                                               std::min<std::size_t>(link.sll_halen, 8));
    if (std::ranges::all_of(bytes, [](unsigned char b) { return b == 0; })) return;
    for (const unsigned char byte : bytes) {
      char text[4];
      std::snprintf(text, sizeof text, "%02x", byte);
      address.hardware += (address.hardware.empty() ? "" : ":") + std::string(text);
    }
    return;
  }
}

}  // namespace

Machine this_machine() {
  Machine machine{{}, default_interface()};
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return machine;
  std::vector<std::pair<int, Address>> found;
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
    add_link(address, list);
    found.emplace_back(address.index, std::move(address));
  }
  freeifaddrs(list);
  insertion_sort(found, [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [index, address] : found) machine.addresses.push_back(std::move(address));
  return machine;
}

}  // namespace keybearer::tmpl::sockaddr
