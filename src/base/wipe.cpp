// All memory is wiped when it is freed: parsers, TLS and HTTP buffers and std::string hold copies
// of secrets that the Secret type can't reach. Costs a memset per free; not under sanitizers, which
// check new against delete themselves.

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <new>

#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)

namespace {

void wipe_and_free(void* p) noexcept {
  if (p == nullptr) return;
  explicit_bzero(p, malloc_usable_size(p));
  free(p);
}

}  // namespace

void operator delete(void* p) noexcept {
  wipe_and_free(p);
}
void operator delete[](void* p) noexcept {
  wipe_and_free(p);
}
void operator delete(void* p, std::size_t) noexcept {
  wipe_and_free(p);
}
void operator delete[](void* p, std::size_t) noexcept {
  wipe_and_free(p);
}

#endif
