#pragma once
// AWS credentials from whichever source has them, kept until they end, and fetched again before.
//
//     auto id = provider.look();               // stat only; Error config: there is nothing
//     auto keys = co_await provider.keys();    // never a set that has ended
//     provider.forget();                       // they were refused: the next keys() asks again
//     auto alarm = co_await provider.tend();   // now and then
//
// Sets are fetched again when 15 min are left of them (by a login, and between two), when what they
// were made from has changed (the file of a web identity, the token of a pod), and after a refusal;
// while the source can't be asked, the old ones serve to their end (AWS SDKs: advisory and mandatory
// refresh).

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "auth/aws/login_request.hpp"
#include "auth/aws/services.hpp"
#include "auth/aws/sources.hpp"
#include "auth/cloud.hpp"
#include "auth/credential.hpp"
#include "config/config.hpp"

namespace keybearer::auth::aws {

// What is to be done with a set of keys. Pure.
enum class Freshness : std::uint8_t {
  fresh,
  ageing,  // fetched again, and good enough where that fails
  ended,   // never sent
};
[[nodiscard]] Freshness freshness(const Keys& keys, WallTime now);

class CredentialProvider {
 public:
  CredentialProvider(const config::Method& method, const CloudParts& cloud);

  // Looks at the environment and the files: what a login would be made from. Error config: nothing,
  // or something that is not enough.
  [[nodiscard]] result<ContentId> look();

  // Of the source that the last look() found. Errors: of services.hpp; denied for a set that has
  // ended and can't be fetched.
  [[nodiscard]] boost::asio::awaitable<result<std::shared_ptr<const Keys>>> keys();
  void forget();
  // Fetches the successors of a set that ends soon. After a refusal: looks whether its source gives
  // another set now, which is another content for look() then. An alarm, once for each set, where one
  // is about to end and nothing has come in its place; else "".
  [[nodiscard]] boost::asio::awaitable<std::string> tend();

  // Where a login is signed for. Errors: config, or an outage kind where the instance is asked.
  [[nodiscard]] boost::asio::awaitable<result<StsEndpoint>> endpoint();

  // "the instance's role", for people; before the first look() "".
  [[nodiscard]] const std::string& source_text() const { return source_.text; }

 private:
  [[nodiscard]] Facts facts();
  [[nodiscard]] result<ContentId> fingerprint_of_source();
  [[nodiscard]] result<> look_at_token();
  [[nodiscard]] boost::asio::awaitable<result<Keys>> fetch();
  [[nodiscard]] boost::asio::awaitable<void> look_for_others();
  [[nodiscard]] std::string alarm_about(const Keys& keys, const std::string& why);
  [[nodiscard]] std::string variable(const char* name) const;

  const config::Method method_;
  const CloudParts cloud_;
  CloudHttp http_;
  InstanceMetadata instance_{http_};
  CredentialFile credentials_, config_;  // the shared files
  std::optional<CredentialFile> token_;  // of the source in force
  Source source_ = {};
  std::optional<ContentId> content_ = {};  // of the source in force
  std::shared_ptr<const Keys> cached_ = {};
  std::optional<ContentId> cached_from_ = {};
  std::string refused_id_ = {};  // of the set that was refused, while no other is known
  std::string renewed_id_ = {};  // of the set that came in its place
  std::string alarmed_id_ = {};  // of the set whose end was told
  std::optional<std::string> instance_region_ = {};
};

}  // namespace keybearer::auth::aws
