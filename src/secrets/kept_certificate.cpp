#include "secrets/kept_certificate.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.hpp"
#include "tmpl/funcs/pem_bundle.hpp"

namespace keybearer::secrets {
namespace {

constexpr std::size_t kMost = 1 << 20;

Secret content_of(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info{};
  Secret content;
  if (!fd || fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return content;
  char buffer[4096];
  for (ssize_t n = 0; content.size() < kMost && (n = read(fd.get(), buffer, sizeof buffer)) > 0;)
    content.append({buffer, static_cast<std::size_t>(n)});
  explicit_bzero(buffer, sizeof buffer);
  return content;
}

}  // namespace

std::optional<vault::Reply> kept_certificate(const Entry& entry, WallTime now) {
  const auto& args = entry.dependency.args;
  const auto argument = [&args](std::string_view name) {
    const auto at = std::ranges::find(args, name, &std::pair<std::string, std::string>::first);
    return at == args.end() ? std::string{} : at->second;
  };
  const Secret content = content_of(entry.dependency.destination);
  const auto bundle = tmpl::pem_bundle(content.reveal(), argument("common_name"));
  const bool needs_key = argument("csr").empty();
  if (!bundle || (needs_key && bundle->key.empty())) return std::nullopt;
  const auto life = std::chrono::duration_cast<Duration>(bundle->not_after - bundle->not_before);
  const auto age = std::chrono::duration_cast<Duration>(now - bundle->not_before);
  if (age < Duration::zero() || age >= life * entry.rule.lease.refetch_at) return std::nullopt;

  List chain;
  for (const std::string& certificate : bundle->chain) chain.emplace_back(certificate);
  Value data = Value::map();
  data.set("certificate", Value(bundle->cert));
  data.set("private_key", Value(bundle->key));
  data.set("issuing_ca", Value(bundle->ca));
  data.set("ca_chain", Value::list(std::move(chain)));
  const auto end =
      std::chrono::duration_cast<std::chrono::seconds>(bundle->not_after.time_since_epoch());
  data.set("expiration", Value::number(std::to_string(end.count())));
  vault::Reply reply;
  reply.body = Value::map();
  reply.body.set("data", std::move(data));
  return reply;
}

}  // namespace keybearer::secrets
