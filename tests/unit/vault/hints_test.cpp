// What each error advises, and which say it themselves.

#include "vault/hints.hpp"

#include <doctest/doctest.h>

using namespace keybearer;

TEST_CASE("what to do about an error") {
  struct Row {
    Error error;
    std::string_view part;  // "": no advice
  };
  using enum ErrorKind;
  const auto of = [](ErrorKind kind, std::string text = "GET kv/x: no", int status = 0,
                     Reason reason = Reason::none) {
    Error error{kind, std::move(text)};
    error.status = status;
    error.reason = reason;
    return error;
  };
  const Row rows[] = {
      {of(not_found, "GET v1/kv/x: 404 no", 404), ": leave out v1/: write kv/x"},
      {of(refused, "GET v1/kv/x: 400 no", 400), ": leave out v1/: write kv/x"},
      {of(refused, "GET v1/kv/x: 499 no", 499), ": leave out v1/: write kv/x"},
      {of(network, "GET v1/kv/x: no", 399), ": is the server up"},
      {of(server, "GET v1/kv/x: no", 500), ""},
      {of(not_found, "GET kv/v1/x: no", 404), ": write the secret"},
      {of(refused, "GET pki/issue/web: 405 unsupported operation", 405),
       ": this path must be written: secret \"pki/issue/web\""},
      {of(refused, "PUT pki/issue/web: 405 unsupported operation", 405), ": correct the path"},
      {of(refused, "GET pki/issue/web: 404", 404), ": correct the path"},
      {of(refused, "GET pki", 405), ": this path must be written: secret \"\""},
      {of(refused, "a: b c", 405), ": correct the path"},
      {of(denied, "x", 403, Reason::credentials_away), ""},
      {of(denied, "x", 403, Reason::no_namespace), ""},
      {of(denied), ": let the role's policy allow it"},
      {of(not_found, "no engine at v1/kv", 404, Reason::no_mount),
       ": leave out v1/, a path begins"},
      {of(not_found, "no engine at kv", 404, Reason::no_mount), ": no secrets engine is mounted"},
      {of(not_found, "GET auth/x/role: 404 no auth method at auth/x/role", 404, Reason::no_mount),
       ": no auth method is enabled there"},
      {of(denied, "GET sys/internal/ui/mounts/v1/kv/x: 403 no", 403),
       ": leave out v1/: write kv/x"},
      {of(not_found, "GET kv/data/app#user: 404 no", 404), ": # and ? are a part of the name here"},
      {of(not_found, "GET kv/data/app?version=1: 404 no", 404), ": # and ? are a part of the name"},
      {of(not_found), ": write the secret, or make it optional"},
      {of(refused), ": correct the path or its parameters"},
      {of(network), ": is the server up, and vault.address"},
      {of(network, "GET x: https://127.0.0.1:8200: connection refused"),
       ": is the server up, and that its address? It is the default"},
      {of(network, "GET x: https://127.0.0.1:82001: connection refused"),
       ": is the server up, and vault.address"},
      {of(network, "GET x: http://vault:8200: too many open files"),
       ": raise the limit of descriptors"},
      {of(network, "x", 0, Reason::proxy), ""},
      {of(tls), ": see vault.ca_cert"},
      {of(tls, "x", 0, Reason::tls_files), ""},
      {of(sealed, "x", 503), ": unseal the server"},
      {of(sealed, "x", 412), ""},
      {of(sealed, "x", 472), ": this node is a standby"},
      {of(sealed, "x", 473), ": this node is a standby"},
      {of(sealed, "x", 429), ": this node is a standby"},
      {of(throttled, "x", 429), ": the server limits requests"},
      {of(bad_reply), ": is vault.address that of a Vault server"},
      {of(bad_reply, "x", 0, Reason::foreign_response), ""},
      {of(bad_reply, "larger than 1 byte (vault.max_response_size)"), ""},
      {of(timeout), ""},
      {of(io), ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.error.text);
    CAPTURE(row.part);
    const std::string said = hint(row.error);
    CHECK(said.starts_with(row.part));
    CHECK(said.empty() == row.part.empty());
  }
}
