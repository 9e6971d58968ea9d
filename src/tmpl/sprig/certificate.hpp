#pragma once
// sprig's keys and certificates: genPrivateKey, genCA and their like, with OpenSSL. A form
// ...WithKey has one argument more: the key as PEM text; without it a new RSA key of 2048 bits is
// made, which takes a tenth of a second or more.
//
// Source: sprig's crypto.go, Go's x509.CreateCertificate.

#include "tmpl/funcs/funcs.hpp"

namespace keybearer::tmpl::sprig {

// Give a sprig.certificate: its fields Cert and Key are PEM text.
[[nodiscard]] Value build_custom_cert(Evaluation&, Arguments a);     // certificate, key: base64
[[nodiscard]] Value gen_ca(Evaluation&, Arguments a);                // name, days [, key]
[[nodiscard]] Value gen_self_signed_cert(Evaluation&, Arguments a);  // name, IPs, DNS names, days
[[nodiscard]] Value gen_signed_cert(Evaluation&, Arguments a);       // ... and the signer
// PEM text; the kind is rsa (4096 bits), dsa, ecdsa (P-256) or ed25519.
[[nodiscard]] Value gen_private_key(Evaluation&, Arguments a);

}  // namespace keybearer::tmpl::sprig
