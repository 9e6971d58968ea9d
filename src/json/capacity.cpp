#include "json/capacity.hpp"

#include <algorithm>
#include <iterator>

namespace keybearer {
namespace {

constexpr std::size_t kClasses[] = {
    8,     16,    24,    32,    48,    64,    80,    96,    112,   128,   144,   160,  176,   192,
    208,   224,   240,   256,   288,   320,   352,   384,   416,   448,   480,   512,  576,   640,
    704,   768,   896,   1024,  1152,  1280,  1408,  1536,  1792,  2048,  2304,  2688, 3072,  3200,
    3456,  4096,  4864,  5120,  5376,  6144,  6528,  6784,  6912,  8192,  9472,  9728, 10240, 10880,
    12288, 13568, 14336, 16384, 18432, 19072, 20480, 21760, 24576, 27264, 28672, 32768};
constexpr std::size_t kPage = 8192, kHeader = 8, kLeastWithHeader = 512;

std::size_t allocated(std::size_t bytes, bool pointers) {
  const bool small = bytes <= kClasses[std::size(kClasses) - 1] - kHeader;
  if (!small) return (bytes + kPage - 1) / kPage * kPage;
  const std::size_t header = pointers && bytes > kLeastWithHeader ? kHeader : 0;
  return *std::ranges::lower_bound(kClasses, bytes + header) - header;
}

}  // namespace

std::size_t go_grown(std::size_t have, std::size_t need, GoElement element) {
  constexpr std::size_t kDoubledBelow = 256;
  std::size_t room = have * 2;
  if (need > room) {
    room = need;
  } else if (have >= kDoubledBelow) {
    for (room = have; room < need;) room += (room + 3 * kDoubledBelow) / 4;
  }
  return allocated(room * element.bytes, element.pointers) / element.bytes;
}

std::size_t go_appended(std::size_t count, std::size_t have, GoElement element) {
  while (have < count) have = go_grown(have, have + 1, element);
  return have;
}

}  // namespace keybearer
