#pragma once
// How OpenSSL is set up, before its first use: no configuration file, engine or provider of the
// host is loaded (it may not fit a static program), and its memory is wiped when it is freed.
// A constructor does it before main(); whoever links OpenSSL's users names this file.

namespace keybearer {

// Does nothing but make sure that the constructor is linked in. False: the memory of OpenSSL is not
// wiped, because somebody was there before.
[[nodiscard]] bool openssl_is_set_up() noexcept;

}  // namespace keybearer
