#include "tmpl/funcs/sockaddr.hpp"

#include <doctest/doctest.h>
#include <net/if.h>

#include "tmpl/funcs/funcs.hpp"

namespace keybearer::tmpl::sockaddr {
namespace {

Address on(const char* interface, std::string_view text, unsigned flags = IFF_UP) {
  Address out = parse_address(text);
  out.interface = interface;
  out.flags = flags;
  return out;
}

const Machine kMachine{
    {on("lo", "127.0.0.1/8", IFF_UP | IFF_LOOPBACK), on("lo", "::1", IFF_UP | IFF_LOOPBACK),
     on("eth0", "10.1.2.3/24"), on("eth0", "fe80::1/64"), on("eth1", "10.9.0.7/16"),
     on("eth2", "8.8.4.4/29"), on("eth3", "172.16.0.9/12", 0)},
    "eth1"};

std::string asked(std::string_view pipeline) {
  try {
    return evaluate(pipeline, kMachine);
  } catch (const CallError& error) {
    return error.text;
  }
}

TEST_CASE("the addresses that are asked for most") {
  CHECK(asked("GetPrivateIP") == "10.9.0.7");  // of the default route's interface
  CHECK(asked("GetPrivateIPs") == "172.16.0.9 10.9.0.7 10.1.2.3");
  CHECK(asked("GetPublicIP") == "8.8.4.4");
  CHECK(asked("GetInterfaceIP \"eth0\"") == "10.1.2.3");
  CHECK(asked("GetDefaultInterfaces | attr \"name\"") == "eth1");
}

TEST_CASE("pipelines") {
  CHECK(asked("GetAllInterfaces | include `type` `ipv4` | exclude `name` `lo` | sort `-size` | "
              "limit 2 | join `string` "
              "\", \"") == "8.8.4.4/29, 10.1.2.3/24");
  CHECK(asked("GetAllInterfaces | exclude `flags` `up` | attr `network`") == "172.16.0.0");
  CHECK(asked("GetAllInterfaces | include `type` `ipv6` | exclude `rfc` `6890` | attr `address`") ==
        "");
  CHECK(asked("GetAllInterfaces | include `network` `10.0.0.0/8` | offset -1 | attr `netmask`") ==
        "255.255.0.0");
}

TEST_CASE("errors say what is wrong, or what is supported") {
  CHECK(asked("bad") ==
        "unable to parse template \"{{ bad }}\": template: sockaddr.Parse:1: function \"bad\" not "
        "defined");
  CHECK(asked("GetAllInterfaces | math `network` `+1`")
            .starts_with("sockaddr: \"math\" is not "
                         "supported; supported are"));
  CHECK(asked("GetAllInterfaces | limit `x`") == "sockaddr: expected integer; found x");
  CHECK(asked("GetAllInterfaces | include `x` `y`") == "sockaddr: invalid selector \"x\"");
  CHECK(asked("").starts_with("sockaddr: "));
  CHECK(asked("GetAllInterfaces | attr \"x").starts_with("sockaddr: "));
}

}  // namespace
}  // namespace keybearer::tmpl::sockaddr
