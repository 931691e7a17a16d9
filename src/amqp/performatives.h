// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "amqp/value.h"
#include "base/result.h"

namespace jobmill::amqp {

// The frame bodies of AMQP 1.0 (part 2, section 2.7; part 3, section 3.4 and 3.5; part 5, 5.3).
//
// Written, every one has all of its fields, null where there is nothing: released Python clients
// read fields by position without looking at the length. Read, missing trailing fields are null.

// Part 2, section 2.8.14. Written it always has three elements and a map that is not empty, since
// Python senders wait for ever for an error that is shorter: where `info` is empty, the writer adds
// com.microsoft:tracking-id with a new GUID.
struct Error {
  std::string condition{};  // "amqp:not-found"
  std::string description{};
  Map info{};
};

struct Received {
  std::uint32_t section_number = 0;
  std::uint64_t section_offset = 0;
};
struct Accepted {};
struct Rejected {
  std::optional<Error> error{};
};
struct Released {};
struct Modified {
  bool delivery_failed = false;
  bool undeliverable_here = false;
  Map annotations{};
};
struct Declared {
  std::string txn_id{};
};
struct TransactionalState {
  std::string txn_id{};
  Value outcome{};
};
using DeliveryState =
    std::variant<Accepted, Rejected, Released, Modified, Received, Declared, TransactionalState>;

enum class SenderSettleMode : std::uint8_t { Unsettled = 0, Settled = 1, Mixed = 2 };
enum class ReceiverSettleMode : std::uint8_t { First = 0, Second = 1 };
// On the wire: the role of the endpoint that speaks. false = sender, true = receiver.
enum class Role : std::uint8_t { Sender = 0, Receiver = 1 };

struct Source {
  std::optional<std::string> address{};
  std::uint32_t durable = 0;
  Value expiry_policy{};
  std::uint32_t timeout = 0;
  bool dynamic = false;
  Value dynamic_node_properties{};
  Value distribution_mode{};
  Map filter{};  // as received, described values included
  Value default_outcome{};
  Value outcomes{};
  Value capabilities{};
};

struct Target {
  std::optional<std::string> address{};
  std::uint32_t durable = 0;
  Value expiry_policy{};
  std::uint32_t timeout = 0;
  bool dynamic = false;
  Value dynamic_node_properties{};
  Value capabilities{};
};

struct Coordinator {  // a target that begins and ends transactions (part 4)
  Value capabilities{};
};

struct Open {
  std::string container_id{};
  std::optional<std::string> hostname{};
  std::uint32_t max_frame_size = 0xffffffff;
  std::uint16_t channel_max = 65535;
  std::optional<std::uint32_t> idle_time_out{};  // milliseconds
  Value outgoing_locales{};
  Value incoming_locales{};
  Value offered_capabilities{};
  Value desired_capabilities{};
  Map properties{};
};

struct Begin {
  std::optional<std::uint16_t> remote_channel{};
  std::uint32_t next_outgoing_id = 0;
  std::uint32_t incoming_window = 0;
  std::uint32_t outgoing_window = 0;
  std::uint32_t handle_max = 0xffffffff;
  Value offered_capabilities{};
  Value desired_capabilities{};
  Map properties{};
};

struct Attach {
  std::string name{};
  std::uint32_t handle = 0;
  Role role = Role::Sender;
  SenderSettleMode sender_settle_mode = SenderSettleMode::Mixed;
  ReceiverSettleMode receiver_settle_mode = ReceiverSettleMode::First;
  std::optional<Source> source{};
  std::variant<std::monostate, Target, Coordinator> target{};
  Value unsettled{};
  bool incomplete_unsettled = false;
  std::optional<std::uint32_t> initial_delivery_count{};
  std::optional<std::uint64_t> max_message_size{};
  Value offered_capabilities{};
  Value desired_capabilities{};
  Map properties{};
};

struct Flow {
  std::optional<std::uint32_t> next_incoming_id{};
  std::uint32_t incoming_window = 0;
  std::uint32_t next_outgoing_id = 0;
  std::uint32_t outgoing_window = 0;
  std::optional<std::uint32_t> handle{};
  std::optional<std::uint32_t> delivery_count{};
  std::optional<std::uint32_t> link_credit{};
  std::optional<std::uint32_t> available{};
  bool drain = false;
  bool echo = false;
  Map properties{};
};

// Tag and payload are views of the frame.
struct Transfer {
  std::uint32_t handle = 0;
  std::optional<std::uint32_t> delivery_id{};
  std::optional<std::string_view> delivery_tag{};
  std::optional<std::uint32_t> message_format{};
  std::optional<bool> settled{};
  bool more = false;
  std::optional<ReceiverSettleMode> receiver_settle_mode{};
  std::optional<DeliveryState> state{};
  bool resume = false;
  bool aborted = false;
  bool batchable = false;
  std::string_view payload{};  // what follows the performative in its frame
};

struct Disposition {
  Role role = Role::Sender;
  std::uint32_t first = 0;
  std::optional<std::uint32_t> last{};
  bool settled = false;
  std::optional<DeliveryState> state{};
  bool batchable = false;
};

struct Detach {
  std::uint32_t handle = 0;
  bool closed = false;
  std::optional<Error> error{};
};
struct End {
  std::optional<Error> error{};
};
struct Close {
  std::optional<Error> error{};
};

using Performative =
    std::variant<Open, Begin, Attach, Flow, Transfer, Disposition, Detach, End, Close>;

// `body` is a frame's body. An error: InvalidArgument, and the connection must close with
// amqp:decode-error. Views in the answer are views of `body`.
Result<Performative> decode_performative(std::string_view body);

// Append the performative to `out`; a transfer's payload is not written, it follows.
void encode(std::string& out, const Open& open);
void encode(std::string& out, const Begin& begin);
void encode(std::string& out, const Attach& attach);
void encode(std::string& out, const Flow& flow);
void encode(std::string& out, const Transfer& transfer);
void encode(std::string& out, const Disposition& disposition);
void encode(std::string& out, const Detach& detach);
void encode(std::string& out, const End& end);
void encode(std::string& out, const Close& close);

// Part 5, section 5.3.3.
struct SaslMechanisms {
  std::vector<std::string> mechanisms{};  // written as an array, also a single one
};
struct SaslInit {
  std::string mechanism{};
  std::optional<std::string> initial_response{};
  std::optional<std::string> hostname{};
};
struct SaslChallenge {
  std::string challenge{};
};
struct SaslResponse {
  std::string response{};
};
enum class SaslCode : std::uint8_t { Ok = 0, Auth = 1, Sys = 2, SysPerm = 3, SysTemp = 4 };
struct SaslOutcome {
  SaslCode code = SaslCode::Ok;
};
using SaslBody = std::variant<SaslMechanisms, SaslInit, SaslChallenge, SaslResponse, SaslOutcome>;
Result<SaslBody> decode_sasl(std::string_view body);
void encode(std::string& out, const SaslMechanisms& mechanisms);
void encode(std::string& out, const SaslInit& init);
void encode(std::string& out, const SaslResponse& response);
void encode(std::string& out, const SaslOutcome& outcome);

}  // namespace jobmill::amqp
