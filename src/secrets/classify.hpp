#pragma once
// What an answer of the server is: its kind and life, told by its shape alone; and what a template
// sees of it. Pure.
//
// Source: Vault HTTP API (KV v2 data, database static-creds, pki issue), real answers in
// tests/contract.

#include <optional>
#include <string>

#include "base/time.hpp"
#include "lease/secret_schedule.hpp"
#include "tmpl/template.hpp"
#include "vault/client.hpp"

namespace keybearer::secrets {

using lease::Kind;

// Does only its mount tell what it is read by? Not with data/ or metadata/ in it, and not what lies
// where no KV can be (auth/, sys/ ...).
[[nodiscard]] bool needs_mount(const tmpl::Dependency& dependency);

// `asked`: when the request was sent, in wall time, which the server's time stamps are compared
// with; lifetimes count from then.
[[nodiscard]] lease::Lifetime lifetime_of(const tmpl::Dependency& dependency,
                                          const vault::Reply& reply, WallTime asked);

// data.metadata.version of a KV v2 answer; 0: not one.
[[nodiscard]] int kv_version(const vault::Reply& reply);
// Do two values of one secret say the same, as templates see them? All of both is compared, but for
// what is another in each answer: the request's id, and the count-down of a static role.
[[nodiscard]] bool same_content(Kind kind, const Value& before, const Value& now);
// RFC 3339 with up to nine decimals, in UTC.
[[nodiscard]] std::optional<WallTime> parse_time(std::string_view text);

// Is it taken as the API's path for its data/, metadata/ alone, though its mount may say otherwise?
// Below a directory called data ("kv/team/data/app") or in a mount with such a name ("team/data/kv").
enum class Assumed { no, likely, unlikely };
[[nodiscard]] Assumed path_is_assumed(const tmpl::Dependency& dependency);

// "kv/metadata/app" of "kv/data/app"; nullopt: no data/ in it. `mount` as far as it is known; "".
[[nodiscard]] std::optional<std::string> metadata_path(std::string_view data_path,
                                                       std::string_view mount = {});
// More than one data/ is in it: only its mount tells which is the API's.
[[nodiscard]] bool has_two_data(std::string_view data_path);
// The API's path of a read or a list in this KV v2 mount.
[[nodiscard]] std::string kv2_path(std::string_view path, std::string_view mount, bool list);
// "kv/data/app" of "kv/app" in the mount "kv/"; as it is when it has data/, metadata/ or subkeys/
// already.
[[nodiscard]] std::string with_data(std::string_view path, std::string_view mount);

// The value as the template's data source gives it (tmpl::DataSource): by the dependency's kind.
[[nodiscard]] Value value_of(const tmpl::Dependency& dependency, const vault::Reply& reply);
// What stands in for an optional secret that is not there: an answer with these data (a JSON
// object), or nil. `kv2` as far as it is known: else both .Data.KEY and .Data.data.KEY find them.
[[nodiscard]] Value default_value(std::string_view defaults, std::optional<bool> kv2);

}  // namespace keybearer::secrets
