#include "agent/lifecycle_fsm.hpp"

#include "base/exit_code.hpp"

namespace keybearer {
namespace {

using State = LifecycleFsm::State;
using Event = LifecycleFsm::Event;
using Action = LifecycleFsm::Action;

// What becomes of the exit code.
enum class Code : std::uint8_t {
  keep,
  not_ready,  // 75: stopped before it was ready
  ok,         // 0
  given,      // the event's
  child,      // the child's, unless there is a reason of our own
};

struct Cell {
  State next;
  Action action = Action::none;
  Code code = Code::keep;
};

constexpr auto starting = State::starting, ready = State::ready, supervising = State::supervising,
               stopping = State::stopping, cleaning = State::cleaning, done = State::done;
constexpr auto stop_child = Action::stop_child, hurry_child = Action::hurry_child,
               clean_up = Action::clean_up, hurry_clean_up = Action::hurry_clean_up;

// clang-format off
constexpr Cell kTable[LifecycleFsm::kStates][LifecycleFsm::kEvents] = {
/*               ready          child_offered   stop                                      ended                               child_ended                         cleaned */
/* starting    */{{ready},       {supervising},  {cleaning, clean_up, Code::not_ready},   {cleaning, clean_up, Code::given},  {cleaning, clean_up, Code::given},  {starting}},
/* ready       */{{ready},       {supervising},  {cleaning, clean_up, Code::ok},          {cleaning, clean_up, Code::given},  {cleaning, clean_up, Code::given},  {ready}},
/* supervising */{{supervising}, {supervising},  {stopping, stop_child, Code::ok},        {stopping, stop_child, Code::given},{cleaning, clean_up, Code::given},  {supervising}},
/* stopping    */{{stopping},    {stopping},     {stopping, hurry_child},                 {stopping},                         {cleaning, clean_up, Code::child},  {stopping}},
/* cleaning    */{{cleaning},    {cleaning},     {cleaning, hurry_clean_up},              {cleaning},                         {cleaning},                         {done, Action::exit}},
/* done        */{{done},        {done},         {done},                                  {done},                             {done},                             {done}},
};
// clang-format on

}  // namespace

LifecycleFsm::Action LifecycleFsm::on(Event event, int code) {
  const Cell& cell = kTable[static_cast<int>(state_)][static_cast<int>(event)];
  switch (cell.code) {
    case Code::keep:
      break;
    case Code::not_ready:
      code_ = kNotReady;
      break;
    case Code::ok:
      code_ = 0;
      break;
    case Code::given:
      code_ = code;
      break;
    case Code::child:
      if (code_.value_or(0) == 0) code_ = code;
      break;
  }
  was_ready_ = was_ready_ || (event == Event::ready && state_ == State::starting) ||
               (event == Event::child_offered && !ending());
  state_ = cell.next;
  return cell.action;
}

}  // namespace keybearer
