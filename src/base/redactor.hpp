#pragma once
// The one place that knows what must not be seen, and takes it out of texts (rules: section 6 "One
// redactor", R5).
//
// It knows every value in force and our own credentials. A value is found as it is, within JSON or
// Go quotes (whatever was escaped, and how), percent-encoded, and in base64 of any alphabet and
// offset, over several lines, too; one of several lines also line by line, a long one also by a
// part of 32 bytes from its beginning (or from a line's). What stands for it is kMasked.
//
// Two kinds of text: *foreign* (what a server or a program said) is cleaned where it enters, of
// everything; *ours* (messages, paths, the user's own words around foreign parts) is cleaned before
// it is logged, but for words that stand in the configuration: they are no secret of its author.
//
// The cost is linear in the text, whatever the number of values: a position costs a look at a table
// of first bytes, and where that hits a search that grows with the logarithm of their number, in at
// most some hundred bytes. Thread-safe. Copies of the values are its own.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace keybearer {

class Redactor {
 public:
  static constexpr std::string_view kMasked = "[masked]";
  // Shorter values stay: true, null, 5432, prod, a year. Who looks for one of four characters needs
  // no log to guess it, and a log with holes in every word helps nobody. Five is a PIN.
  static constexpr std::size_t kShortest = 5;

  Redactor();
  ~Redactor();
  Redactor(const Redactor&) = delete;
  Redactor& operator=(const Redactor&) = delete;

  // What `source` (a secret's id) has in force from now on. What it had before is known until the
  // next call: programs may still use it. Nothing: both are forgotten.
  void set(std::string_view source, std::span<const std::string_view> values);
  // It is let go: programs may still use what it had, so that stays known until a hundred more are.
  void retire(std::string_view source);
  // A token, secret_id, password or header of ours: never one of the configuration's own words. The
  // latest thousand are remembered.
  void add_credential(std::string_view value);
  // Does this stand in the configuration or in a template? Called rarely, from any thread, and must
  // not call the redactor; null: nothing does.
  void set_own_words(std::function<bool(std::string_view)> is_own);

  // Without any value. `shown`: words that stay all the same, as the arguments of a write that a
  // server repeats; never a credential.
  [[nodiscard]] std::string redact(std::string_view foreign,
                                   std::span<const std::string_view> shown = {}) const;
  // The same for the first part of a text that was cut off: a value whose end is missing is not
  // found, so the last word goes, and what may begin a value.
  [[nodiscard]] std::string redact_cut(std::string_view foreign) const;
  // The configuration's own words stay.
  [[nodiscard]] std::string redact_ours(std::string_view text) const;
  [[nodiscard]] bool is_own_word(std::string_view word) const;
  // How many values have been taken out so far.
  [[nodiscard]] std::uint64_t redactions() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The process's: fed by secrets/ and auth/, used by the log and by all who quote others.
[[nodiscard]] Redactor& redactor();

}  // namespace keybearer
