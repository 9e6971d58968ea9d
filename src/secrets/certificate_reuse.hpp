#pragma once
// pkiCert's memory are the destinations of its templates: a certificate that is still good there is
// not issued again. Internal to secrets/.
//
// A certificate and its key may stand in two of them. It is used again only if names, alternative
// names, issuer and key fit what is asked for now (S6).

#include <boost/asio/awaitable.hpp>
#include <optional>

#include "secrets/requests.hpp"
#include "secrets/watched_secret.hpp"

namespace keybearer::secrets {

// As if the server had answered it. nullopt: there is none, it is not what is asked for, or more
// than lease.refetch_at of its life is over. The server is asked for its issuer, once for all
// certificates; a server that will not tell leaves it to what stands in the files.
[[nodiscard]] boost::asio::awaitable<std::optional<vault::Reply>> reusable_certificate(
    WatchContext& context, const WatchedSecret& secret, WallTime now);

// Where the issuer of "pki/issue/web" or "pki/issuer/two/sign/web" is read; "": not to be told.
[[nodiscard]] std::string issuer_path(std::string_view path, std::string_view issuer_argument);

}  // namespace keybearer::secrets
