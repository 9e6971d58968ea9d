#include "secrets/certificate_reuse.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.hpp"
#include "base/log.hpp"
#include "tmpl/funcs/pem_bundle.hpp"

namespace keybearer::secrets {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

constexpr std::size_t kMost = 1 << 20;

void append_content(Secret& out, const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info{};
  if (!fd || fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return;
  const std::size_t limit = out.size() + kMost;
  char buffer[4096];
  for (ssize_t n = 0; out.size() < limit && (n = read(fd.get(), buffer, sizeof buffer)) > 0;)
    out.append({buffer, static_cast<std::size_t>(n)});
  explicit_bzero(buffer, sizeof buffer);
  out.append("\n");
}

vault::Reply reply_of(const tmpl::PemBundle& bundle) {
  List chain;
  for (const std::string& certificate : bundle.chain) chain.emplace_back(certificate);
  Value data = Value::map();
  data.set("certificate", Value(bundle.cert));
  data.set("private_key", Value(bundle.key));
  data.set("issuing_ca", Value(bundle.ca));
  data.set("ca_chain", Value::list(std::move(chain)));
  const auto end =
      std::chrono::duration_cast<std::chrono::seconds>(bundle.not_after.time_since_epoch());
  data.set("expiration", Value::number(std::to_string(end.count())));
  vault::Reply reply;
  reply.body = Value::map();
  reply.body.set("data", std::move(data));
  reply.asked = Clock::now();
  return reply;
}

std::string argument(const tmpl::Dependency& dependency, std::string_view name) {
  const auto at =
      std::ranges::find(dependency.args, name, &std::pair<std::string, std::string>::first);
  return at == dependency.args.end() ? std::string{} : at->second;
}

// The server's own word where it gives one, else the CA beside the certificate.
awaitable<bool> issuer_fits(WatchContext& context, const WatchedSecret& secret,
                            const tmpl::PemBundle& bundle) {
  const bool by_file = bundle.ca.empty() || tmpl::is_issued_by(bundle.cert, bundle.ca);
  const std::string path =
      issuer_path(secret.dependency.path, argument(secret.dependency, "issuer_ref"));
  if (path.empty() || !by_file) co_return by_file;
  const std::string issuer = co_await context.issuers.get(client_of(context, secret), path);
  co_return issuer.empty() || tmpl::is_issued_by(bundle.cert, issuer);
}

}  // namespace

std::string issuer_path(std::string_view path, std::string_view issuer_argument) {
  constexpr std::string_view kIssuer = "/issuer/";
  if (const auto at = path.find(kIssuer); at != std::string_view::npos) {
    const auto begin = at + kIssuer.size();
    const auto end = path.find('/', begin);
    if (end == std::string_view::npos) return {};
    return std::string(path.substr(0, end)) + "/json";
  }
  for (const std::string_view verb : {"/issue/", "/sign/", "/sign-verbatim"}) {
    const auto at = path.find(verb);
    if (at == std::string_view::npos) continue;
    const std::string mount(path.substr(0, at));
    if (issuer_argument.empty()) return mount + "/cert/ca";
    return mount + "/issuer/" + std::string(issuer_argument) + "/json";
  }
  return {};
}

awaitable<std::optional<vault::Reply>> reusable_certificate(WatchContext& context,
                                                            const WatchedSecret& secret,
                                                            WallTime now) {
  Secret content;
  for (const std::string& destination : secret.destinations) append_content(content, destination);
  if (content.empty()) co_return std::nullopt;
  const auto request = tmpl::certificate_request(secret.dependency.args);
  const auto bundle = tmpl::pem_bundle(content.reveal(), request);
  if (!bundle) co_return std::nullopt;
  const auto life = std::chrono::duration_cast<Duration>(bundle->not_after - bundle->not_before);
  const auto age = std::chrono::duration_cast<Duration>(now - bundle->not_before);
  if (age < Duration::zero() || age >= life * secret.rule.lease.refetch_at) co_return std::nullopt;
  if (!co_await issuer_fits(context, secret, *bundle)) {
    log::info("certificate.replaced", "the certificate in its file is of another issuer",
              {{"path", secret.status.path}});
    co_return std::nullopt;
  }
  co_return reply_of(*bundle);
}

}  // namespace keybearer::secrets
