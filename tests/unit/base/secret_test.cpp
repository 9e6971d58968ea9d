#include "base/secret.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <ostream>
#include <string>
#include <type_traits>

namespace keybearer {
namespace {

template <class T>
concept Streamable = requires(std::ostream& out, const T& value) { out << value; };

static_assert(!Streamable<Secret>, "a secret can't be printed");
static_assert(!fmt::is_formattable<Secret>::value, "a secret can't be formatted");
static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);
static_assert(!std::is_convertible_v<Secret, std::string> &&
              !std::is_convertible_v<Secret, std::string_view>);

TEST_CASE("a secret grows, moves and is equal to its clone") {
  Secret secret("hunter2");
  secret.append(std::string(1000, 'x'));
  secret.push_back('!');
  CHECK(secret.size() == 1008);
  CHECK(secret == secret.clone());

  const Secret moved = std::move(secret);
  CHECK(secret.empty());  // NOLINT(bugprone-use-after-move): the state after a move is promised
  CHECK(moved.reveal().substr(0, 8) == "hunter2x");
  CHECK_FALSE(moved == Secret("hunter2"));
}

TEST_CASE("bytes are kept as they are") {
  const std::string bytes("a\0b\xff", 4);
  CHECK(Secret(bytes).reveal() == bytes);
}

}  // namespace
}  // namespace keybearer
