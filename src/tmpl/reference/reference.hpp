#pragma once
// The table of all functions that templates can call: name, what it does, one example and what that
// renders to. The page keybearer-template(7) is written from it, and a test holds it to what is
// registered (funcs.hpp): a new function is a row here, too.
//
// The examples run with the secret kv/data/app (user = "ann", api-key = "k1", tags = ["a<b"]), the
// names app and web below kv/metadata, the file /etc/site-name ("web1") and REGION=north.

#include <span>
#include <string>
#include <string_view>

namespace keybearer::tmpl::reference {

struct Entry {
  std::string_view name, meaning, example, output;
};

struct Section {
  std::string_view title;  // "Go", "consul-template: ...", "sprig: ...": who has them
  std::span<const Entry> entries;
};

[[nodiscard]] std::span<const Section> go_sections();
[[nodiscard]] std::span<const Section> consul_template_sections();
[[nodiscard]] std::span<const Section> sprig_text_sections();
[[nodiscard]] std::span<const Section> sprig_values_sections();

// packaging/man/keybearer-template.7, in mdoc(7).
[[nodiscard]] std::string manual_page();

}  // namespace keybearer::tmpl::reference
