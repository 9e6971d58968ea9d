#pragma once
// What the documents of all clouds have in common: tokens in them, and reasons in errors. Pure.

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "json/json.hpp"

namespace keybearer::auth {

inline constexpr json::Limits kCloudLimits{.max_depth = 32, .max_values = 10'000};

// A JWT that is the whole text, blanks at its ends apart. Error kind bad_reply.
[[nodiscard]] result<Secret> jwt_of_body(std::string_view body);
// A member of a JSON object that a header can carry, as a bearer is. Error kind bad_reply.
[[nodiscard]] result<Secret> header_secret(std::string_view json, std::string_view member);
// The first line of a text, at most 300 bytes, without what must not be seen; "" for anything else.
[[nodiscard]] std::string reason_line(const Value* text);

// An answer of a cloud's service that is no success: 408, 429 and 5xx pass by themselves (their
// error is an outage with Reason::credentials_away), others are a no (denied).
[[nodiscard]] Error cloud_refusal(int status, std::string_view asked, std::string_view reason);

}  // namespace keybearer::auth
