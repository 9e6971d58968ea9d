#pragma once
// What to tell the operator about a login that was refused: the server's answer tells what, a
// method's table tells what to do about it. Texts only: no decision is made by what a server says in
// words.
//
//     constexpr Remedy kRemedies[] = {{400, "audience", "... role \"{role}\" at {mount} ..."}, ...};
//     if (!auth) advise(auth.error(), kRemedies, {.mount = mount_, .role = role_, ...});
//
// Source: the texts of Vault 1.14's and OpenBao 2.6's own back ends. Pure.

#include <span>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace keybearer::auth {

struct Remedy {
  int status;               // 0: whatever it is
  std::string_view answer;  // a piece of the server's text; "": any
  std::string_view text;    // "{mount}", "{role}", "{place}", "{about}" are filled in
};

struct RefusalFacts {
  std::string_view mount, role;
  std::string_view place;  // where the credential comes from: a file, a variable, a key
  std::string about = {};  // the credential itself, as far as it is no secret
};

// Of a role that the server does not know.
inline constexpr std::string_view kNoSuchRole =
    "role \"{role}\" does not exist at {mount}: `vault list {mount}/role` shows which do";
// Of a 403 or 404 at a login path, which hide their reasons.
inline constexpr std::string_view kHiddenReason =
    "is there a method of this type at {mount}? See auto_auth.method.mount_path and namespace; "
    "servers also refuse a name that is locked for a while after 5 wrong logins, and an address "
    "outside the role's token_bound_cidrs";

// Appends "; TEXT" of the first remedy that fits an error that has a status; else nothing. A text
// that does not name the role gets it at its end.
void advise(Error& error, std::span<const Remedy> remedies, const RefusalFacts& facts);

}  // namespace keybearer::auth
