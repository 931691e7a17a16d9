// SPDX-License-Identifier: Apache-2.0
#include "broker/credit.h"

namespace jobmill::broker {

// Behind those of the same instant.
void CreditOrder::insert(OpenReceiver& receiver) {
  OpenReceiver* before = nullptr;
  OpenReceiver* after = first_;
  while (after != nullptr && after->granted_at >= receiver.granted_at) {
    before = after;
    after = after->after;
  }
  receiver.before = before;
  receiver.after = after;
  (before == nullptr ? first_ : before->after) = &receiver;
  if (after != nullptr) after->before = &receiver;
  receiver.listed = true;
}

void CreditOrder::unlink(OpenReceiver& receiver) {
  (receiver.before == nullptr ? first_ : receiver.before->after) = receiver.after;
  if (receiver.after != nullptr) receiver.after->before = receiver.before;
  receiver.before = receiver.after = nullptr;
  receiver.listed = false;
}

void CreditOrder::grant(OpenReceiver& receiver, std::uint32_t credit, TimePoint now) {
  remove(receiver);
  receiver.granted_at = now;
  receiver.credit = credit;
  total_ += credit;
  if (credit > 0) insert(receiver);
}

void CreditOrder::take(OpenReceiver& receiver) {
  --receiver.credit;
  --total_;
  if (receiver.credit == 0) return unlink(receiver);
  const OpenReceiver* next = receiver.after;
  if (next == nullptr || next->granted_at != receiver.granted_at) return;
  unlink(receiver);
  insert(receiver);
}

void CreditOrder::give_back(OpenReceiver& receiver) {
  ++receiver.credit;
  ++total_;
  if (!receiver.listed) insert(receiver);
}

void CreditOrder::remove(OpenReceiver& receiver) {
  if (!receiver.listed) return;
  total_ -= receiver.credit;
  receiver.credit = 0;
  unlink(receiver);
}

}  // namespace jobmill::broker
