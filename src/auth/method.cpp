#include "auth/method.hpp"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/log.hpp"
#include "config/method.hpp"

namespace keybearer::auth {
namespace {

constinit const AuthMethodRegistration* first_method = nullptr;

}  // namespace

AuthMethodRegistration::AuthMethodRegistration(std::string_view type, Make make) noexcept
    : type_(type), make_(make), next_(first_method) {
  first_method = this;
}
AuthMethodRegistration::AuthMethodRegistration(std::string_view type, MakeInCloud make) noexcept
    : type_(type), make_in_cloud_(make), next_(first_method) {
  first_method = this;
}

result<std::unique_ptr<AuthMethod>> make_auth_method(const config::Method& method,
                                                     const CloudParts& cloud) {
  std::string known;
  for (const auto* each = first_method; each != nullptr; each = each->next_) {
    if (each->type_ == method.type)
      return each->make_ != nullptr ? each->make_(method) : each->make_in_cloud_(method, cloud);
    known.append(known.empty() ? "" : ", ").append(each->type_);
  }
  return fail(ErrorKind::config, method.place.text() + ": auto_auth.method.type: \"" + method.type +
                                     "\" is not supported; known are " + known);
}

std::string mount_path(const config::Method& method) {
  std::string path = method.mount_path.empty() ? method.type : method.mount_path;
  path.erase(0, path.find_first_not_of('/'));
  path.erase(path.find_last_not_of('/') + 1);
  return path.starts_with("auth/") ? path : "auth/" + path;
}

bool may_have_been_done(const Error& error) {
  const bool gateway = error.status >= 500 && error.kind != ErrorKind::sealed;
  return error.reason == Reason::lost_answer || error.kind == ErrorKind::bad_reply || gateway;
}

// --- a credential ------------------------------------------------------------------------------

Credential::Credential(const config::Method& method, std::string_view key,
                       std::string_view file_key, bool warns)
    : name_(key), key_(file_key) {
  const config::MethodSpec* spec = config::MethodSpec::find(method.type);
  given_ = method.secret(key);
  if (!given_ && method.has(key)) given_ = std::make_shared<const Secret>(method.text(key));
  if (given_ || !method.has(file_key)) {
    const config::MethodKey* known = spec != nullptr ? spec->key(key) : nullptr;
    if (known != nullptr && !known->variables.empty())
      place_.append(known->variables.front()).append(" or ");
    place_.append("auto_auth.method.").append(key);
    const config::MethodKey* named =
        spec != nullptr && known != nullptr ? spec->variable_of(*known) : nullptr;
    if (named != nullptr && method.has(named->name)) place_ = method.text(named->name);
    return;
  }
  file_.emplace(method.text(file_key), warns);
  place_ = file_->path();
  hint_ = config::removal_hint(method, file_key);
  const config::MethodKey* remover = spec != nullptr ? spec->remover_of(file_key) : nullptr;
  if (remover != nullptr && method.flag(remover->name)) removed_by_ = remover->name;
}

result<> Credential::look() {
  if (given_) return {};
  if (!file_) return fail(ErrorKind::config, "auto_auth.method." + name_ + ": not given");
  auto seen = file_->look();
  if (seen || !file_->content().empty()) return {};
  Error error = std::move(seen).error().within("auto_auth.method." + key_);
  if (access(file_->path().c_str(), F_OK) != 0 && errno == ENOENT) error.text += hint_;
  return std::unexpected(std::move(error));
}

std::string_view Credential::value() const {
  if (given_) return given_->reveal();
  return file_ ? file_->content().reveal() : std::string_view{};
}

void Credential::remove_file() {
  if (removed_by_.empty() || !file_) return;
  const auto removed = file_->remove();
  if (removed && *removed) {
    log::info("credential.removed", name_ + " file removed after the login (" + removed_by_ + ")",
              {{"path", file_->path()}});
  } else if (!removed && !std::exchange(removal_failed_, true)) {  // said once, not at each login
    log::warn("credential.remove_failed",
              "a used credential could not be removed: " + removed.error().text +
                  "; it stays where it is: set " + removed_by_ + " = false where that is meant");
  }
}

}  // namespace keybearer::auth
