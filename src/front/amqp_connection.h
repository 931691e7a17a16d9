// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "amqp/connection.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/broker.h"
#include "front/amqp_server.h"
#include "front/claims.h"
#include "front/link.h"
#include "front/link_names.h"
#include "front/request_links.h"
#include "net/event_loop.h"
#include "net/stream.h"

namespace jobmill::front {

// What all connections of a server have in common.
struct Shared {
  net::EventLoop& loop;
  broker::Broker& broker;
  const Clock& clock;
  Log& log;
  const AmqpOptions& options;
  LinkNames names{};
  std::unordered_map<AmqpConnection*, std::shared_ptr<AmqpConnection>> connections{};
  std::function<void(AmqpConnection&)> on_left{};  // one of them was read to its end
};

// One client: a stream, the engine that speaks AMQP on it, what the client may do and its links.
//
// Work comes in turns: bytes, a timer, or something that the broker has finished. What a turn says
// to the client leaves as one write at its end; callbacks of the broker only wake() it, so that
// hundreds of deliveries and outcomes share that write.
//
// Memory is bounded from both sides. A client that does not read gets no deliveries (its credit is
// held back) and is not read from; a client that sends faster than the disk takes it is not read
// from.
class AmqpConnection final : public net::Stream::Events,
                             public std::enable_shared_from_this<AmqpConnection> {
 public:
  // `room`: why there is none for it, which it is told when it opens.
  AmqpConnection(Shared& shared, std::shared_ptr<net::Stream> stream, Status room);
  ~AmqpConnection() override;

  void start();
  // Says why, and leaves once that is written.
  void close(std::optional<amqp::Error> error);
  void tick();
  void entities_changed();
  // Whether a replica speaks here, as far as anybody has asked.
  bool is_of(std::string_view replica) const;

  // --- for its links -------------------------------------------------------------------------
  amqp::Connection& engine() { return engine_; }
  broker::Broker& broker() { return shared_.broker; }
  Shared& shared() { return shared_; }
  Claims& claims() { return claims_; }
  RequestRoutes& routes() { return routes_; }
  TimePoint now() const { return shared_.clock.now(); }
  const std::string& container() const { return engine_.peer().container_id; }

  bool allowed(std::string_view path, std::optional<broker::Right> right, TimePoint now) const;
  // On whose behalf the peer receives: a replica of ours, by its token or by its socket.
  broker::Holder holder(std::string_view path);
  // Output or top-ups wait: a turn follows.
  void wake();
  void wants_top_up(amqp::LinkId link);
  void add(std::unique_ptr<Link> link);
  // Detaches with an error and forgets the link; safe from within its calls.
  void drop(amqp::LinkId link, std::optional<amqp::Error> error);
  Link* find(amqp::LinkId link);
  bool holding_back() const { return holding_back_; }
  // Whether there is room for the answer to one more request.
  bool may_answer() const;

  // Bytes of a message went to the broker; the answer of the broker comes to on_stored.
  broker::Broker::Done storing(amqp::LinkId link, amqp::DeliveryId delivery, bool settled,
                               std::size_t bytes);
  // Space for the head of a message while it is sent.
  std::string& scratch() { return scratch_; }

 private:
  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_drained() override;
  void on_broken() override;

  void on(amqp::SaslLogin& login);
  void on(amqp::Opened& opened);
  void on(amqp::SessionBegun& begun);
  void on(amqp::LinkAttached& attached);
  void on(amqp::CreditGiven& credit);
  void on(amqp::MessageReceived& message);
  void on(amqp::MessageTooLarge& message);
  void on(amqp::DispositionReceived& disposition);
  void on(amqp::LinkDetached& detached);
  void on(amqp::SessionEnded& ended);
  void on(amqp::Closed& closed);

  void run_events();
  void turn();
  void write_out();
  void balance();  // reading and delivering, against what waits
  void stored(amqp::LinkId link, amqp::DeliveryId delivery, bool settled, std::size_t bytes,
              const Status& status);
  void leave();
  const std::optional<broker::Holder>& peer_holder();
  bool late(TimePoint now) const;
  void expire_claims(TimePoint now);
  void detach_idle_links(TimePoint now);
  std::optional<TimePoint> next_due(TimePoint now, std::optional<TimePoint> engine_due) const;
  void arm(TimePoint due);
  Link* active(amqp::LinkId link, TimePoint now);

  Shared& shared_;
  std::shared_ptr<net::Stream> stream_;
  amqp::Connection engine_;
  const TimePoint deadline_;  // for the first claim
  const Status room_;
  Claims claims_;
  bool asked_for_peer_ = false;
  std::optional<broker::Holder> peer_holder_{};
  RequestRoutes routes_;
  std::unordered_map<amqp::LinkId, std::unique_ptr<Link>> links_;
  std::vector<std::unique_ptr<Link>> dropped_;  // until the end of the turn
  std::vector<amqp::LinkId> hungry_;            // want to top up
  std::string scratch_;
  std::size_t storing_bytes_ = 0;
  bool heard_ = false;
  bool opened_ = false;
  bool claimed_ = false;  // has ever been allowed something
  bool left_ = false;
  bool woken_ = false;
  bool paused_ = false;
  bool holding_back_ = false;
  net::EventLoop::TimerId timer_ = 0;
  TimePoint armed_for_{};
};

// Decides about a link that the peer wants: answers the engine and, where it stays, adds it.
void attach_link(AmqpConnection& connection, amqp::LinkAttached& attached);

}  // namespace jobmill::front
