#include "agent/exit_codes.hpp"

namespace keybearer {

int exit_code(const Error& error) {
  switch (error.kind) {
    case ErrorKind::denied:
      return kDenied;
    case ErrorKind::not_found:
    case ErrorKind::refused:
      return kNotReady;
    case ErrorKind::render:
      return kTemplate;
    case ErrorKind::io:
      return kCantWrite;
    case ErrorKind::config:
      return kConfig;
    case ErrorKind::spawn:
      return error.status != 0 ? error.status : kNotExecutable;
    default:
      return is_outage(error.kind) ? kUnavailable : kBug;
  }
}

}  // namespace keybearer
