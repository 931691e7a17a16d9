// SPDX-License-Identifier: Apache-2.0
#include "amqp/usual_performatives.h"

#include <cstdint>
#include <optional>

#include "amqp/usual_fields.h"

namespace jobmill::amqp {
namespace {

constexpr std::uint8_t kTransfer = 0x14;
constexpr std::uint8_t kDisposition = 0x15;

}  // namespace

bool decode_usual(std::string_view body, Transfer& transfer) {
  UsualFields fields(body, kTransfer);
  fields.mandatory_uint(transfer.handle);
  fields.uint(transfer.delivery_id);
  fields.binary(transfer.delivery_tag);
  fields.uint(transfer.message_format);
  fields.flag(transfer.settled);
  fields.flag(transfer.more);
  fields.null();  // rcv-settle-mode
  fields.state(transfer.state);
  fields.flag(transfer.resume);
  fields.flag(transfer.aborted);
  fields.flag(transfer.batchable);
  transfer.payload = fields.after();
  return fields.done();
}

bool decode_usual(std::string_view body, Disposition& disposition) {
  UsualFields fields(body, kDisposition);
  std::optional<bool> receiver;
  fields.flag(receiver);
  disposition.role = receiver.value_or(false) ? Role::Receiver : Role::Sender;
  fields.mandatory_uint(disposition.first);
  fields.uint(disposition.last);
  fields.flag(disposition.settled);
  fields.state(disposition.state);
  fields.flag(disposition.batchable);
  return receiver && fields.done() && fields.after().empty();
}

}  // namespace jobmill::amqp
