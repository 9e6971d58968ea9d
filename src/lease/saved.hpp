#pragma once
// What outlives a restart of keybearer ([state]): the token, the secrets with their leases and
// values, and what is still to be revoked. Plain values; auth/ and secrets/ give and take them,
// state/ keeps them in a sealed file. Times are of the boot clock of the process that has them.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "json/value.hpp"
#include "lease/revocations.hpp"
#include "lease/secret_schedule.hpp"
#include "lease/token_schedule.hpp"

namespace keybearer::lease {

struct SavedToken {
  std::string login;  // what it was got by: method, mount and names, as a digest
  vault::Token token;
  std::string accessor, entity_id, type;
  std::vector<std::string> policies;
  bool renewable = false;
  bool limited = false;  // can be used so many times only
  TokenSchedule::Saved schedule;
};

struct SavedSecret {
  std::vector<std::string> ids;  // of all that ask for it, its own first
  std::string request;           // what it is asked for with, as a digest
  // A published value: only read, so that another thread may do it (secrets/snapshot.hpp).
  std::shared_ptr<const Value> value;
  int kv_version = 0;
  std::string data_path, mount;
  bool wrapped = false, metadata_denied = false;
  std::optional<std::string> vault_namespace;  // else the client's
  std::string lease_id;
  vault::Token token;         // that it was read with
  vault::Token issued_token;  // that the answer gave
  bool orphan = false;        // `issued_token` does not end with its maker
  std::optional<Instant> last_success;
  SecretSchedule::Saved schedule;

  [[nodiscard]] bool leased() const { return !lease_id.empty() || issued_token != nullptr; }
};

struct SavedState {
  std::optional<SavedToken> token;
  std::vector<SavedSecret> secrets;
  std::vector<Superseded> superseded;
};

}  // namespace keybearer::lease
