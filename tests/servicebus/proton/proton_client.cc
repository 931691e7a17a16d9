// SPDX-License-Identifier: Apache-2.0
// proton_client HOST:PORT QUEUE COUNT [USER PASSWORD]
// Sends COUNT messages, each confirmed by the server, then receives and accepts as many. With USER
// and PASSWORD it uses the SASL mechanism PLAIN, otherwise ANONYMOUS.
#include <fmt/core.h>

#include <cstdlib>
#include <exception>
#include <proton/connection.hpp>
#include <proton/connection_options.hpp>
#include <proton/container.hpp>
#include <proton/delivery.hpp>
#include <proton/error_condition.hpp>
#include <proton/message.hpp>
#include <proton/messaging_handler.hpp>
#include <proton/receiver_options.hpp>
#include <proton/sender.hpp>
#include <proton/tracker.hpp>
#include <proton/transport.hpp>
#include <set>
#include <stdexcept>
#include <string>

namespace {

struct Exchange {
  std::string address;
  std::string queue;
  int count = 0;
  std::string user;
  std::string password;
};

class Client : public proton::messaging_handler {
 public:
  explicit Client(Exchange exchange) : exchange_(std::move(exchange)) {}

  void on_container_start(proton::container& container) override {
    proton::connection_options options;
    const bool plain = !exchange_.user.empty();
    options.sasl_allowed_mechs(plain ? "PLAIN" : "ANONYMOUS");
    if (plain)
      options.user(exchange_.user).password(exchange_.password).sasl_allow_insecure_mechs(true);
    connection_ = container.connect(exchange_.address, options);
    connection_.open_sender(exchange_.queue);
  }

  void on_sendable(proton::sender& sender) override {
    for (; sent_ < exchange_.count && sender.credit() > 0; ++sent_)
      sender.send(proton::message("m" + std::to_string(sent_)));
  }

  void on_tracker_accept(proton::tracker& tracker) override {
    if (++confirmed_ < exchange_.count) return;
    tracker.sender().close();
    connection_.open_receiver(exchange_.queue, proton::receiver_options().credit_window(50));
  }
  void on_tracker_reject(proton::tracker&) override {
    throw std::runtime_error("a message was rejected");
  }

  void on_message(proton::delivery& delivery, proton::message& message) override {
    received_.insert(proton::get<std::string>(message.body()));
    delivery.accept();
    if (complete()) connection_.close();  // after the last outcome, in the same order on the wire
  }

  void on_error(const proton::error_condition& condition) override {
    throw std::runtime_error(condition.what());
  }

  [[nodiscard]] std::string summary() const {
    return fmt::format("sent {}, received {}", confirmed_, received_.size());
  }
  [[nodiscard]] bool complete() const {
    return static_cast<int>(received_.size()) == exchange_.count;
  }

 private:
  Exchange exchange_;
  proton::connection connection_;
  int sent_ = 0;
  int confirmed_ = 0;
  std::set<std::string> received_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 && argc != 6) {
    fmt::print(stderr, "proton_client HOST:PORT QUEUE COUNT [USER PASSWORD]\n");
    return 2;
  }
  try {
    Client client({.address = argv[1],
                   .queue = argv[2],
                   .count = std::atoi(argv[3]),
                   .user = argc == 6 ? argv[4] : "",
                   .password = argc == 6 ? argv[5] : ""});
    proton::container(client).run();
    fmt::print("{}\n", client.summary());
    return client.complete() ? 0 : 1;
  } catch (const std::exception& problem) {
    fmt::print(stderr, "{}\n", problem.what());
    return 1;
  }
}
