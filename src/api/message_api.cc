// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <memory>

#include <fmt/core.h>

#include "api/json.h"
#include "api/message_json.h"
#include "api/message_scan.h"
#include "api/message_wait.h"
#include "api/service_bus_api.h"
#include "broker/address.h"

namespace jobmill::api {
namespace {

using broker::Address;
using broker::SequenceNumber;

constexpr std::size_t kMostMessages = 1000;  // of one request
constexpr double kMostSeconds = 60;          // of waiting for a message

Result<Address> address_of(const Call& call, bool dead_letter) {
  TRY(Address address, broker::parse_address(call.parameter("entity")));
  if (dead_letter) address.sub_queue = broker::SubQueue::DeadLetter;
  return address;
}

// The queue of the path; sent an error when it is none.
std::optional<Address> entity_of(ApiContext& context, const Call& call, bool dead_letter) {
  const auto address = address_of(call, dead_letter);
  if (!address) {
    call.responder.send(to_response(address.error()));
    return std::nullopt;
  }
  if (!context.bus->broker.exists(*address)) {
    call.responder.send(to_response(fail(
        Code::NotFound,
        fmt::format("The messaging entity '{}' could not be found.", call.parameter("entity")))));
    return std::nullopt;
  }
  return *address;
}

template <class Int>
Result<Int> number(const Call& call, std::string_view name, Int otherwise, Int most) {
  const auto text = call.request.parameter(name);
  if (!text) return otherwise;
  Int value{};
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value < 0 || value > most)
    return fail(Code::InvalidArgument,
                fmt::format("{}: expected a whole number from 0 to {}", name, most));
  return value;
}

bool wants_dead_letters(const Call& call) { return call.request.parameter("sub") == "deadletter"; }

using Messages = std::vector<std::shared_ptr<const broker::Message>>;

std::string as_json(const Messages& messages, Bodies bodies = Bodies::Shown) {
  JsonWriter json;
  json.array();
  for (const auto& message : messages) write_message(json, *message, bodies);
  return std::move(json.end()).text();
}

void peek(ApiContext& context, Call call) {
  const auto from =
      number<SequenceNumber>(call, "from", 0, std::numeric_limits<SequenceNumber>::max());
  if (!from) return call.responder.send(to_response(from.error()));
  const auto count = number<std::size_t>(call, "count", 1, kMostMessages);
  if (!count) return call.responder.send(to_response(count.error()));
  const auto address = entity_of(context, call, wants_dead_letters(call));
  if (!address) return;
  MessageFilter filter{.from = *from, .most = *count};
  if (const auto named = call.request.parameter("session")) filter.session = std::string(*named);
  if (const auto reason = call.request.parameter("reason")) filter.reason = std::string(*reason);
  auto found = std::make_shared<Messages>();
  scan_messages(
      context.bus->broker, *address, std::move(filter),
      [found](Messages::value_type message) { found->push_back(std::move(message)); },
      [call, found, bodies = bodies_for(context, call)](const Status& status) {
        if (!status) return call.responder.send(to_response(status.error()));
        call.responder.send(json_response(200, as_json(*found, bodies)));
      });
}

std::string counted(std::size_t count) {
  JsonWriter json;
  json.object().member("count", count).end();
  return std::move(json).text();
}

// {"messages": [{"body": "…", "messageId": "…"}, …]}, or one of them alone.
void send(ApiContext& context, Call call) {
  const auto address = entity_of(context, call, false);
  if (!address) return;
  JsonBody body(call.request, {.bytes = kInsertBodyBytes});
  std::vector<std::string> encoded;
  if (const Node* list = body.root().find("messages")) {
    for (const Node& one : list->items) encoded.push_back(read_message_json(one, body.errors()));
    if (encoded.empty() || encoded.size() > kMostMessages)
      body.errors().push_back(
          {"messages", fmt::format("expected 1 to {} messages", kMostMessages)});
  } else {
    encoded.push_back(read_message_json(body.root(), body.errors()));
  }
  if (const auto problem = body.problem()) return call.responder.send(to_response(*problem));
  const std::vector<std::string_view> views(encoded.begin(), encoded.end());
  context.bus->broker.send(*address, views, context.clock.now(),
                           [call, count = encoded.size()](const Status& status) {
                             if (!status) return call.responder.send(to_response(status.error()));
                             call.responder.send(json_response(201, counted(count)));
                           });
}

// Receives and deletes: what this answers is gone from the queue.
void receive(ApiContext& context, Call call) {
  JsonBody body(call.request);
  std::size_t count = 1;
  std::optional<double> wait;
  std::string session;
  std::string sub;
  auto in = body.reader();
  in.integer("max", count, 1, kMostMessages);
  in.number("wait", wait);
  if (wait > kMostSeconds) in.wrong("wait", "expected 0 to 60");
  in.text("session", session);
  in.text("sub", sub);
  in.close();
  if (const auto problem = body.problem()) return call.responder.send(to_response(*problem));
  const auto address = entity_of(context, call, sub == "deadletter");
  if (!address) return;
  MessageWish wish{
      .address = *address, .mode = broker::ReceiveMode::ReceiveAndDelete, .count = count};
  if (!session.empty()) wish.session = session;
  wish.wait = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(wait.value_or(0)));
  receive_messages(context.bus->broker, context.loop, context.clock, wish, call.responder,
                   [call](auto deliveries) {
                     if (!deliveries) return call.responder.send(to_response(deliveries.error()));
                     Messages messages;
                     for (const auto& delivery : *deliveries) messages.push_back(delivery.message);
                     call.responder.send(json_response(200, as_json(messages)));
                   });
}

// What purge and redrive are asked to take: {"sequenceNumbers": […], "reason": "…", "max": n}.
struct Selection {
  MessageFilter filter{};
  std::string to{};
};

std::optional<Selection> selection_of(const Call& call) {
  JsonBody body(call.request);
  Selection selection;
  auto in = body.reader();
  std::optional<std::int64_t> most;
  in.integer("max", most, 1);
  in.text("reason", selection.filter.reason);
  in.text("to", selection.to);
  if (const Node* list = in.array("sequenceNumbers"))
    for (const Node& one : list->items) {
      const auto value = one.as_int();
      if (!value) in.wrong("sequenceNumbers", "expected whole numbers");
      selection.filter.sequences.insert(value.value_or(0));
    }
  in.close();
  if (most) selection.filter.most = static_cast<std::size_t>(*most);
  if (const auto problem = body.problem()) {
    call.responder.send(to_response(*problem));
    return std::nullopt;
  }
  return selection;
}

using Sequences = std::vector<SequenceNumber>;

// Finds the numbers, and goes on with them when there are any; none is a count of 0.
void with_selected(ApiContext& context, const Call& call, const Address& address,
                   const MessageFilter& filter, std::function<void(const Sequences&)> go_on) {
  auto found = std::make_shared<Sequences>();
  scan_messages(
      context.bus->broker, address, filter,
      [found](const Messages::value_type& message) { found->push_back(message->sequence); },
      [call, found, go_on = std::move(go_on)](const Status& status) {
        if (!status) return call.responder.send(to_response(status.error()));
        if (found->empty()) return call.responder.send(json_response(200, counted(0)));
        go_on(*found);
      });
}

auto answer_count(const Call& call) {
  return [call](Result<std::size_t> count) {
    if (!count) return call.responder.send(to_response(count.error()));
    call.responder.send(json_response(200, counted(*count)));
  };
}

void purge(ApiContext& context, Call call) {
  const auto selection = selection_of(call);
  if (!selection) return;
  const auto address = entity_of(context, call, true);
  if (!address) return;
  broker::Broker& broker = context.bus->broker;
  const MessageFilter& filter = selection->filter;
  if (filter.everything())  // without reading them
    return broker.purge(*address, filter.most, {}, answer_count(call));
  with_selected(context, call, *address, filter,
                [&broker, call, at = *address](const Sequences& found) {
                  broker.purge(at, found.size(), {.only = found}, answer_count(call));
                });
}

void redrive(ApiContext& context, Call call) {
  const auto selection = selection_of(call);
  if (!selection) return;
  const auto address = entity_of(context, call, true);
  if (!address) return;
  std::optional<Address> to;
  if (!selection->to.empty()) {
    const auto parsed = broker::parse_address(selection->to);
    if (!parsed) return call.responder.send(to_response(parsed.error()));
    to = *parsed;
  }
  const auto send_again = [&context, call, at = *address, to](const Sequences& sequences) {
    context.bus->broker.redrive(at, to, sequences, context.clock.now(), answer_count(call));
  };
  if (selection->filter.everything() && selection->filter.most == MessageFilter().most)
    return send_again({});
  with_selected(context, call, *address, selection->filter, send_again);
}

constexpr std::array kRoutes{
    Route{"GET", "/v1/messages/{ns}/{entity}/peek", Scope::Read, with_broker<peek>},
    Route{"POST", "/v1/messages/{ns}/{entity}/send", Scope::Operate, with_broker<send>},
    Route{"POST", "/v1/messages/{ns}/{entity}/receive", Scope::Operate, with_broker<receive>},
    Route{"POST", "/v1/messages/{ns}/{entity}/purge", Scope::Admin, with_broker<purge>},
    Route{"POST", "/v1/messages/{ns}/{entity}/redrive", Scope::Operate, with_broker<redrive>},
};

}  // namespace

std::span<const Route> message_routes() { return kRoutes; }

Bodies bodies_for(const ApiContext& context, const Call& call) {
  const bool may = context.viewers_read_bodies || call.identity.may(Scope::Operate);
  return may ? Bodies::Shown : Bodies::Hidden;
}

}  // namespace jobmill::api
