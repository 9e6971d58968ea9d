#include "json/sort.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <string>

namespace keybearer {
namespace {

std::vector<std::uint32_t> expected(const std::vector<std::string>& texts) {
  std::vector<std::uint32_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
    return texts[a] != texts[b] ? texts[a] < texts[b] : a < b;
  });
  return order;
}

TEST_CASE("many texts come in order, equal ones as they were") {
  std::mt19937 random(1);
  const auto text = [&](std::size_t most, std::string_view alphabet, std::size_t shared) {
    std::string out(shared, 'p');
    for (std::size_t size = random() % (most + 1); size > 0; --size)
      out += alphabet[random() % alphabet.size()];
    return out;
  };
  using namespace std::string_view_literals;
  for (const std::string_view alphabet : {"ab"sv, "\0a"sv, "\0"sv, "xyz\xFF\x7F\x80"sv}) {
    for (const std::size_t most : {0, 3, 9, 20, 40}) {
      for (const std::size_t shared : {0, 5, 8, 31}) {
        for (const std::size_t count : {0, 1, 2, 100, 127, 128, 1500}) {
          std::vector<std::string> texts;
          for (std::size_t i = 0; i < count; ++i) texts.push_back(text(most, alphabet, shared));
          CHECK(sorted_order(count, [&](std::size_t i) { return std::string_view(texts[i]); }) ==
                expected(texts));
        }
      }
    }
  }
}

}  // namespace
}  // namespace keybearer
