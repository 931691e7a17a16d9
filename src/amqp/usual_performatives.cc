// SPDX-License-Identifier: Apache-2.0
#include "amqp/usual_performatives.h"

#include <cstdint>
#include <optional>

namespace jobmill::amqp {
namespace {

// Part 1, section 1.6: the constructors that are understood here.
enum Format : std::uint8_t {
  kDescribed = 0x00,
  kNull = 0x40,
  kTrue = 0x41,
  kFalse = 0x42,
  kUint0 = 0x43,
  kList0 = 0x45,
  kSmallUint = 0x52,
  kSmallUlong = 0x53,
  kUint = 0x70,
  kBinary8 = 0xa0,
  kBinary32 = 0xb0,
  kList8 = 0xc0,
  kList32 = 0xd0,
};

constexpr std::uint8_t kTransfer = 0x14;
constexpr std::uint8_t kDisposition = 0x15;
constexpr std::uint8_t kAccepted = 0x24;

// The fields of a described list, one call for each in their order. What is null or missing leaves
// the field alone. After the first surprise all that is read is null, and done() is false.
class Fields {
 public:
  Fields(std::string_view body, std::uint8_t descriptor) : in_(body) {
    if (!enter(descriptor)) surprise();
  }

  void uint(std::optional<std::uint32_t>& field) {
    switch (next()) {
      case kNull:
        return;
      case kUint0:
        field = 0;
        return;
      case kSmallUint:
        field = byte();
        return;
      case kUint:
        field = number(4);
        return;
      default:
        surprise();
    }
  }
  void uint(std::uint32_t& mandatory) {
    std::optional<std::uint32_t> field;
    uint(field);
    field ? void(mandatory = *field) : surprise();
  }

  template <class Flag>  // bool or optional<bool>
  void flag(Flag& field) {
    const std::uint8_t format = next();
    if (format == kTrue || format == kFalse)
      field = format == kTrue;
    else if (format != kNull)
      surprise();
  }

  void binary(std::optional<std::string_view>& field) {
    const std::uint8_t format = next();
    if (format == kNull) return;
    if (format != kBinary8 && format != kBinary32) return surprise();
    const std::uint32_t size = number(format == kBinary8 ? 1 : 4);
    if (size > in_.size()) return surprise();
    field = in_.substr(0, size);
    in_.remove_prefix(size);
  }

  void state(std::optional<DeliveryState>& field) {
    const std::uint8_t format = next();
    if (format == kNull) return;
    if (format != kDescribed || byte() != kSmallUlong || byte() != kAccepted) return surprise();
    const std::uint8_t list = byte();
    if (list == kList8) {  // of no items
      if (byte() != 1 || byte() != 0) return surprise();
    } else if (list != kList0) {
      return surprise();
    }
    field.emplace(Accepted{});
  }

  void null() {
    if (next() != kNull) surprise();
  }

  bool done() const { return !surprised_ && left_ == 0 && in_.empty(); }
  std::string_view after() const { return after_; }

 private:
  bool enter(std::uint8_t descriptor) {
    if (byte() != kDescribed || byte() != kSmallUlong || byte() != descriptor) return false;
    const std::uint8_t format = byte();
    if (format != kList8 && format != kList32) return false;
    const std::size_t width = format == kList8 ? 1 : 4;
    const std::uint32_t size = number(width);
    if (size < width || size > in_.size()) return false;
    after_ = in_.substr(size);
    in_ = in_.substr(0, size);
    left_ = number(width);
    return true;
  }

  std::uint8_t next() {
    if (left_ == 0) return kNull;
    --left_;
    return byte();
  }

  std::uint8_t byte() {
    if (in_.empty()) {
      surprise();
      return kNull;
    }
    const auto byte = static_cast<std::uint8_t>(in_.front());
    in_.remove_prefix(1);
    return byte;
  }

  std::uint32_t number(std::size_t width) {
    std::uint32_t number = 0;
    for (; width > 0; --width) number = number << 8 | byte();
    return number;
  }

  void surprise() {
    surprised_ = true;
    left_ = 0;
    in_ = {};
  }

  std::string_view in_;
  std::string_view after_{};
  std::uint32_t left_ = 0;
  bool surprised_ = false;
};

}  // namespace

bool decode_usual(std::string_view body, Transfer& transfer) {
  Fields fields(body, kTransfer);
  fields.uint(transfer.handle);
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
  Fields fields(body, kDisposition);
  std::optional<bool> receiver;
  fields.flag(receiver);
  disposition.role = receiver.value_or(false) ? Role::Receiver : Role::Sender;
  fields.uint(disposition.first);
  fields.uint(disposition.last);
  fields.flag(disposition.settled);
  fields.state(disposition.state);
  fields.flag(disposition.batchable);
  return receiver && fields.done() && fields.after().empty();
}

}  // namespace jobmill::amqp
