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

TEST_CASE("it is the template language") {
  CHECK(asked("with $x := GetInterfaceIP `nope` }}{{ $x }}{{ else }}none{{ end") == "none");
  CHECK(asked("range GetAllInterfaces | include `type` `IPv4` | limit 2 }}{{ .Name }}={{ attr "
              "`address` . }};{{ end") == "lo=127.0.0.1;eth0=10.1.2.3;");
  CHECK(asked("GetAllInterfaces | include `name` `^eth` | len") == "5");
  CHECK(asked("GetInterfaceIP `eth0` | printf `%s/32`") == "10.1.2.3/32");
  CHECK(asked("if GetAllInterfaces | include `name` `nope` }}yes{{ else }}no{{ end") == "no");
  CHECK(asked("(index GetAllInterfaces 3).SockAddr") == "fe80::1/64");
  CHECK(asked("GetAllInterfaces | limit 1") == "[127.0.0.1/8 {0 0 lo  up|loopback}]");
}

TEST_CASE("attributes") {
  const auto of = [](std::string_view name, std::string_view attribute) {
    return asked("GetAllInterfaces | include `name` `" + std::string(name) + "` | attr `" +
                 std::string(attribute) + "`");
  };
  CHECK(of("eth0", "hex") == "0a010203");
  CHECK(of("eth0", "binary") == "00001010000000010000001000000011");
  CHECK(of("eth0", "octets") == "10 1 2 3");
  CHECK(of("eth0", "uint32") == "167838211");
  CHECK(of("eth0", "first_usable") == "10.1.2.1");
  CHECK(of("eth0", "last_usable") == "10.1.2.254");
  CHECK(of("eth0", "broadcast") == "10.1.2.255");
  CHECK(of("eth0", "size") == "256");
  CHECK(asked("GetAllInterfaces | include `type` `IPv6` | offset 1 | join `size` `,`") ==
        "18446744073709551616");
  CHECK(of("eth0", "nonsense").ends_with("unsupported attribute name \"nonsense\""));
}

TEST_CASE("arithmetic on addresses") {
  const auto math = [](std::string_view name, std::string_view operation, std::string_view by) {
    return asked("GetAllInterfaces | include `name` `" + std::string(name) +
                 "` | include `type` `IPv4` | math `" + std::string(operation) + "` `" +
                 std::string(by) + "` | attr `string`");
  };
  CHECK(math("eth0", "address", "+10") == "10.1.2.13/24");
  CHECK(math("eth0", "address", "-3") == "10.1.2.0/24");
  CHECK(math("eth0", "network", "+7") == "10.1.2.7/24");
  CHECK(math("eth0", "network", "-1") == "10.1.2.255/24");
  CHECK(math("eth0", "network", "+258") == "10.1.2.2/24");
  CHECK(math("eth0", "mask", "16") == "10.1.0.0/16");
  CHECK(math("eth0", "address", "3").ends_with("sign (+/-) is required for operation \"address\""));
  CHECK(math("eth0", "cube", "+3").ends_with("unsupported math operation: \"cube\""));
}

TEST_CASE("errors are the reference's, whether there are addresses or not") {
  CHECK(asked("bad") ==
        "unable to parse template \"{{ bad }}\": template: sockaddr.Parse:1: function \"bad\" not "
        "defined");
  CHECK(asked("GetAllInterfaces | limit -1")
            .ends_with("at <-1>: expected unsigned integer; found -1"));
  for (const auto& [stage, said] :
       {std::pair("sort `foo`", "unknown sort type: \"foo\""),
        {"unique `x`", "unsupported unique constraint \"x\""},
        {"include `x` `y`", "invalid include selector \"x\""},
        {"exclude `rfc` `1`", "unable to lookup RFC number \"1\": unsupported RFC 1"},
        {"include `flags` `x`", "Unknown interface flag: \"x\""},
        {"include `network` `x`", "unable to create an IP address from \"x\": invalid IPAddr x"},
        {"offset 99",
         "unable to seek past the end of the interface array: offset (99) exceeds the number of "
         "interfaces (7)"}})
    CHECK_MESSAGE(asked("GetAllInterfaces | " + std::string(stage)).ends_with(said), stage);
  CHECK(asked("GetAllInterfaces | include `name` `nope` | exclude `rfc` `x`")
            .ends_with("strconv.ParseUint: parsing \"x\": invalid syntax"));
}

}  // namespace
}  // namespace keybearer::tmpl::sockaddr
