#include "auth/cloud_documents.hpp"

#include <algorithm>

#include "auth/jwt.hpp"
#include "base/redactor.hpp"
#include "base/text.hpp"

namespace keybearer::auth {
namespace {

constexpr std::size_t kMaxReason = 300;
constexpr int kTimeout = 408;
constexpr int kThrottled = 429;

bool is_header_value(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](unsigned char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

result<Secret> jwt_of_body(std::string_view body) {
  const auto text = trimmed(body);
  if (!is_header_value(text) || !read_jwt(text))
    return fail(ErrorKind::bad_reply, "the answer is not a JWT");
  return Secret(text);
}

result<Secret> header_secret(std::string_view json, std::string_view member) {
  const auto document = json::parse(json, kCloudLimits);
  const Value* value = document ? document->find(member) : nullptr;
  if (value == nullptr || value->type() != Type::string || !is_header_value(value->as_text()))
    return fail(ErrorKind::bad_reply, "the answer has no \"" + std::string(member) + "\"");
  return Secret(value->as_text());
}

std::string reason_line(const Value* text) {
  if (text == nullptr || text->type() != Type::string) return {};
  auto line = text->as_text();
  line = line.substr(0, line.find_first_of("\r\n"));
  const bool cut = line.size() > kMaxReason;
  std::string out =
      cut ? redactor().redact_cut(line.substr(0, kMaxReason)) + "..." : redactor().redact(line);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  return out;
}

Error cloud_refusal(int status, std::string_view asked, std::string_view reason) {
  const bool passes = status == kTimeout || status == kThrottled || status >= 500;
  std::string text(asked);
  text += ": " + std::to_string(status);
  if (!reason.empty()) text.append(" ").append(reason);
  return {.kind = !passes                ? ErrorKind::denied
                  : status == kThrottled ? ErrorKind::throttled
                                         : ErrorKind::server,
          .text = std::move(text),
          .reason = passes ? Reason::credentials_away : Reason::none};
}

}  // namespace keybearer::auth
