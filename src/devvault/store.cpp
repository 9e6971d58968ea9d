#include "devvault/store.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace keybearer::devvault {

bool Token::is_root() const {
  return std::ranges::find(policies, "root") != policies.end();
}

Store::Store(std::string suffix) : suffix_(std::move(suffix)) {
  policies["default"] = parse_policy(default_policy()).value();
}

Token& Store::add_token(Token token, WallTime now) {
  if (token.id.empty())
    token.id = (token.batch ? "hvb." + random_text(138) : "hvs." + random_text(91)) + suffix_;
  token.accessor = token.batch ? "" : random_text(24) + suffix_;
  token.created = now;
  token.expires = now + token.ttl;
  auto& place = tokens_[token.id];
  place = std::make_unique<Token>(std::move(token));
  return *place;
}

Token* Store::token(const std::string& id) {
  const auto it = tokens_.find(id);
  return it == tokens_.end() ? nullptr : it->second.get();
}

Token* Store::by_accessor(std::string_view accessor) {
  for (const auto& [id, token] : tokens_) {
    if (!accessor.empty() && token->accessor == accessor) return token.get();
  }
  return nullptr;
}

void Store::revoke_token(const std::string& id, bool leave_children) {
  const auto it = tokens_.find(id);
  if (it == tokens_.end()) return;
  const std::string accessor = it->second->accessor;
  tokens_.erase(it);
  if (accessor.empty()) return;
  std::erase_if(leases_,
                [&accessor](const auto& lease) { return lease.second.accessor == accessor; });
  std::vector<std::string> children;
  for (const auto& [child_id, child] : tokens_) {
    if (child->parent == accessor) children.push_back(child_id);
  }
  for (const std::string& child : children) {
    if (leave_children)
      tokens_[child]->parent.clear();
    else
      revoke_token(child);
  }
}

void Store::revoke_tokens_below(std::string_view path) {
  std::vector<std::string> ended;
  for (const auto& [id, token] : tokens_) {
    if (token->path.starts_with(path) && !token->endless()) ended.push_back(id);
  }
  for (const std::string& id : ended) revoke_token(id);
}

Lease& Store::add_lease(std::string path, Seconds ttl, Seconds max_ttl, const Token* token,
                        WallTime now) {
  Lease lease{.id = std::move(path) + "/" + random_text(24) + suffix_,
              .accessor = token != nullptr ? token->accessor : ""};
  lease.ttl = ttl;
  lease.max_ttl = max_ttl;
  lease.issued = now;
  lease.expires = now + ttl;
  auto& place = leases_[lease.id];
  place = std::move(lease);
  return place;
}

Lease* Store::lease(const std::string& id) {
  const auto it = leases_.find(id);
  return it == leases_.end() ? nullptr : &it->second;
}

void Store::revoke_leases_below(std::string_view prefix) {
  std::erase_if(leases_, [prefix](const auto& lease) { return lease.first.starts_with(prefix); });
}

Seconds Store::renewed_ttl(Seconds asked, Seconds max_ttl, WallTime start, WallTime now,
                           std::vector<std::string>& warnings) {
  const Seconds most = left(start + max_ttl, now);
  if (asked <= most) return asked;
  warnings.push_back(fmt::format(
      R"(TTL of "{}" exceeded the effective max_ttl of "{}"; TTL value is capped accordingly)",
      short_text(asked), short_text(most)));
  return most;
}

void Store::sweep(WallTime now) {
  std::vector<std::string> ended;
  for (const auto& [id, token] : tokens_) {
    if ((!token->endless() && token->expires <= now) || token->num_uses < 0) ended.push_back(id);
  }
  for (const std::string& id : ended) revoke_token(id);
  std::erase_if(leases_, [now](const auto& lease) { return lease.second.expires <= now; });
}

std::vector<const Policy*> Store::policies_of(const Token& token) const {
  std::vector<const Policy*> found;
  for (const std::string& name : token.policies) {
    if (const auto it = policies.find(name); it != policies.end()) found.push_back(&it->second);
  }
  return found;
}

Capabilities Store::capabilities(const Token& token, std::string_view path) const {
  if (token.is_root()) return {"root"};
  return capabilities_on(policies_of(token), path);
}

Answer token_answer(const Token& token, Seconds ttl) {
  Answer answer;
  answer.auth = object({{"client_token", token.id},
                        {"accessor", token.accessor},
                        {"policies", strings(token.policies)},
                        {"token_policies", strings(token.policies)},
                        {"metadata", token.meta},
                        {"lease_duration", number(ttl)},
                        {"renewable", token.renewable && !token.batch},
                        {"entity_id", token.entity_id},
                        {"token_type", token.batch ? "batch" : "service"},
                        {"orphan", token.parent.empty()},
                        {"mfa_requirement", Value()},
                        {"num_uses", number(token.num_uses)}});
  answer.wrapped_accessor = token.accessor;
  return answer;
}

}  // namespace keybearer::devvault
