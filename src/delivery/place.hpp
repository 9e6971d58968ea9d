#pragma once
// One file and its place: finding it behind links, judging it, writing beside it, putting it there.
// Internal to delivery/; used by one thread at a time, logs nothing.

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/directory.hpp"
#include "delivery/target.hpp"

namespace keybearer::delivery {

// Directories of one change set by path and recipient: each is walked to once.
using Directories = std::map<std::string, std::shared_ptr<const Directory>>;

using Place = FilePlace;  // what stands there is a regular file

// The user and group of the configuration, and the mode that the file gets.
struct Attributes {
  Owner configured;
  Owner kept;  // the existing file's, where nothing is configured
  mode_t mode = 0600;
};

// "DESTINATION: WHY", kind io; with the errno's text and what helps against it.
[[nodiscard]] std::unexpected<Error> refuse(const std::string& destination, const std::string& why);
[[nodiscard]] std::unexpected<Error> refuse_errno(const std::string& destination, const char* what,
                                                  int error);

[[nodiscard]] result<Owner> owner_of(const FileTarget& target);
// nullopt: its directory is not there (and is not to be made).
[[nodiscard]] result<std::optional<Place>> locate(const FileTarget& target, const Owner& recipient,
                                                  Directories& directories, Missing missing);
[[nodiscard]] Attributes attributes_of(const FileTarget& target, const Owner& configured,
                                       const Place& place);

// A file that is written and waits for its rename; without it, it goes.
struct Prepared {
  std::size_t index;  // of its result
  Place place;
  const FileTarget* target;
  std::string temporary;
  UniqueFd fd;  // locked until it is in its place, so that another instance's sweep lets it be
  mode_t mode = 0600;

  Prepared(std::size_t i, Place where, const FileTarget* of)
      : index(i), place(std::move(where)), target(of) {}
  Prepared(Prepared&& other) noexcept;
  Prepared& operator=(Prepared&&) = delete;
  ~Prepared();
};

enum class OnDisk { same, same_but_pending, other };
[[nodiscard]] OnDisk compare(const Place& place, const FileTarget& target, std::string_view content,
                             const Attributes& attributes);
[[nodiscard]] result<> write_in_place(const Place& place, const FileTarget& target,
                                      std::string_view content, const Attributes& attributes);
[[nodiscard]] result<> write_temporary(Prepared& prepared, std::string_view content,
                                       const Attributes& attributes);
// `note`: what is to be logged, if anything is.
[[nodiscard]] result<> put_in_place(Prepared& prepared, std::string& note);

inline constexpr std::string_view kBackup = ".bak";
inline constexpr std::string_view kLeftover = ".keybearer-";  // .NAME.keybearer-XXXXXXXXXXXX
[[nodiscard]] bool is_leftover(std::string_view name);

}  // namespace keybearer::delivery
