#include "base/log.hpp"
#include "render/renderer.hpp"

namespace keybearer::render {

void log_notes(const std::vector<Note>& notes) {
  for (const Note& note : notes) {
    switch (note.kind) {
      case Note::Kind::default_used:
        log::warn("value.default_used", "not there: its default is used", {{"value", note.target}});
        break;
      case Note::Kind::left_out:
        log::warn("value.left_out", "not there, and not required: left out",
                  {{"value", note.target}});
        break;
      case Note::Kind::null_left_out:
        log::info("value.null_left_out", "null: left out",
                  {{"target", note.target}, {"keys", note.keys}});
        break;
      case Note::Kind::variable_replaced:
        log::warn("env.replaced", "a variable of the environment is replaced by a secret's key",
                  {{"variable", note.keys}, {"secret", note.target}});
        break;
    }
  }
}

}  // namespace keybearer::render
