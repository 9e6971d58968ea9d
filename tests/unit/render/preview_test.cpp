#include "render/preview.hpp"

#include <doctest/doctest.h>

using namespace keybearer;
using namespace keybearer::render;

namespace {

const config::Template kSpec = [] {
  config::Template spec;
  spec.destination = "app.ini";
  return spec;
}();

// What stands in « » was printed by an action.
RenderedFile file(std::string_view marked) {
  RenderedFile out;
  out.spec = &kSpec;
  out.generation = 1;
  std::string text;
  for (std::size_t at = 0; at < marked.size();) {
    if (marked.substr(at).starts_with("«")) {
      out.printed.push_back({text.size(), 0});
      at += 2;
    } else if (marked.substr(at).starts_with("»")) {
      out.printed.back().end = text.size();
      at += 2;
    } else {
      text += marked[at++];
    }
  }
  out.content = std::make_shared<const Secret>(text);
  return out;
}

std::string masked(std::string_view marked) {
  return std::string(preview(file(marked), Values::masked).reveal());
}
std::string diff(std::string_view before, std::string_view marked, Values values = Values::masked) {
  return std::string(preview_diff(file(marked), before, values).reveal());
}

}  // namespace

TEST_CASE("only the template's own text is shown") {
  CHECK(masked("") == "");
  CHECK(masked("port = 80\n") == "port = 80\n");
  CHECK(masked("a = «x»\nb = «y»;") == "a = [masked]\nb = [masked];");
  CHECK(masked("«x»«y» «z»") == "[masked] [masked]");
  CHECK(masked("key\n«BEGIN\nabc\n\nEND»\nend\n") == "key\n[masked]\n[masked]\n\n[masked]\nend\n");
  CHECK(masked("«a\n»b\n") == "[masked]\nb\n");
  CHECK(preview(file("a = «x»"), Values::shown).reveal() == "a = x");
}

TEST_CASE("no difference is no text") {
  CHECK(diff("a = x\n", "a = «x»\n").empty());
}

TEST_CASE("a new file") {
  CHECK(preview_diff(file("a = «x»\n"), std::nullopt, Values::masked).reveal() ==
        "--- /dev/null\n+++ app.ini\n@@ -0,0 +1 @@\n+a = [masked]\n");
}

TEST_CASE("an old line is shown as far as the template explains it") {
  CHECK(diff("user = old\npass = OLD\nother = OLD\nport = 80\n",
             "user = «old»\npass = «new»\nport = 80\n") ==
        "--- app.ini\n+++ app.ini\n@@ -1,4 +1,3 @@\n user = [masked]\n-pass = [masked]\n"
        "-[masked]\n+pass = [masked]\n port = 80\n");
}

TEST_CASE("with values it is what diff -u says") {
  CHECK(diff("1\n2\n3\n4\n5\n6\n7\n8\n9", "1\n2\n3\n4\n«x»\n6\n7\n8\n9", Values::shown) ==
        "--- app.ini\n+++ app.ini\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n");
  CHECK(diff("1\n2\n3\n4\n5\n6\n7\n8\n9", "0\n2\n3\n4\n5\n6\n7\n8\n9\n", Values::shown) ==
        "--- app.ini\n+++ app.ini\n@@ -1,4 +1,4 @@\n-1\n+0\n 2\n 3\n 4\n"
        "@@ -6,4 +6,4 @@\n 6\n 7\n 8\n-9\n\\ No newline at end of file\n+9\n");
  CHECK(diff("1\n", "", Values::shown) == "--- app.ini\n+++ app.ini\n@@ -1 +0,0 @@\n-1\n");
}

TEST_CASE("an emptied file hides what was in it; bytes that are no text are not shown") {
  CHECK(diff("OLD\n", "") == "--- app.ini\n+++ app.ini\n@@ -1 +0,0 @@\n-[masked]\n");
  CHECK(diff(std::string_view("a\0b", 3), "x", Values::shown) ==
        "--- app.ini\n+++ app.ini\nBinary files differ\n");
}
