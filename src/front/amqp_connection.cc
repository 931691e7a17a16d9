// SPDX-License-Identifier: Apache-2.0
#include "front/amqp_connection.h"

#include <algorithm>
#include <utility>

#include "front/cbs.h"
#include "front/errors.h"
#include "net/address.h"

namespace jobmill::front {
namespace {

// Of deliveries that are not complete, from a client that has shown no token yet.
constexpr std::size_t kStrangersBytes = 256u << 10;

amqp::ConnectionOptions engine_options(const AmqpOptions& options) {
  amqp::ConnectionOptions engine;
  if (options.auth == AmqpOptions::Auth::Strict) engine.max_partial_bytes = kStrangersBytes;
  engine.container_id = options.container_id;
  amqp::set_symbol(engine.properties, "product", "jobmill");
  if (!options.version.empty()) amqp::set_symbol(engine.properties, "version", options.version);
  return engine;
}

void earlier(std::optional<TimePoint>& due, std::optional<TimePoint> other) {
  if (other && (!due || *other < *due)) due = other;
}

amqp::Error forced(const std::string& link, const std::string& why) {
  return make_error(condition::kDetachForced,
                    "The link '" + link + "' is force detached. Code: " + why);
}

}  // namespace

AmqpConnection::AmqpConnection(Shared& shared, std::shared_ptr<net::Stream> stream, Status room)
    : shared_(shared),
      stream_(std::move(stream)),
      engine_(engine_options(shared.options)),
      deadline_(shared.clock.now() + shared.options.claim_deadline),
      room_(std::move(room)) {}

AmqpConnection::~AmqpConnection() {
  if (timer_ != 0) shared_.loop.cancel(timer_);
}

void AmqpConnection::start() {
  arm(deadline_);
  stream_->start(shared_from_this());
}

// --- the stream's events -------------------------------------------------------------------------

void AmqpConnection::on_bytes(std::string_view bytes) {
  const bool first = !std::exchange(heard_, true);
  engine_.feed(bytes);
  turn();
  if (first) tick();
}

void AmqpConnection::on_end() {
  if (left_) return;
  stream_->finish();
  leave();
}

void AmqpConnection::on_broken() {
  if (left_) return;
  shared_.log.debug("AMQP connection lost",
                    {{"peer", stream_->peer()}, {"error", stream_->failure()}});
  leave();
}

void AmqpConnection::on_drained() { turn(); }

// --- turns ---------------------------------------------------------------------------------------

void AmqpConnection::run_events() {
  while (!left_) {
    auto event = engine_.next_event();
    if (!event) return;
    std::visit([this](auto& body) { on(body); }, *event);
  }
}

void AmqpConnection::turn() {
  run_events();
  for (const amqp::LinkId link : std::exchange(hungry_, {}))
    if (Link* found = find(link)) found->top_up();
  write_out();
  dropped_.clear();
  if (left_) return;
  balance();
  if (!claimed_ && !claims_.empty()) {
    claimed_ = true;
    engine_.limit_partial(amqp::ConnectionOptions().max_partial_bytes);
  }
  if (const auto expiry = claims_.next_expiry()) arm(*expiry);
}

void AmqpConnection::write_out() {
  if (left_ || engine_.output_size() == 0) return;
  stream_->write(engine_.take_output());
}

void AmqpConnection::balance() {
  const bool full = stream_->unsent() > shared_.options.max_unsent_bytes;
  // Requests that wait for the broker will be done; those that wait for credit need the client's
  // flows.
  const RequestLoad& load = routes_.load;
  const std::size_t to_do = storing_bytes_ + (load.under_way > 0 ? load.held_bytes : 0);
  const bool pause = full || to_do > shared_.options.max_storing_bytes;
  if (std::exchange(paused_, pause) != pause) pause ? stream_->pause() : stream_->resume();
  // What the client's own windows keep in the engine counts too, but its flows must be read. Once
  // held back, all must have left: on_drained tells, or a flow.
  const std::size_t waiting = engine_.waiting_bytes();
  const bool hold = full || waiting > shared_.options.max_unsent_bytes ||
                    (holding_back_ && (stream_->unsent() > 0 || waiting > 0));
  if (std::exchange(holding_back_, hold) == hold) return;
  const TimePoint time = now();
  for (const auto& [id, link] : links_) hold ? link->hold_back(time) : link->go_on(time);
}

bool AmqpConnection::may_answer() const {
  return !holding_back_ && routes_.load.room() &&
         engine_.output_size() + engine_.waiting_bytes() <= shared_.options.max_unsent_bytes;
}

void AmqpConnection::wake() {
  if (std::exchange(woken_, true)) return;
  shared_.loop.post([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->woken_ = false;
    if (!self->left_) self->turn();
  });
}

void AmqpConnection::wants_top_up(amqp::LinkId link) {
  if (std::find(hungry_.begin(), hungry_.end(), link) == hungry_.end()) hungry_.push_back(link);
}

broker::Broker::Done AmqpConnection::storing(amqp::LinkId link, amqp::DeliveryId delivery,
                                             bool settled, std::size_t bytes) {
  storing_bytes_ += bytes;
  return [weak = weak_from_this(), link, delivery, settled, bytes](const Status& status) {
    if (const auto self = weak.lock()) self->stored(link, delivery, settled, bytes, status);
  };
}

void AmqpConnection::stored(amqp::LinkId link, amqp::DeliveryId delivery, bool settled,
                            std::size_t bytes, const Status& status) {
  storing_bytes_ -= bytes;
  if (Link* found = find(link)) found->on_stored(delivery, settled, status);
  wake();
}

// --- links ---------------------------------------------------------------------------------------

bool AmqpConnection::allowed(std::string_view path, std::optional<broker::Right> right,
                             TimePoint now) const {
  if (shared_.options.auth == AmqpOptions::Auth::None) return true;
  return right ? claims_.allow(path, *right, now) : claims_.cover(path, now);
}

const std::optional<broker::Holder>& AmqpConnection::peer_holder() {
  if (std::exchange(asked_for_peer_, true) || !shared_.options.holder_at) return peer_holder_;
  const auto address = net::parse_address(stream_->peer());
  if (address && net::is_loopback(address->host))
    peer_holder_ = shared_.options.holder_at(stream_->peer());
  return peer_holder_;
}

// A replica that has ended holds nothing, whoever still has its token or its socket.
broker::Holder AmqpConnection::holder(std::string_view path) {
  const auto& named = shared_.options.holder_named;
  const std::string replica = claims_.holder(path, now());
  if (!replica.empty()) return named ? named(replica).value_or(broker::Holder{}) : broker::Holder{};
  const auto& peer = peer_holder();
  if (!peer) return {};
  return named ? named(peer->name).value_or(broker::Holder{}) : *peer;
}

bool AmqpConnection::is_of(std::string_view replica) const {
  return claims_.of(replica) || (peer_holder_ && peer_holder_->name == replica);
}

Link* AmqpConnection::find(amqp::LinkId link) {
  const auto at = links_.find(link);
  return at == links_.end() ? nullptr : at->second.get();
}

Link* AmqpConnection::active(amqp::LinkId link, TimePoint now) {
  Link* found = find(link);
  if (found != nullptr) found->last_active = now;
  return found;
}

void AmqpConnection::add(std::unique_ptr<Link> link) {
  link->last_active = now();
  const amqp::LinkId id = link->about().id;
  links_[id] = std::move(link);
}

void AmqpConnection::drop(amqp::LinkId link, std::optional<amqp::Error> error) {
  auto node = links_.extract(link);
  if (!node) return;
  dropped_.push_back(std::move(node.mapped()));
  if (error) engine_.detach(link, std::move(error));
  wake();
}

void AmqpConnection::entities_changed() {
  std::vector<std::pair<amqp::LinkId, amqp::Error>> obsolete;
  for (const auto& [id, link] : links_)
    if (auto error = link->obsolete()) obsolete.emplace_back(id, *std::move(error));
  for (auto& [id, error] : obsolete) drop(id, std::move(error));
}

// --- the engine's events -------------------------------------------------------------------------

void AmqpConnection::on(amqp::SaslLogin& login) {
  const bool check =
      login.mechanism == "PLAIN" && shared_.options.auth == AmqpOptions::Auth::Strict;
  if (check) {
    auto claim = verify_login(login.user, login.password, shared_.broker);
    if (!claim) {
      shared_.log.warn("AMQP login refused", {{"peer", stream_->peer()}, {"user", login.user}});
      return engine_.sasl_outcome(amqp::SaslCode::Auth);
    }
    claims_.put(*std::move(claim));
  }
  engine_.sasl_outcome(amqp::SaslCode::Ok);
}

void AmqpConnection::on(amqp::Opened& opened) {
  opened_ = true;
  if (!room_) {
    shared_.log.warn("AMQP connection refused",
                     {{"peer", stream_->peer()}, {"error", room_.error().message}});
    return close(to_error(Operation::Entity, room_.error()));
  }
  shared_.log.debug("AMQP connection opened",
                    {{"peer", stream_->peer()}, {"container", opened.open.container_id}});
  tick();  // keeping it alive is due from now on
}

void AmqpConnection::on(amqp::SessionBegun& /*begun*/) {}

void AmqpConnection::on(amqp::LinkAttached& attached) { attach_link(*this, attached); }

void AmqpConnection::on(amqp::CreditGiven& credit) {
  const TimePoint time = now();
  if (Link* link = active(credit.link, time)) link->on_credit(credit, time);
}

void AmqpConnection::on(amqp::MessageReceived& message) {
  const TimePoint time = now();
  if (Link* link = active(message.link, time)) link->on_message(message, time);
}

void AmqpConnection::on(amqp::MessageTooLarge& message) {
  if (Link* link = find(message.link)) link->on_too_large(message);
}

void AmqpConnection::on(amqp::DispositionReceived& disposition) {
  if (!disposition.we_sent) return;  // the sender settles what we have settled
  const TimePoint time = now();
  if (Link* link = active(disposition.link, time)) return link->on_disposition(disposition, time);
  if (disposition.settled) return;
  engine_.settle_unknown(
      disposition.session, disposition.delivery,
      amqp::Rejected{to_error(Operation::Lock, fail(Code::Conflict, "no such delivery"))});
}

void AmqpConnection::on(amqp::LinkDetached& detached) { drop(detached.link, std::nullopt); }

void AmqpConnection::on(amqp::SessionEnded& /*ended*/) {}

void AmqpConnection::on(amqp::Closed& closed) {
  if (closed.error && closed.protocol_error)
    shared_.log.warn("AMQP connection closed", {{"peer", stream_->peer()},
                                                {"condition", closed.error->condition},
                                                {"error", closed.error->description}});
  write_out();
  stream_->finish();
  leave();
}

// --- the end -------------------------------------------------------------------------------------

void AmqpConnection::close(std::optional<amqp::Error> error) {
  if (left_) return;
  engine_.close(std::move(error));
  write_out();
  stream_->finish();
  leave();
}

// Gives up what the broker keeps for this client. Never called from within a link; who calls holds
// the object.
void AmqpConnection::leave() {
  left_ = true;
  if (timer_ != 0) shared_.loop.cancel(std::exchange(timer_, 0));
  std::exchange(links_, {}).clear();
  std::exchange(dropped_, {}).clear();
  shared_.connections.erase(this);
  if (shared_.on_left) shared_.on_left(*this);
}

// --- time ----------------------------------------------------------------------------------------

bool AmqpConnection::late(TimePoint now) const {
  const bool strict = shared_.options.auth == AmqpOptions::Auth::Strict;
  return now >= deadline_ && !(opened_ && (claimed_ || !strict));
}

void AmqpConnection::tick() {
  if (left_) return;
  const TimePoint time = now();
  if (late(time))
    return close(make_error(condition::kUnauthorized,
                            "No token came for this connection in the time given for it."));
  const auto engine_due = heard_ ? engine_.tick(time) : std::nullopt;
  expire_claims(time);
  detach_idle_links(time);
  wake();
  if (const auto due = next_due(time, engine_due)) arm(*due);
}

void AmqpConnection::expire_claims(TimePoint now) {
  if (!claims_.expire(now)) return;
  std::vector<amqp::LinkId> expired;
  for (const auto& [id, link] : links_) {
    const Link::About& about = link->about();
    if (!about.address.cbs && !allowed(about.address.path, about.right, now)) expired.push_back(id);
  }
  for (const amqp::LinkId link : expired)
    drop(link, make_error(condition::kUnauthorized, "The token of this link has expired."));
}

void AmqpConnection::detach_idle_links(TimePoint now) {
  if (!shared_.options.idle_link_timeout) return;
  std::vector<amqp::LinkId> idle;
  for (const auto& [id, link] : links_)
    if (now - link->last_active >= *shared_.options.idle_link_timeout) idle.push_back(id);
  for (const amqp::LinkId link : idle) drop(link, forced(find(link)->about().name, "Idle"));
}

std::optional<TimePoint> AmqpConnection::next_due(TimePoint now,
                                                  std::optional<TimePoint> engine_due) const {
  std::optional<TimePoint> due = engine_due;
  if (deadline_ > now) earlier(due, deadline_);
  earlier(due, claims_.next_expiry());
  // To within a quarter of it, so that traffic needs no timer of its own.
  if (shared_.options.idle_link_timeout) earlier(due, now + *shared_.options.idle_link_timeout / 4);
  return due;
}

// One timer, which may fire early: tick() looks at all that could be due.
void AmqpConnection::arm(TimePoint due) {
  if (timer_ != 0 && armed_for_ <= due) return;
  if (timer_ != 0) shared_.loop.cancel(timer_);
  armed_for_ = due;
  constexpr Duration kShortest = std::chrono::milliseconds(1);
  // A token may live for thousands of years, which no timer counts.
  constexpr Duration kLongest = std::chrono::hours(1);
  const Duration delay = std::clamp(Duration(due - now()), kShortest, kLongest);
  timer_ = shared_.loop.run_after(delay, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->timer_ = 0;
    self->tick();
  });
}

}  // namespace jobmill::front
