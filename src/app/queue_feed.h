// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "broker/broker.h"
#include "net/event_loop.h"
#include "scalers/azure_servicebus.h"

namespace jobmill::app {

// What happens in the broker's queues, for the control thread: one stream, in the order in which it
// happened, with the state of each queue after it. And the local answers to azure-servicebus
// triggers.
//
// Two sides: the broker's, on the loop thread, and the control thread's. Each call says whose it
// is.
class QueueFeed {
 public:
  // Of one turn of the loop.
  struct News {
    std::vector<broker::MessageEvent> events;
    std::vector<std::pair<std::string, Result<broker::QueueState>>> states;  // after the events
  };

  // Whether an address is ours: "localhost:5672".
  using OwnAddress = std::function<bool(const std::string& host_and_port)>;
  // What an identity may do with a queue (lower case; empty: with all).
  using RightsOf =
      std::function<broker::Rights(const std::string& principal, const std::string& path)>;

  QueueFeed(net::EventLoop& loop, net::EventLoop& control, broker::Broker& broker,
            const Clock& clock, OwnAddress own_address, RightsOf rights_of);
  QueueFeed(const QueueFeed&) = delete;
  QueueFeed& operator=(const QueueFeed&) = delete;

  // --- control thread ---
  void on_news(std::function<void(const News&)> listener);
  // Queues came, went or have other keys; paths of those that are gone.
  void on_entities(std::function<void(const std::vector<std::string>& gone)> listener);
  void watch(const std::string& path);  // once for each; its state comes as news
  void unwatch(const std::string& path);
  // The queues that a trigger means: one, which need not exist, or those that its pattern fits.
  // Unsupported: its namespace is none of ours. PermissionDenied: the key is not one of ours, or
  // may not listen, or the identity has no role for that.
  using Paths = std::vector<std::string>;
  void locate(scalers::ServiceBusTrigger trigger, std::function<void(Result<Paths>)> done);
  // The settings of those queues; what is not there is left out.
  void describe(std::vector<std::string> paths,
                std::function<void(std::vector<broker::QueueDescription>)> done);
  // Runs `there` on the loop thread; `here` after it, and after all news of what was before.
  void pass_through(std::function<void(std::function<void()> done)> there,
                    std::function<void()> here);
  scalers::ServiceBusSource source();

  // --- loop thread ---
  void entity_changed(const std::string& path, broker::Broker::Change change);

 private:
  struct Subscription {
    scalers::ServiceBusTrigger trigger;
    std::function<void()> changed;
  };

  void flush_later();
  void flush();
  void tell_entities();
  void touched(const std::string& path);
  Status check(const scalers::ServiceBusTrigger& trigger) const;
  Status check_role(const std::string& principal, const std::string& path) const;
  Result<Paths> find(const scalers::ServiceBusTrigger& trigger) const;
  Status check_key(const scalers::ServiceBusConnection& connection, const std::string& path) const;
  bool is_ours(const std::string& host) const;
  Result<std::vector<std::int64_t>> counts(const scalers::ServiceBusTrigger& trigger) const;
  void subscribe(const std::shared_ptr<Subscription>& subscription, bool on);

  net::EventLoop& loop_;
  net::EventLoop& control_;
  broker::Broker& broker_;
  const Clock& clock_;
  const OwnAddress own_address_;
  const RightsOf rights_of_;

  // of the control thread
  std::function<void(const News&)> on_news_;
  std::function<void(const std::vector<std::string>&)> on_entities_;

  // of the loop thread
  std::map<std::string, int> watched_;  // how often
  std::set<std::shared_ptr<Subscription>> subscriptions_;
  std::vector<broker::MessageEvent> events_;
  std::set<std::string> touched_;
  std::vector<std::string> gone_;  // queues, and nobody was told
  bool all_touched_ = false;
  bool telling_ = false;
  bool flushing_ = false;
};

}  // namespace jobmill::app
