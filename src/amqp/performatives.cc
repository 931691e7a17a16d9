// SPDX-License-Identifier: Apache-2.0
#include "amqp/performatives.h"

#include <array>
#include <span>
#include <type_traits>

#include "amqp/codec.h"
#include "amqp/composite.h"
#include "amqp/short_list.h"
#include "base/hex.h"
#include "base/random.h"

namespace jobmill::amqp {

// --- fields of each type, in the order of the standard -----------------------------------------

template <>
struct Composite<Error> {
  static constexpr std::uint64_t kDescriptor = 0x1d;
  static constexpr const char* kName = "error";
  static auto fields(auto& error, auto&& each) {
    return each(required(symbol(error.condition)), error.description, error.info);
  }
};

template <>
struct Composite<Received> {
  static constexpr std::uint64_t kDescriptor = 0x23;
  static constexpr const char* kName = "received";
  static auto fields(auto& state, auto&& each) {
    return each(required(state.section_number), required(state.section_offset));
  }
};

template <>
struct Composite<Accepted> {
  static constexpr std::uint64_t kDescriptor = 0x24;
  static constexpr const char* kName = "accepted";
  static auto fields(auto&, auto&& each) { return each(); }
};

template <>
struct Composite<Rejected> {
  static constexpr std::uint64_t kDescriptor = 0x25;
  static constexpr const char* kName = "rejected";
  static auto fields(auto& state, auto&& each) { return each(state.error); }
};

template <>
struct Composite<Released> {
  static constexpr std::uint64_t kDescriptor = 0x26;
  static constexpr const char* kName = "released";
  static auto fields(auto&, auto&& each) { return each(); }
};

template <>
struct Composite<Modified> {
  static constexpr std::uint64_t kDescriptor = 0x27;
  static constexpr const char* kName = "modified";
  static auto fields(auto& state, auto&& each) {
    return each(state.delivery_failed, state.undeliverable_here, state.annotations);
  }
};

template <>
struct Composite<Declared> {
  static constexpr std::uint64_t kDescriptor = 0x33;
  static constexpr const char* kName = "declared";
  static auto fields(auto& state, auto&& each) { return each(required(binary(state.txn_id))); }
};

template <>
struct Composite<TransactionalState> {
  static constexpr std::uint64_t kDescriptor = 0x34;
  static constexpr const char* kName = "transactional-state";
  static auto fields(auto& state, auto&& each) {
    return each(required(binary(state.txn_id)), state.outcome);
  }
};

template <>
struct Composite<Source> {
  static constexpr std::uint64_t kDescriptor = 0x28;
  static constexpr const char* kName = "source";
  static auto fields(auto& source, auto&& each) {
    return each(source.address, source.durable, source.expiry_policy, source.timeout,
                source.dynamic, source.dynamic_node_properties, source.distribution_mode,
                source.filter, source.default_outcome, source.outcomes, source.capabilities);
  }
};

template <>
struct Composite<Target> {
  static constexpr std::uint64_t kDescriptor = 0x29;
  static constexpr const char* kName = "target";
  static auto fields(auto& target, auto&& each) {
    return each(target.address, target.durable, target.expiry_policy, target.timeout,
                target.dynamic, target.dynamic_node_properties, target.capabilities);
  }
};

template <>
struct Composite<Coordinator> {
  static constexpr std::uint64_t kDescriptor = 0x30;
  static constexpr const char* kName = "coordinator";
  static auto fields(auto& coordinator, auto&& each) { return each(coordinator.capabilities); }
};

template <>
struct Composite<Open> {
  static constexpr std::uint64_t kDescriptor = 0x10;
  static constexpr const char* kName = "open";
  static auto fields(auto& open, auto&& each) {
    return each(required(open.container_id), open.hostname, open.max_frame_size, open.channel_max,
                open.idle_time_out, open.outgoing_locales, open.incoming_locales,
                open.offered_capabilities, open.desired_capabilities, open.properties);
  }
};

template <>
struct Composite<Begin> {
  static constexpr std::uint64_t kDescriptor = 0x11;
  static constexpr const char* kName = "begin";
  static auto fields(auto& begin, auto&& each) {
    return each(begin.remote_channel, required(begin.next_outgoing_id),
                required(begin.incoming_window), required(begin.outgoing_window), begin.handle_max,
                begin.offered_capabilities, begin.desired_capabilities, begin.properties);
  }
};

template <>
struct Composite<Attach> {
  static constexpr std::uint64_t kDescriptor = 0x12;
  static constexpr const char* kName = "attach";
  static auto fields(auto& attach, auto&& each) {
    return each(required(attach.name), required(attach.handle), required(attach.role),
                attach.sender_settle_mode, attach.receiver_settle_mode, attach.source,
                attach.target, attach.unsettled, attach.incomplete_unsettled,
                attach.initial_delivery_count, attach.max_message_size, attach.offered_capabilities,
                attach.desired_capabilities, attach.properties);
  }
};

template <>
struct Composite<Flow> {
  static constexpr std::uint64_t kDescriptor = 0x13;
  static constexpr const char* kName = "flow";
  static auto fields(auto& flow, auto&& each) {
    return each(flow.next_incoming_id, required(flow.incoming_window),
                required(flow.next_outgoing_id), required(flow.outgoing_window), flow.handle,
                flow.delivery_count, flow.link_credit, flow.available, flow.drain, flow.echo,
                flow.properties);
  }
};

template <>
struct Composite<Transfer> {
  static constexpr std::uint64_t kDescriptor = 0x14;
  static constexpr const char* kName = "transfer";
  static auto fields(auto& transfer, auto&& each) {
    return each(required(transfer.handle), transfer.delivery_id, binary(transfer.delivery_tag),
                transfer.message_format, transfer.settled, transfer.more,
                transfer.receiver_settle_mode, transfer.state, transfer.resume, transfer.aborted,
                transfer.batchable);
  }
};

template <>
struct Composite<Disposition> {
  static constexpr std::uint64_t kDescriptor = 0x15;
  static constexpr const char* kName = "disposition";
  static auto fields(auto& disposition, auto&& each) {
    return each(required(disposition.role), required(disposition.first), disposition.last,
                disposition.settled, disposition.state, disposition.batchable);
  }
};

template <>
struct Composite<Detach> {
  static constexpr std::uint64_t kDescriptor = 0x16;
  static constexpr const char* kName = "detach";
  static auto fields(auto& detach, auto&& each) {
    return each(required(detach.handle), detach.closed, detach.error);
  }
};

template <>
struct Composite<End> {
  static constexpr std::uint64_t kDescriptor = 0x17;
  static constexpr const char* kName = "end";
  static auto fields(auto& end, auto&& each) { return each(end.error); }
};

template <>
struct Composite<Close> {
  static constexpr std::uint64_t kDescriptor = 0x18;
  static constexpr const char* kName = "close";
  static auto fields(auto& close, auto&& each) { return each(close.error); }
};

template <>
struct Composite<SaslMechanisms> {
  static constexpr std::uint64_t kDescriptor = 0x40;
  static constexpr const char* kName = "sasl-mechanisms";
  static auto fields(auto& body, auto&& each) { return each(required(body.mechanisms)); }
};

template <>
struct Composite<SaslInit> {
  static constexpr std::uint64_t kDescriptor = 0x41;
  static constexpr const char* kName = "sasl-init";
  static auto fields(auto& body, auto&& each) {
    return each(required(symbol(body.mechanism)), binary(body.initial_response), body.hostname);
  }
};

template <>
struct Composite<SaslChallenge> {
  static constexpr std::uint64_t kDescriptor = 0x42;
  static constexpr const char* kName = "sasl-challenge";
  static auto fields(auto& body, auto&& each) { return each(required(binary(body.challenge))); }
};

template <>
struct Composite<SaslResponse> {
  static constexpr std::uint64_t kDescriptor = 0x43;
  static constexpr const char* kName = "sasl-response";
  static auto fields(auto& body, auto&& each) { return each(required(binary(body.response))); }
};

template <>
struct Composite<SaslOutcome> {
  static constexpr std::uint64_t kDescriptor = 0x44;
  static constexpr const char* kName = "sasl-outcome";
  // The second field, data of the last challenge, is part of no mechanism of ours.
  static auto fields(auto& body, auto&& each) {
    std::optional<std::string> additional_data;
    return each(required(body.code), binary(additional_data));
  }
};

// --- fields of types of their own --------------------------------------------------------------

template <class T>
struct EnumField {
  static Status read(Reader& in, T& field, T last) {
    std::uint8_t number = 0;
    TRY_VOID(Field<std::uint8_t>::read(in, number));
    if (number > static_cast<std::uint8_t>(last))
      return fail(Code::InvalidArgument, "an AMQP field has a choice that does not exist");
    field = static_cast<T>(number);
    return {};
  }
  static void write(Writer& out, T field) { out.ubyte(static_cast<std::uint8_t>(field)); }
};

template <>
struct Field<SenderSettleMode> : EnumField<SenderSettleMode> {
  static Status read(Reader& in, SenderSettleMode& mode) {
    return EnumField::read(in, mode, SenderSettleMode::Mixed);
  }
};

template <>
struct Field<ReceiverSettleMode> : EnumField<ReceiverSettleMode> {
  static Status read(Reader& in, ReceiverSettleMode& mode) {
    return EnumField::read(in, mode, ReceiverSettleMode::Second);
  }
};

template <>
struct Field<SaslCode> : EnumField<SaslCode> {
  static Status read(Reader& in, SaslCode& code) {
    return EnumField::read(in, code, SaslCode::SysTemp);
  }
};

template <>
struct Field<Role> {
  static Status read(Reader& in, Role& role) {
    bool receiver = false;
    TRY_VOID(Field<bool>::read(in, receiver));
    role = receiver ? Role::Receiver : Role::Sender;
    return {};
  }
  static void write(Writer& out, Role role) { out.boolean(role == Role::Receiver); }
};

namespace {

std::string random_guid() {
  std::array<std::uint8_t, 16> bytes{};
  fill_random(std::as_writable_bytes(std::span(bytes)));
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0F) | 0x40);  // RFC 9562: version 4
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3F) | 0x80);
  return uuid_text(std::as_bytes(std::span(bytes)));
}

}  // namespace

template <>
struct Field<Error> {
  static Status read(Reader& in, Error& error) { return read_composite(in, error); }
  static void write(Writer& out, const Error& error) {
    if (!error.info.empty()) return write_composite(out, error);
    Error traceable = error;
    set_symbol(traceable.info, "com.microsoft:tracking-id", random_guid());
    write_composite(out, traceable);
  }
};

// The alternative of `Choice` whose descriptor is next.
template <class Choice, class... Ts>
Status read_choice(Reader& in, Choice& choice, std::type_identity<std::variant<Ts...>>) {
  TRY(const std::uint64_t code, in.descriptor());
  Status status;
  const bool known = ((code == Composite<Ts>::kDescriptor &&
                       (status = read_fields(in, choice.template emplace<Ts>()), true)) ||
                      ...);
  if (!known) return fail(Code::InvalidArgument, "an unknown AMQP composite");
  return status;
}

template <>
struct Field<DeliveryState> {
  static Status read(Reader& in, DeliveryState& state) {
    return read_choice(in, state, std::type_identity<DeliveryState>());
  }
  static void write(Writer& out, const DeliveryState& state) {
    std::visit([&out](const auto& one) { write_composite(out, one); }, state);
  }
};

using AttachTarget = decltype(Attach::target);

template <>
struct Field<AttachTarget> {
  static Status read(Reader& in, AttachTarget& target) {
    return read_choice(in, target, std::type_identity<std::variant<Target, Coordinator>>());
  }
  static void write(Writer& out, const AttachTarget& target) {
    if (const auto* node = std::get_if<Target>(&target)) return write_composite(out, *node);
    if (const auto* other = std::get_if<Coordinator>(&target)) return write_composite(out, *other);
    out.null();
  }
};

template <>
struct Field<std::vector<std::string>> {  // of symbols; a single one may come without an array
  static Status read(Reader& in, std::vector<std::string>& symbols) {
    TRY(const Value value, in.value());
    const auto* array = value.as<Array>();
    for (const Value& item : array ? array->items : List{value}) {
      const auto text = item.text();
      if (!text) return fail(Code::InvalidArgument, "an array of AMQP symbols is expected");
      symbols.emplace_back(*text);
    }
    return {};
  }
  static void write(Writer& out, const std::vector<std::string>& symbols) {
    constexpr std::uint8_t kSymbols = 0xb3;
    Array array{.items = {}, .constructor = kSymbols};
    for (const std::string& text : symbols) array.items.emplace_back(Symbol{text});
    out.value(std::move(array));
  }
};

// --- frame bodies ------------------------------------------------------------------------------

namespace {

Fault trailing_bytes() {
  return fail(Code::InvalidArgument, "bytes follow an AMQP performative that has no payload");
}

template <class Body>
void encode_body(std::string& out, const Body& body) {
  Writer writer(out);
  write_composite(writer, body);
}

}  // namespace

Result<Performative> decode_performative(std::string_view body) {
  Reader in(body);
  Performative performative;
  TRY_VOID(read_choice(in, performative, std::type_identity<Performative>()));
  if (auto* transfer = std::get_if<Transfer>(&performative))
    transfer->payload = in.rest();
  else if (!in.at_end())
    return trailing_bytes();
  return performative;
}

Result<SaslBody> decode_sasl(std::string_view body) {
  Reader in(body);
  SaslBody sasl;
  TRY_VOID(read_choice(in, sasl, std::type_identity<SaslBody>()));
  if (!in.at_end()) return trailing_bytes();
  return sasl;
}

void encode(std::string& out, const Open& open) { encode_body(out, open); }
void encode(std::string& out, const Begin& begin) { encode_body(out, begin); }
void encode(std::string& out, const Attach& attach) { encode_body(out, attach); }
void encode(std::string& out, const Flow& flow) { encode_body(out, flow); }
// One for each message, and nearly all without a state.
void encode(std::string& out, const Transfer& transfer) {
  if (transfer.state || transfer.delivery_tag.value_or("").size() > ShortList::kMaxBinary)
    return encode_body(out, transfer);
  ShortList list(Composite<Transfer>::kDescriptor, 11);
  list.uint(transfer.handle);
  list.uint(transfer.delivery_id);
  list.binary(transfer.delivery_tag);
  list.uint(transfer.message_format);
  list.boolean(transfer.settled);
  list.boolean(transfer.more);
  if (transfer.receiver_settle_mode)
    list.ubyte(static_cast<std::uint8_t>(*transfer.receiver_settle_mode));
  else
    list.null();
  list.null();
  list.boolean(transfer.resume);
  list.boolean(transfer.aborted);
  list.boolean(transfer.batchable);
  list.append_to(out);
}
void encode(std::string& out, const Disposition& disposition) { encode_body(out, disposition); }
void encode(std::string& out, const Detach& detach) { encode_body(out, detach); }
void encode(std::string& out, const End& end) { encode_body(out, end); }
void encode(std::string& out, const Close& close) { encode_body(out, close); }

void encode(std::string& out, const SaslMechanisms& mechanisms) { encode_body(out, mechanisms); }
void encode(std::string& out, const SaslInit& init) { encode_body(out, init); }
void encode(std::string& out, const SaslResponse& response) { encode_body(out, response); }
void encode(std::string& out, const SaslOutcome& outcome) { encode_body(out, outcome); }

}  // namespace jobmill::amqp
