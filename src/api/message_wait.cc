// SPDX-License-Identifier: Apache-2.0
#include "api/message_wait.h"

#include <memory>
#include <utility>

namespace jobmill::api {
namespace {

using broker::Delivery;

// Keeps itself alive until it has answered.
class MessageWait final : public broker::Receiver,
                          public std::enable_shared_from_this<MessageWait> {
 public:
  using Done = std::function<void(Result<std::vector<Delivery>>)>;

  MessageWait(broker::Broker& broker, net::EventLoop& loop, const Clock& clock, MessageWish wish,
              Done done)
      : broker_(broker),
        loop_(loop),
        clock_(clock),
        wish_(std::move(wish)),
        done_(std::move(done)) {}

  void start(const http::Responder& responder) {
    self_ = shared_from_this();
    responder.on_gone([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->abandon();
    });
    const broker::ReceiverOptions options{
        .address = wish_.address, .mode = wish_.mode, .holder = {}};
    const TimePoint now = clock_.now();
    if (!wish_.session) {
      auto opened = broker_.open_receiver(options, *this, now);
      if (!opened) return finish(std::move(opened).error());
      receiver_ = *opened;
      return begin();
    }
    receiver_ =
        broker_.open_session(options, {.id = wish_.session, .give_up_at = now + wish_.wait}, *this,
                             now, [self = self_](Result<broker::SessionGrant> granted) {
                               self->session_opened(std::move(granted));
                             });
  }

  void deliver(Delivery delivery) override {
    deliveries_.push_back(std::move(delivery));
    if (deliveries_.size() == wish_.count) return later([](MessageWait& self) { self.answer(); });
    // The first one is here: what else there is comes at once, and nobody waits for more.
    if (deliveries_.size() == 1) later([](MessageWait& self) { self.drain(); });
  }

  void drained() override {
    later([](MessageWait& self) {
      if (!self.deliveries_.empty() || self.timer_ == 0) self.answer();
    });
  }

  void ended(const Fault& why) override {
    receiver_ = 0;
    later([why](MessageWait& self) { self.finish(why); });
  }

 private:
  void session_opened(Result<broker::SessionGrant> granted) {
    if (granted) {
      receiver_ = granted->receiver;
      return begin();
    }
    receiver_ = 0;
    if (granted.error().code == Code::Timeout) return finish(std::move(deliveries_));
    finish(std::move(granted).error());
  }

  void begin() {
    if (wish_.wait <= Duration::zero()) return drain();
    timer_ = loop_.run_after(wish_.wait, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self) return;
      self->timer_ = 0;
      // What is being deleted for us still comes.
      const bool deletes = self->wish_.mode == broker::ReceiveMode::ReceiveAndDelete;
      deletes ? self->drain() : self->answer();
    });
    broker_.grant(receiver_, credit(), false, clock_.now());
  }

  void drain() {
    if (receiver_ != 0) broker_.grant(receiver_, credit(), true, clock_.now());
  }

  void answer() {
    if (self_) finish(std::move(deliveries_));
  }

  // The client went away: nobody will settle what was locked for it.
  void abandon() {
    for (const Delivery& delivery : deliveries_)
      if (delivery.lock != 0)
        broker_.settle(delivery.lock, {.action = broker::Settlement::Action::Release}, clock_.now(),
                       [](const Status&) {});
    deliveries_.clear();
    done_ = nullptr;
    finish(std::move(deliveries_));
  }

  void finish(Result<std::vector<Delivery>> result) {
    const auto alive = std::exchange(self_, nullptr);
    if (!alive) return;
    if (timer_ != 0) loop_.cancel(timer_);
    if (receiver_ != 0) broker_.close(receiver_, clock_.now());
    if (done_) done_(std::move(result));
  }

  // Not from within a call of the broker.
  template <class Work>
  void later(Work work) {
    loop_.post([weak = weak_from_this(), work] {
      if (const auto self = weak.lock()) work(*self);
    });
  }

  std::uint32_t credit() const {
    return static_cast<std::uint32_t>(wish_.count - deliveries_.size());
  }

  broker::Broker& broker_;
  net::EventLoop& loop_;
  const Clock& clock_;
  MessageWish wish_;
  Done done_;
  std::shared_ptr<MessageWait> self_;  // until it has answered
  broker::ReceiverId receiver_ = 0;
  net::EventLoop::TimerId timer_ = 0;
  std::vector<Delivery> deliveries_;
};

}  // namespace

void receive_messages(broker::Broker& broker, net::EventLoop& loop, const Clock& clock,
                      MessageWish wish, const http::Responder& responder,
                      std::function<void(Result<std::vector<broker::Delivery>>)> done) {
  std::make_shared<MessageWait>(broker, loop, clock, std::move(wish), std::move(done))
      ->start(responder);
}

}  // namespace jobmill::api
