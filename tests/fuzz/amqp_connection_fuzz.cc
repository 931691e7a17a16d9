// SPDX-License-Identifier: Apache-2.0
// A whole AMQP connection under arbitrary bytes. The first byte says which side we are (its lowest
// bit: the client) and how the bytes are cut; the events and the answers must be the same as of the
// whole. The owner takes every login and link, grants credit, sends, settles and drains, so that
// what the peer says meets links that live.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "amqp/connection.h"
#include "amqp_endpoint.h"

using namespace jobmill;
using namespace jobmill::amqp;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

ConnectionOptions options_of(bool client) {
  ConnectionOptions options{.max_frame_size = 2048,
                            .handle_max = 100,
                            .incoming_window = 4,
                            .max_sessions = 8,
                            .max_links = 16,
                            .max_partial_bytes = 4096};
  if (client) {
    options.side = ConnectionOptions::Side::Client;
    options.login = ConnectionOptions::Login{};
  }
  return options;
}

// Answers every event with all that it allows.
void respond(Connection& connection, const Event& event) {
  if (const auto* message = std::get_if<MessageReceived>(&event)) {
    if (message->delivery % 2 == 0)
      connection.propose(message->link, message->delivery, Released{});
    connection.settle(message->link, message->delivery, Accepted{});
  } else if (const auto* large = std::get_if<MessageTooLarge>(&event)) {
    connection.detach(large->link, Error{.condition = "amqp:link:message-size-exceeded"});
  } else if (const auto* told = std::get_if<DispositionReceived>(&event)) {
    connection.settle(told->link, told->delivery, told->state.value_or(Accepted{}));
    if (told->link == 0) connection.settle_unknown(told->session, told->delivery, Released{});
  } else if (const auto* credit = std::get_if<CreditGiven>(&event)) {
    const std::string body(credit->credit % 7 * 300, 'm');
    for (int i = 0; i < 3; ++i) {
      (void)connection.send(credit->link, {.tag = "tag", .settled = i == 0}, {"body", body});
    }
    connection.drained(credit->link);
  }
}

struct Outcome {
  std::string events;
  std::string output;
};

Outcome run(std::string_view bytes, std::size_t piece, bool client) {
  Endpoint end(options_of(client));
  end.grants = 20;
  end.max_message_size = 1500;
  end.also = [&](const Event& event) { respond(end.connection, event); };
  if (client) {
    end.connection.open();
    const SessionId session = end.connection.begin();
    for (const Role role : {Role::Sender, Role::Receiver}) {
      (void)end.connection.attach(session, {.name = "link", .role = role, .source = Source{}});
    }
  }
  while (!bytes.empty()) {
    end.hear(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  end.take_events();
  const auto is_close = [](const Event& event) { return std::holds_alternative<Closed>(event); };
  const auto closed = std::find_if(end.events.begin(), end.events.end(), is_close);
  require(closed == end.events.end() || closed + 1 == end.events.end());
  return {end.transcript(), end.connection.take_output()};
}

// Errors carry an id that is new every time.
bool equal(const Outcome& a, const Outcome& b) {
  return a.events == b.events && a.output.size() == b.output.size();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool client = data[0] % 2 == 1;
  const std::size_t piece = 1 + data[0] / 2 % 64;
  require(equal(run(bytes, bytes.size(), client), run(bytes, piece, client)));
  return 0;
}
