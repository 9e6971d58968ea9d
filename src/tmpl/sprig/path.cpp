// What sprig takes from Go's path (path/filepath is the same here), and its url.go and semver.go.

#include <string.h>

#include <algorithm>

#include "tmpl/go/go_url.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/sprig/convert.hpp"
#include "tmpl/sprig/semver.hpp"
#include "tmpl/sprig/sprig.hpp"

namespace keybearer::tmpl::sprig {
namespace {

// path.Clean.
std::string clean(std::string_view path) {
  const bool rooted = path.starts_with('/');
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const auto end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty() && parts.back() != "..") {
      parts.pop_back();
    } else if (!rooted) {
      parts.push_back(part);
    }
  }
  std::string out = rooted ? "/" : "";
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += '/';
    out += parts[i];
  }
  return out.empty() ? "." : out;
}
// Where the name behind the last slash begins.
std::size_t name_at(std::string_view path) {
  const void* slash = path.empty() ? nullptr : memrchr(path.data(), '/', path.size());
  return slash == nullptr
             ? 0
             : static_cast<std::size_t>(static_cast<const char*>(slash) - path.data()) + 1;
}

Value clean_(Evaluation&, Arguments a) {
  return clean(a[0].as_text());
}
Value dir(Evaluation&, Arguments a) {
  const std::string_view path = a[0].as_text();
  return clean(path.substr(0, name_at(path)));
}
Value base(Evaluation&, Arguments a) {
  std::string_view path = a[0].as_text();
  if (path.empty()) return ".";
  while (path.ends_with('/')) path.remove_suffix(1);
  if (path.empty()) return "/";
  const std::string_view name = path.substr(name_at(path));
  return name.size() == a[0].size() && a[0].type() == Type::string ? a[0] : Value(name);
}
Value ext(Evaluation&, Arguments a) {
  const std::string_view path = a[0].as_text();
  const auto dot = path.rfind('.');
  return dot != std::string_view::npos && dot >= name_at(path) ? path.substr(dot)
                                                               : std::string_view();
}
Value is_abs(Evaluation&, Arguments a) {
  return a[0].as_text().starts_with('/');
}

// url.Parse, or Go's text: it has the address, without the fragment unless that is what is wrong.
Url parsed_url(std::string_view raw, const char* what) {
  auto url = parse_url(raw);
  if (url) return *std::move(url);
  const std::string_view front = raw.substr(0, raw.find('#'));
  throw CallError{std::string(what) + ": parse " + quote(parse_url(front) ? raw : front) + ": " +
                  url.error()};
}

Value url_parse(Evaluation&, Arguments a) {
  Url url = parsed_url(a[0].as_text(), "unable to parse url");
  Value hostname(url.hostname());
  Value out = Value::map();
  out.set("fragment", Value(std::move(url.fragment)));
  out.set("host", Value(std::move(url.host)));
  out.set("hostname", std::move(hostname));
  out.set("opaque", Value(std::move(url.opaque)));
  out.set("path", Value(std::move(url.path)));
  out.set("query", Value(std::move(url.query)));
  out.set("scheme", Value(std::move(url.scheme)));
  out.set("userinfo", Value(url.user ? url.user->text() : ""));
  return out;
}
std::string member(const Value& map, std::string_view key) {
  const Value* found = map.find(key);
  if (found == nullptr) return {};
  if (found->is_nil()) throw CallError{kNilDereference};
  if (found->is_text()) return std::string(found->as_text());
  throw CallError{"unable to parse " + std::string(key) + " key, must be of type string, but " +
                  std::string(kind_name(*found)) + " found"};
}
Value url_join(Evaluation&, Arguments a) {
  Url url;
  url.scheme = member(a[0], "scheme");
  url.host = member(a[0], "host");
  url.path = member(a[0], "path");
  url.query = member(a[0], "query");
  url.opaque = member(a[0], "opaque");
  url.fragment = member(a[0], "fragment");
  const std::string user = member(a[0], "userinfo");
  if (!user.empty()) {
    url.user = parsed_url("proto://" + user + "@host", "unable to parse userinfo in dict").user;
  }
  return url.text();
}

Value semver(Evaluation&, Arguments a) {
  return version_object(Version::parse(a[0].as_text()));
}
Value semver_compare(Evaluation&, Arguments a) {
  const Constraints constraints(a[0].as_text());
  return constraints.allow(Version::parse(a[1].as_text()));
}

constexpr Function kFunctions[] = {
    {"sprig_base", base, "s"},        {"sprig_clean", clean_, "s"},
    {"sprig_dir", dir, "s"},          {"sprig_ext", ext, "s"},
    {"sprig_isAbs", is_abs, "s"},     {"sprig_osBase", base, "s"},
    {"sprig_osClean", clean_, "s"},   {"sprig_osDir", dir, "s"},
    {"sprig_osExt", ext, "s"},        {"sprig_osIsAbs", is_abs, "s"},
    {"sprig_semver", semver, "s"},    {"sprig_semverCompare", semver_compare, "ss"},
    {"sprig_urlJoin", url_join, "M"}, {"sprig_urlParse", url_parse, "s"},
};

}  // namespace

std::span<const Function> path_functions() {
  return kFunctions;
}

}  // namespace keybearer::tmpl::sprig
