// Part of the table of functions (reference.hpp).

#include "tmpl/reference/reference.hpp"

namespace keybearer::tmpl::reference {
namespace {

constexpr Entry kEntries0[] = {
    {"and", "the first argument that is empty, else the last", R"({{ and "a" "" "b" }})", ""},
    {"call", "calls a function that is a value; no value of a template is one",
     "{{ if false }}{{ call nil }}{{ end }}", ""},
    {"eq", "is the first equal to one of the others", "{{ eq 5 4 5 }}", "true"},
    {"ge", "greater or equal", "{{ ge 5 5 }}", "true"},
    {"gt", "greater", R"({{ gt "b" "a" }})", "true"},
    {"html", "escapes for HTML", R"({{ html "<a href='x'>" }})", "&lt;a href=&#39;x&#39;&gt;"},
    {"index", "an element of a map or list, also for keys that are no words",
     R"({{ with secret "kv/data/app" }}{{ index .Data.data "api-key" }}{{ end }})", "k1"},
    {"js", "escapes for a JavaScript string", R"({{ js "it's" }})", R"(it\'s)"},
    {"le", "less or equal", "{{ le 5 5 }}", "true"},
    {"len", "the size of a text (bytes), list or map", R"({{ len "abc" }})", "3"},
    {"lt", "less", "{{ lt 4 5 }}", "true"},
    {"ne", "not equal", R"({{ ne "a" "b" }})", "true"},
    {"not", "true when the argument is empty", R"({{ not "" }})", "true"},
    {"or", "the first argument that is not empty, else the last", R"({{ or "" "b" }})", "b"},
    {"print", "the arguments as text, with spaces between those that are no texts",
     R"({{ print "a" 1 2 }})", "a1 2"},
    {"printf", "formats as Go's fmt.Sprintf", R"({{ printf "%s:%d" "db" 5432 }})", "db:5432"},
    {"println", "as print, with spaces and a line break", R"({{ println "a" "b" }})", R"(a b
)"},
    {"slice", "a part of a text or list", R"({{ slice "abcdef" 1 3 }})", "bc"},
    {"urlquery", "escapes for the query of a URL", R"({{ urlquery "a b&c" }})", "a+b%26c"},
};

constexpr Section kSections[] = {
    {"Go", kEntries0},
};

}  // namespace

std::span<const Section> go_sections() {
  return kSections;
}

}  // namespace keybearer::tmpl::reference
