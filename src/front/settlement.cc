// SPDX-License-Identifier: Apache-2.0
#include "front/settlement.h"

#include <string>
#include <utility>
#include <variant>

namespace jobmill::front {
namespace {

using broker::Settlement;
using Action = broker::Settlement::Action;

constexpr std::string_view kDeadLetter = "com.microsoft:dead-letter";
constexpr std::string_view kReason = "DeadLetterReason";
constexpr std::string_view kDescription = "DeadLetterErrorDescription";

// Service Bus clients tell why in the map and what else to set beside it; others have only the
// error itself.
Settlement dead_letter(const amqp::Rejected& rejected) {
  Settlement settlement{.action = Action::DeadLetter};
  if (!rejected.error) return settlement;
  const amqp::Error& error = *rejected.error;
  if (error.condition != kDeadLetter) {
    settlement.reason = error.condition;
    settlement.description = error.description;
  }
  for (const amqp::MapEntry& entry : with_text_keys(error.info)) {
    const auto key = entry.key.text();
    if (key == kReason)
      settlement.reason = entry.value.text().value_or("");
    else if (key == kDescription)
      settlement.description = entry.value.text().value_or("");
    else
      settlement.properties.push_back(entry);
  }
  return settlement;
}

// Whether it counts as failed, clients say differently for the same call; it always does.
Settlement modified(const amqp::Modified& state) {
  return {.action = state.undeliverable_here ? Action::Defer : Action::Abandon,
          .properties = with_text_keys(state.annotations)};
}

struct Translate {
  using Answer = Result<Settlement>;
  Answer operator()(const amqp::Accepted&) const { return Settlement{}; }
  Answer operator()(const amqp::Released&) const { return Settlement{.action = Action::Release}; }
  Answer operator()(const amqp::Rejected& state) const { return dead_letter(state); }
  Answer operator()(const amqp::Modified& state) const { return modified(state); }
  Answer operator()(const amqp::TransactionalState&) const {
    return fail(Code::Unsupported, "Transactions are not supported.");
  }
  Answer operator()(const amqp::Received&) const { return no_outcome(); }
  Answer operator()(const amqp::Declared&) const { return no_outcome(); }
  static Fault no_outcome() {
    return fail(Code::InvalidArgument, "This delivery state is no outcome.");
  }
};

}  // namespace

amqp::Map with_text_keys(const amqp::Map& map) {
  amqp::Map out;
  out.reserve(map.size());
  for (const amqp::MapEntry& entry : map)
    if (const auto key = entry.key.text()) out.push_back({amqp::Value(*key), entry.value});
  return out;
}

Result<broker::Settlement> to_settlement(const amqp::DeliveryState& state) {
  return std::visit(Translate{}, state);
}

}  // namespace jobmill::front
