// SPDX-License-Identifier: Apache-2.0
//
//   amqp_bench [--messages N]   what the protocol engine itself takes for a message of 1 KiB
//
// Two connections in memory. A message is one transfer and one accepted disposition: receive is the
// end that reads the transfer and settles, send is the other one.
#include <string>
#include <string_view>

#include "amqp/connection.h"
#include "measure.h"

namespace {

using namespace jobmill;
using namespace jobmill::bench;
using amqp::Connection;

constexpr int kBurst = 100;
constexpr std::uint32_t kCredit = 1000;

struct Ends {
  Connection server{{.container_id = "server"}};
  Connection client{{.side = amqp::ConnectionOptions::Side::Client, .container_id = "client"}};
  amqp::LinkId from = 0;
  amqp::LinkId to = 0;
};

void attach(Ends& ends) {
  ends.client.open();
  ends.from = ends.client.attach(ends.client.begin(), {.name = "bench",
                                                       .role = amqp::Role::Sender,
                                                       .source = amqp::Source{},
                                                       .target = amqp::Target{.address = "queue"}});
  ends.server.feed(ends.client.take_output());
  while (auto event = ends.server.next_event()) {
    auto* attached = std::get_if<amqp::LinkAttached>(&*event);
    if (attached == nullptr) continue;
    ends.to = attached->link;
    ends.server.accept(ends.to, std::move(attached->attach));
    ends.server.grant(ends.to, kCredit);
  }
  ends.client.feed(ends.server.take_output());
  while (ends.client.next_event()) {
  }
}

void send_burst(Connection& client, amqp::LinkId link, std::string_view message) {
  for (int i = 0; i < kBurst; ++i) {
    if (!client.send(link, {.tag = "0123456789abcdef", .cookie = 1}, {message})) {
      give_up("amqp_bench: there is no credit");
    }
  }
}

void receive_burst(Connection& server, std::string_view bytes) {
  server.feed(bytes);
  while (auto event = server.next_event()) {
    const auto* message = std::get_if<amqp::MessageReceived>(&*event);
    if (message != nullptr) server.settle(message->link, message->delivery, amqp::Accepted{});
  }
}

int read_outcomes(Connection& client, std::string_view bytes) {
  client.feed(bytes);
  int outcomes = 0;
  while (auto event = client.next_event()) {
    if (std::holds_alternative<amqp::DispositionReceived>(*event)) ++outcomes;
  }
  return outcomes;
}

void run(int messages) {
  Ends ends;
  attach(ends);
  const std::string message(1024, 'm');
  const CpuClock cpu;
  double sending = 0;
  double receiving = 0;
  for (int sent = 0; sent < messages; sent += kBurst) {
    const Stopwatch first(cpu);
    send_burst(ends.client, ends.from, message);
    const std::string transfers = ends.client.take_output();
    sending += first.cpu_micros();
    const Stopwatch second(cpu);
    receive_burst(ends.server, transfers);
    if (ends.server.granted(ends.to) < kCredit / 2) ends.server.grant(ends.to, kCredit);
    const std::string outcomes = ends.server.take_output();
    receiving += second.cpu_micros();
    const Stopwatch third(cpu);
    if (read_outcomes(ends.client, outcomes) != kBurst)
      give_up("amqp_bench: an outcome is missing");
    sending += third.cpu_micros();
  }
  report("amqp.engine.receive.cpu_us", receiving / messages);
  report("amqp.engine.send.cpu_us", sending / messages);
}

}  // namespace

int main(int argc, char** argv) {
  const Flags flags(argc, argv, 1);
  run(flags.number("messages", 500'000));
}
