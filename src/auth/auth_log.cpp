#include "auth/auth_log.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/log.hpp"
#include "vault/hints.hpp"

namespace keybearer::auth {
namespace {

using namespace std::chrono_literals;
using config::OnRenewFailure;

constexpr int kForbidden = 403;
constexpr auto kInvalid = "the token is not valid any more (revoked, expired or used up)";

std::string text_of(Duration time) {
  return std::to_string(std::chrono::round<std::chrono::seconds>(time).count()) + "s";
}

std::string joined(const std::vector<std::string>& items) {
  std::string out;
  for (const auto& item : items) out.append(out.empty() ? "" : ",").append(item);
  return out;
}

}  // namespace

std::string AuthLog::expiry_action(OnRenewFailure rule, bool relogin_allowed) {
  if (rule == OnRenewFailure::keep) return "the values in force are kept";
  return relogin_allowed ? "an orderly stop, unless new credentials come before"
                         : "an orderly stop";
}

std::string AuthLog::loss(End end) {
  return end == End::token_invalid ? kInvalid : "the token ends and can't be renewed";
}

void AuthLog::failure(std::string_view event, const Error& error, Instant at) {
  const auto level = failing_ == error.kind ? log::Level::debug : log::Level::warn;
  failing_ = error.kind;
  const auto wait = std::max(at - Clock::now(), 0ms);
  log::write(level, event, error.text + (is_outage(error.kind) ? hint(error) : ""),
             {{"next", "a try in " + std::to_string(wait.count()) + "ms"}});
}

void AuthLog::recovered() {
  if (failing_) log::info("auth.recovered", "the server answers again");
  failing_.reset();
}

void AuthLog::login(std::string_view method, std::string_view mount, const vault::Auth& auth) {
  log::info("auth.login", "logged in",
            {{"method", std::string(method)},
             {"mount", std::string(mount)},
             {"accessor", auth.accessor},
             {"ttl", auth.ttl == 0s ? "unlimited" : text_of(auth.ttl)},
             {"policies", joined(auth.policies)}});
  if (auth.num_uses == 0) return;
  log::warn("token.limited", "the token can be used only a limited number of times",
            {{"uses", std::to_string(auth.num_uses)}});
}

void AuthLog::renewed(const vault::Auth& auth, const std::string& accessor) {
  log::debug("token.renewed", "token renewed",
             {{"ttl", text_of(auth.ttl)}, {"accessor", accessor}});
}

void AuthLog::renewal_refused(const Error& error, const std::string& accessor, bool warns) {
  const bool forbidden = error.status == kForbidden;
  const std::string text =
      forbidden ? "renewal refused: the policy lacks update on auth/token/renew-self (" +
                      error.text + "); the built-in policy \"default\" has it"
                : error.text;
  log::write(forbidden && warns ? log::Level::warn : log::Level::info, "token.renewal_refused",
             text, {{"accessor", accessor}});
}

void AuthLog::refused(const Error& error, std::string next) {
  log::error("auth.refused", error.text, {{"next", std::move(next)}});
}

void AuthLog::ending(Duration left, std::string next) {
  log::warn("token.ending", "the token can't be renewed any further",
            {{"ttl", text_of(left)}, {"next", std::move(next)}});
}

void AuthLog::invalid(const std::string& accessor) {
  log::warn("token.invalid", kInvalid, {{"accessor", accessor}, {"next", "a new login"}});
}

void AuthLog::lost(End end, const std::string& accessor, std::string next) {
  log::error("token.lost", loss(end), {{"accessor", accessor}, {"next", std::move(next)}});
}

}  // namespace keybearer::auth
