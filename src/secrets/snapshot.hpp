#pragma once
// The secrets as they are at one moment, for an evaluation of templates: what it finds does not
// change while it runs. Cheap to take and to copy; may be used in another thread, one at a time,
// while the store goes on.
//
// Values count their parts without locks (json/value.hpp): whoever evaluates in another thread has
// the values to himself until he is done. The store only reads what it has published, and never
// copies out of it.

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "tmpl/template.hpp"

namespace keybearer::secrets {

class Snapshot final : public tmpl::DataSource {
 public:
  struct Item {
    std::shared_ptr<const Value> value;  // nullptr: none
    std::uint64_t generation = 0;        // of the value; 0: none
    Absence absence = Absence::pending;  // why there is none
  };
  using Items = std::unordered_map<std::string, Item>;  // by the dependency's id

  Snapshot() : items_(std::make_shared<const Items>()) {}
  explicit Snapshot(std::shared_ptr<const Items> items) : items_(std::move(items)) {}

  [[nodiscard]] const Value* find(const tmpl::Dependency& dependency) override {
    return item(dependency).value.get();
  }
  [[nodiscard]] std::uint64_t generation(const tmpl::Dependency& dependency) const override {
    return item(dependency).generation;
  }
  [[nodiscard]] Absence absence(const tmpl::Dependency& dependency) const override {
    return item(dependency).absence;
  }
  [[nodiscard]] const Items& items() const { return *items_; }

 private:
  [[nodiscard]] const Item& item(const tmpl::Dependency& dependency) const {
    static const Item kNone;
    const auto at = items_->find(dependency.id);
    return at == items_->end() ? kNone : at->second;
  }

  std::shared_ptr<const Items> items_;
};

}  // namespace keybearer::secrets
