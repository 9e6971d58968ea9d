// consul-template's spew_*: template/funcs.go.

#include <cstdio>

#include "tmpl/formats/spew.hpp"
#include "tmpl/funcs/funcs.hpp"

namespace keybearer::tmpl {
namespace {

// To the process's standard output at once, as in Go; the template gets "".
Value printed(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
  return "";
}

Value sdump(Evaluation&, Arguments a) {
  return Value(spew::dump(a));
}
Value sprintf(Evaluation&, Arguments a) {
  return Value(spew::sprintf(a[0].as_text(), a.subspan(1)));
}
Value dump(Evaluation&, Arguments a) {
  return printed(spew::dump(a));
}
Value printf(Evaluation&, Arguments a) {
  return printed(spew::sprintf(a[0].as_text(), a.subspan(1)));
}

constexpr Function kFunctions[] = {
    {"spew_dump", dump, "a", true},
    {"spew_printf", printf, "sa", true},
    {"spew_sdump", sdump, "a", true},
    {"spew_sprintf", sprintf, "sa", true},
};

}  // namespace

std::span<const Function> spew_functions() {
  return kFunctions;
}

}  // namespace keybearer::tmpl
