// SPDX-License-Identifier: Apache-2.0
#include "amqp_client.h"

#include <fmt/core.h>
#include <unistd.h>

#include <utility>

#include "measure.h"
#include "net/connect.h"

namespace jobmill::bench {
namespace {

amqp::ConnectionOptions engine_options(const amqp::ConnectionOptions::Login& login) {
  static int number = 0;
  return {.side = amqp::ConnectionOptions::Side::Client,
          .container_id = fmt::format("bench-{}-{}", ::getpid(), ++number),
          .hostname = "localhost",
          .idle_timeout = std::nullopt,
          .login = login};
}

[[noreturn]] void give_up_over(std::string_view what, const std::optional<amqp::Error>& error) {
  give_up(error ? fmt::format("{}: {} {}", what, error->condition, error->description)
                : std::string(what));
}

}  // namespace

// --- a peer ------------------------------------------------------------------------------------

Peer::Peer(const amqp::ConnectionOptions::Login& login) : engine_(engine_options(login)) {}

void Peer::start(std::shared_ptr<net::Stream> stream, amqp::Attach attach,
                 std::function<void()> attached) {
  stream_ = std::move(stream);
  attached_ = std::move(attached);
  engine_.open();
  link_ = engine_.attach(engine_.begin(), std::move(attach));
  stream_->start(shared_from_this());
  write_out();
}

void Peer::write_out() {
  if (engine_.output_size() > 0) stream_->write(engine_.take_output());
}

void Peer::on_bytes(std::string_view bytes) {
  engine_.feed(bytes);
  while (const auto event = engine_.next_event()) on(*event);
  on_turn();
  write_out();
}

void Peer::on(const amqp::Event& event) {
  if (const auto* message = std::get_if<amqp::MessageReceived>(&event)) return on_message(*message);
  if (const auto* disposition = std::get_if<amqp::DispositionReceived>(&event))
    return on_disposition(*disposition);
  if (std::holds_alternative<amqp::LinkAttached>(event)) {
    on_attached();
    std::exchange(attached_, nullptr)();
  }
  if (const auto* detached = std::get_if<amqp::LinkDetached>(&event))
    give_up_over("the broker detached the link", detached->error);
  if (const auto* ended = std::get_if<amqp::SessionEnded>(&event))
    give_up_over("the broker ended the session", ended->error);
  if (const auto* closed = std::get_if<amqp::Closed>(&event))
    give_up_over("the broker closed the connection", closed->error);
}

void Peer::on_end() { give_up("the broker ended the connection"); }
void Peer::on_broken() { give_up("the connection broke: " + stream_->failure()); }

// --- all of them -------------------------------------------------------------------------------

Peers::~Peers() {
  for (const auto& stream : streams_) stream->close();
}

void Peers::add(const std::shared_ptr<Peer>& peer, const amqp::Attach& attach) {
  ++added_;
  net::connect(loop_, broker_.host, broker_.port, {},
               [this, peer, attach](Result<std::shared_ptr<net::Stream>> stream) {
                 connected(peer, attach, need(std::move(stream)));
               });
}

void Peers::connected(const std::shared_ptr<Peer>& peer, const amqp::Attach& attach,
                      std::shared_ptr<net::Stream> stream) {
  streams_.push_back(stream);
  peer->start(std::move(stream), attach, [this] {
    if (++attached_ == added_) finish();
  });
}

void Peers::wait_attached() {
  if (attached_ < added_) run();
}

void Peers::run() {
  loop_.run(stop_.get_token());
  stop_ = {};
}

void Peers::run_for(Duration duration) {
  loop_.run_after(duration, [this] { finish(); });
  run();
}

}  // namespace jobmill::bench
