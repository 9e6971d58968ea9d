#include "crypto/library.hpp"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

namespace keybearer {
namespace {

bool wipes = false;

void* get(std::size_t size, const char*, int) {
  return size == 0 ? nullptr : malloc(size);
}
void release(void* memory, const char*, int) {
  if (memory == nullptr) return;
  explicit_bzero(memory, malloc_usable_size(memory));
  free(memory);
}
void* resize(void* memory, std::size_t size, const char* file, int line) {
  if (memory == nullptr) return get(size, file, line);
  if (size == 0) {
    release(memory, file, line);
    return nullptr;
  }
  const std::size_t old = malloc_usable_size(memory);
  if (size <= old && size > old / 2) return memory;
  void* const other = malloc(size);
  if (other == nullptr) return nullptr;
  memcpy(other, memory, old < size ? old : size);
  release(memory, file, line);
  return other;
}

// OpenSSL takes allocators only before its first allocation.
[[gnu::constructor(200)]] void set_up() {
  wipes = CRYPTO_set_mem_functions(get, resize, release) == 1;
  OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
}

}  // namespace

bool openssl_is_set_up() noexcept {
  return wipes;
}

}  // namespace keybearer
