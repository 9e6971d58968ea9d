// The templates of `sockaddr`: go-sockaddr's template package, evaluated by the engine itself.

#include <algorithm>
#include <memory>

#include "tmpl/exec.hpp"
#include "tmpl/funcs/sockaddr.hpp"
#include "tmpl/go/format.hpp"
#include "tmpl/go/go_strings.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/object.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl::sockaddr {
namespace {

constexpr const char* kName = "sockaddr.Parse";

// The machine, where functions find it: in the evaluation's scratch.
class Held final : public Struct {
 public:
  explicit Held(const Machine& machine) : machine(machine) {}
  [[nodiscard]] std::string_view type_name() const override { return "sockaddr.Machine"; }
  [[nodiscard]] std::optional<Value> field(std::string_view) const override { return std::nullopt; }
  const Machine& machine;  // outlives the evaluation
};
const Machine& machine_of(Evaluation& e) {
  return static_cast<const Held&>(*e.scratch.at("").as_object()).machine;
}

enum class Part : std::uint8_t { whole, address, interface };
constexpr std::string_view kTypes[2][3] = {
    {"sockaddr.IfAddr", "sockaddr.IPv4Addr", "net.Interface"},
    {"sockaddr.IfAddr", "sockaddr.IPv6Addr", "net.Interface"}};

class AddressObject final : public Struct {
 public:
  AddressObject(Address address, Part part) : address(std::move(address)), part(part) {}
  [[nodiscard]] std::string_view type_name() const override {
    return kTypes[address.v6 ? 1 : 0][static_cast<std::size_t>(part)];
  }
  [[nodiscard]] bool equals(const Object& other) const override {
    const auto* same = dynamic_cast<const AddressObject*>(&other);
    return same != nullptr && same->address == address && same->part == part;
  }
  [[nodiscard]] bool comparable() const override { return part == Part::address; }
  [[nodiscard]] std::optional<Value> field(std::string_view name) const override;
  [[nodiscard]] const Function* method(std::string_view name) const override;
  void print(std::string& out) const override {
    out += part == Part::whole       ? shown(address)
           : part == Part::interface ? shown_interface(address)
                                     : attribute(address, "string");
  }

  const Address address;
  const Part part;
};
Value object_of(const Address& address, Part part = Part::whole) {
  return Value::object(std::make_shared<AddressObject>(address, part));
}
const AddressObject* as_address(const Value& value) {
  return dynamic_cast<const AddressObject*>(as_struct(value));
}

std::optional<Value> AddressObject::field(std::string_view name) const {
  if (part == Part::whole && name == "SockAddr") return object_of(address, Part::address);
  if (part == Part::whole && name == "Interface") return object_of(address, Part::interface);
  if (part == Part::address) {
    if (name == "Port") return Value::integer(0);
    if (name == "IPAddr") return Value();
    if (name == "Address" && !address.v6)
      return Value::uint64(parse_uint(attribute(address, "uint32"), 10).value_or(0));
    return std::nullopt;
  }
  if (name == "Name") return Value(address.interface);
  if (name == "Index") return Value::integer(address.index);
  if (name == "MTU") return Value::integer(address.mtu);
  if (name == "Flags") return Value(attribute(address, "flags"));
  if (name == "HardwareAddr") return Value(address.hardware);
  return std::nullopt;
}

// --- methods ---

template <const char* name>
Value attribute_method(Evaluation& e, Arguments) {
  return attribute(as_address(e.called_on)->address, name);
}
Value string_method(Evaluation& e, Arguments) {
  std::string out;
  as_address(e.called_on)->print(out);
  return out;
}
Value bits_method(Evaluation& e, Arguments) {
  return Value::integer(as_address(e.called_on)->address.bits);
}
Value octets_method(Evaluation& e, Arguments) {
  const Address& address = as_address(e.called_on)->address;
  List out;
  for (std::size_t i = 0; i < (address.v6 ? 16u : 4u); ++i)
    out.push_back(Value::integer(address.bytes[i]));
  return Value::list(Type::ints, std::move(out));
}
constexpr char kAddress[] = "address", kBinary[] = "binary", kHex[] = "hex", kType[] = "type",
               kFirst[] = "first_usable", kLast[] = "last_usable", kBroadcast[] = "broadcast";

constexpr Function kMethods[] = {
    {"AddressBinString", attribute_method<kBinary>, ""},
    {"AddressHexString", attribute_method<kHex>, ""},
    {"Broadcast", attribute_method<kBroadcast>, ""},
    {"FirstUsable", attribute_method<kFirst>, ""},
    {"LastUsable", attribute_method<kLast>, ""},
    {"Maskbits", bits_method, ""},
    {"NetIP", attribute_method<kAddress>, ""},
    {"Octets", octets_method, ""},
    {"String", string_method, ""},
    {"Type", attribute_method<kType>, ""},
};

const Function* AddressObject::method(std::string_view name) const {
  const auto* at = std::ranges::find(kMethods, name, &Function::name);
  if (at == std::end(kMethods) || part == Part::interface) return nullptr;
  if (part == Part::whole && name != "String" && name != "Type") return nullptr;
  return address.v6 && name == "Broadcast" ? nullptr : at;
}

// --- functions ---

Value as_value(const Addresses& all) {
  List out;
  for (const Address& address : all) out.push_back(object_of(address));
  return Value::list(std::move(out));
}
Addresses addresses_of(const Value& list) {
  Addresses out;
  for (const Value& item : list.items()) {
    const AddressObject* object = as_address(item);
    if (object == nullptr)
      throw CallError{"wrong type for value; expected sockaddr.IfAddrs; got []interface {}"};
    out.push_back(object->address);
  }
  return out;
}

// With a default route first, then by type and size of the network.
Addresses usable(const Machine& machine) {
  Addresses all = filtered(machine.addresses, "flags", "forwardable", true);
  return sorted(filtered(all, "flags", "up", true), "default,type,size", machine);
}
std::string joined(const Addresses& all, std::string_view name, std::string_view between) {
  std::string out;
  for (const Address& a : all) {
    if (&a != all.data()) out += between;
    out += attribute(a, name);
  }
  return out;
}
Value first_of(const Addresses& all) {
  return all.empty() ? std::string() : attribute(all.front(), "address");
}

Value get_all_interfaces(Evaluation& e, Arguments) {
  return as_value(machine_of(e).addresses);
}
Value get_default_interfaces(Evaluation& e, Arguments) {
  Addresses out;
  std::ranges::copy_if(machine_of(e).addresses, std::back_inserter(out), [&e](const Address& a) {
    return a.interface == machine_of(e).default_interface;
  });
  return as_value(out);
}
Value get_private_interfaces(Evaluation& e, Arguments) {
  return as_value(filtered(usable(machine_of(e)), "rfc", "6890", true));
}
Value get_public_interfaces(Evaluation& e, Arguments) {
  return as_value(filtered(usable(machine_of(e)), "rfc", "6890", false));
}
Value get_private_ip(Evaluation& e, Arguments) {
  return first_of(filtered(usable(machine_of(e)), "rfc", "6890", true));
}
Value get_public_ip(Evaluation& e, Arguments) {
  return first_of(filtered(usable(machine_of(e)), "rfc", "6890", false));
}
Value get_private_ips(Evaluation& e, Arguments) {
  const Machine& machine = machine_of(e);
  Addresses all = filtered(sorted(machine.addresses, "type,size", machine), "rfc", "6890", true);
  return joined(filtered(all, "flags", "forwardable", true), "address", " ");
}
Value get_public_ips(Evaluation& e, Arguments) {
  const Machine& machine = machine_of(e);
  return joined(filtered(sorted(machine.addresses, "type,size", machine), "rfc", "6890", false),
                "address", " ");
}
Value get_interface_ip(Evaluation& e, Arguments a) {
  const Machine& machine = machine_of(e);
  Addresses named = filtered(machine.addresses, "name", a[0].as_text(), true);
  return first_of(sorted(filtered(named, "flags", "forwardable", true), "type,size", machine));
}
Value get_interface_ips(Evaluation& e, Arguments a) {
  const Machine& machine = machine_of(e);
  return joined(
      sorted(filtered(machine.addresses, "name", a[0].as_text(), true), "type,size", machine),
      "address", " ");
}

Value include(Evaluation&, Arguments a) {
  return as_value(filtered(addresses_of(a[2]), a[0].as_text(), a[1].as_text(), true));
}
Value exclude(Evaluation&, Arguments a) {
  return as_value(filtered(addresses_of(a[2]), a[0].as_text(), a[1].as_text(), false));
}
Value sort(Evaluation& e, Arguments a) {
  return as_value(sorted(addresses_of(a[1]), a[0].as_text(), machine_of(e)));
}
Value unique_(Evaluation&, Arguments a) {
  return as_value(unique(addresses_of(a[1]), a[0].as_text()));
}
Value math(Evaluation&, Arguments a) {
  return as_value(calculated(addresses_of(a[2]), a[0].as_text(), a[1].as_text()));
}
Value limit(Evaluation&, Arguments a) {
  Addresses all = addresses_of(a[1]);
  if (a[0].as_uint() < all.size()) all.resize(static_cast<std::size_t>(a[0].as_uint()));
  return as_value(all);
}
Value offset(Evaluation&, Arguments a) {
  Addresses all = addresses_of(a[1]);
  const std::int64_t by = a[0].as_int();
  const auto count = static_cast<std::size_t>(by < 0 ? -by : by);
  if (count > all.size())
    throw CallError{"unable to seek past the end of the interface array: offset (" +
                    std::to_string(count) + ") exceeds the number of interfaces (" +
                    std::to_string(all.size()) + ")"};
  all.erase(all.begin(),
            all.begin() + static_cast<std::ptrdiff_t>(by < 0 ? all.size() - count : count));
  return as_value(all);
}
Value join(Evaluation&, Arguments a) {
  return joined(addresses_of(a[2]), a[0].as_text(), a[1].as_text());
}
Value attr(Evaluation&, Arguments a) {
  if (const AddressObject* one = as_address(a[1]); one != nullptr && one->part == Part::whole)
    return attribute(one->address, a[0].as_text());
  const bool list = a[1].type() == Type::list;
  if (list && a[1].size() == 0) return "";
  if (list && as_address(a[1].items()[0]) != nullptr)
    return attribute(as_address(a[1].items()[0])->address, a[0].as_text());
  throw CallError{"unable to obtain attribute " + std::string(a[0].as_text()) + " from type " +
                  (a[1].is_nil() ? "<nil>" : type_name(a[1])) + " (" + sprint(a.subspan(1)) + ")"};
}

constexpr Function kFunctions[] = {
    {"GetAllInterfaces", get_all_interfaces, ""},
    {"GetDefaultInterfaces", get_default_interfaces, ""},
    {"GetInterfaceIP", get_interface_ip, "s"},
    {"GetInterfaceIPs", get_interface_ips, "s"},
    {"GetPrivateIP", get_private_ip, ""},
    {"GetPrivateIPs", get_private_ips, ""},
    {"GetPrivateInterfaces", get_private_interfaces, ""},
    {"GetPublicIP", get_public_ip, ""},
    {"GetPublicIPs", get_public_ips, ""},
    {"GetPublicInterfaces", get_public_interfaces, ""},
    {"attr", attr, "sa"},
    {"exclude", exclude, "ssA"},
    {"include", include, "ssA"},
    {"join", join, "ssA"},
    {"limit", limit, "vA"},
    {"math", math, "ssA"},
    {"offset", offset, "iA"},
    {"sort", sort, "sA"},
    {"unique", unique_, "sA"},
};

// go-sockaddr's, and those of Go's templates.
const Function* find(std::string_view name) {
  const auto* own = std::ranges::find(kFunctions, name, &Function::name);
  if (own != std::end(kFunctions)) return own;
  const auto builtins = builtin_functions();
  const auto at = std::ranges::find(builtins, name, &Function::name);
  return at == builtins.end() ? nullptr : &*at;
}

class Nothing final : public DataSource {
 public:
  [[nodiscard]] const Value* find(const Dependency&) override { return nullptr; }
};

}  // namespace

std::string evaluate(std::string_view pipeline, const Machine& machine) {
  const std::string text = "{{ " + std::string(pipeline) + " }}", name = kName;
  auto trees = parse(text, name, name, "{{", "}}", find);
  if (!trees)
    throw CallError{"unable to parse template " + quote(text, true) + ": " + trees.error().text};
  Options options;
  options.as_reference = true;
  Nothing nothing;
  Work own;
  Work& work = detail::working != nullptr ? *detail::working : own;
  Evaluation evaluation(*trees, name, text, options, nothing, work, Evaluation::Pass::first);
  evaluation.scratch[""] = Value::object(std::make_shared<Held>(machine));
  try {
    return evaluation.execute_template(name, as_value(machine.addresses));
  } catch (const CallError& error) {  // the only lists are of addresses, the only uint32 is a uint
    std::string said = replaced(error.text, "[]interface {}", "sockaddr.IfAddrs");
    said = replaced(said, "uint32", "uint");
    throw CallError{"unable to execute sockaddr input " + quote(text, true) + ": " + said};
  }
}

}  // namespace keybearer::tmpl::sockaddr
