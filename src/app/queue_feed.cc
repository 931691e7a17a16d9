// SPDX-License-Identifier: Apache-2.0
#include "app/queue_feed.h"

#include <algorithm>

#include "broker/address.h"
#include "http/message.h"
#include "net/address.h"

namespace jobmill::app {
namespace {

using broker::Right;
using scalers::ServiceBusConnection;
using scalers::ServiceBusTrigger;

constexpr std::string_view kFqdn = ".servicebus.windows.net";

std::string queue_path(const ServiceBusTrigger& trigger) { return broker::lower(trigger.queue); }

bool is_this_machine(const std::string& host_and_port) {
  const std::string host = broker::lower(host_and_port.substr(0, host_and_port.rfind(':')));
  return host == "localhost" || net::is_loopback(host);
}

Fault not_ours() { return fail(Code::Unsupported, "the namespace is not one of this server"); }

}  // namespace

QueueFeed::QueueFeed(net::EventLoop& loop, net::EventLoop& control, broker::Broker& broker,
                     const Clock& clock, OwnAddress own_address, RightsOf rights_of)
    : loop_(loop),
      control_(control),
      broker_(broker),
      clock_(clock),
      own_address_(std::move(own_address)),
      rights_of_(std::move(rights_of)) {
  broker_.on_message([this](const broker::MessageEvent& event) {
    events_.push_back(event);
    flush_later();
  });
  broker_.on_queue([this](const std::string& path) { touched(path); });
}

// --- from the broker to the control thread ------------------------------------------------------

void QueueFeed::touched(const std::string& path) {
  touched_.insert(path);
  flush_later();
}

// One round for all that happens in a turn of the loop.
void QueueFeed::flush_later() {
  if (std::exchange(flushing_, true)) return;
  loop_.post([this] { flush(); });
}

void QueueFeed::flush() {
  flushing_ = false;
  News news{.events = std::exchange(events_, {}), .states = {}};
  const std::set<std::string> paths = std::exchange(touched_, {});
  for (const std::string& path : paths)
    if (watched_.contains(path)) news.states.emplace_back(path, broker_.queue_state(path));
  for (const auto& subscription : subscriptions_)
    if (subscription->trigger.regex || paths.contains(queue_path(subscription->trigger)))
      subscription->changed();
  if (news.events.empty() && news.states.empty()) return;
  control_.post([this, news = std::move(news)] {
    if (on_news_) on_news_(news);
  });
}

// One round for all that happens in a turn of the loop: many are made at a time.
void QueueFeed::entity_changed(const std::string& path, broker::Broker::Change change) {
  if (change == broker::Broker::Change::Gone) gone_.push_back(path);
  if (change != broker::Broker::Change::Made) all_touched_ = true;
  if (std::exchange(telling_, true)) return;
  loop_.post([this] { tell_entities(); });
}

void QueueFeed::tell_entities() {
  telling_ = false;
  if (std::exchange(all_touched_, false)) {
    for (const auto& [path, times] : watched_) touched_.insert(path);
    for (const auto& subscription : subscriptions_)
      touched_.insert(queue_path(subscription->trigger));
    flush_later();
  }
  control_.post([this, gone = std::exchange(gone_, {})] {
    if (on_entities_) on_entities_(gone);
  });
}

// --- what the control thread asks for -----------------------------------------------------------

void QueueFeed::on_news(std::function<void(const News&)> listener) {
  on_news_ = std::move(listener);
}

void QueueFeed::on_entities(std::function<void(const std::vector<std::string>& gone)> listener) {
  on_entities_ = std::move(listener);
}

void QueueFeed::watch(const std::string& path) {
  loop_.post([this, path] {
    if (++watched_[path] == 1) broker_.watch(path, true);
    touched(path);
  });
}

void QueueFeed::unwatch(const std::string& path) {
  loop_.post([this, path] {
    const auto it = watched_.find(path);
    if (it == watched_.end() || --it->second > 0) return;
    watched_.erase(it);
    broker_.watch(path, false);
  });
}

void QueueFeed::locate(ServiceBusTrigger trigger, std::function<void(Result<Paths>)> done) {
  loop_.post([this, trigger = std::move(trigger), done = std::move(done)] {
    control_.post([done, found = find(trigger)] { done(found); });
  });
}

void QueueFeed::describe(std::vector<std::string> paths,
                         std::function<void(std::vector<broker::QueueDescription>)> done) {
  loop_.post([this, paths = std::move(paths), done = std::move(done)] {
    std::vector<broker::QueueDescription> found;
    for (const std::string& path : paths)
      if (auto queue = broker_.queue(path)) found.push_back(std::move(queue->description));
    control_.post([done, found = std::move(found)] { done(found); });
  });
}

void QueueFeed::pass_through(std::function<void(std::function<void()> done)> there,
                             std::function<void()> here) {
  loop_.post([this, there = std::move(there), here = std::move(here)] {
    there([this, here] {
      flush();
      control_.post(here);
    });
  });
}

// --- whose queue a trigger means ----------------------------------------------------------------

bool QueueFeed::is_ours(const std::string& host) const {
  const std::string name = broker::lower(host.substr(0, host.find(':')));
  const auto known = broker_.namespaces();
  return std::ranges::any_of(known,
                             [&](const auto& one) {
                               return name == broker::lower(one.name) + std::string(kFqdn);
                             }) ||
         own_address_(broker::lower(host));
}

// Counting needs the right to listen, or to manage, as it does in the cloud.
Status QueueFeed::check_key(const ServiceBusConnection& connection, const std::string& path) const {
  if (!connection.signature.empty()) {
    std::vector<broker::AuthorizationRule> rules;
    const auto find_rules = [&](std::string_view asked) {
      rules = broker_.rules(asked);
      return std::span<const broker::AuthorizationRule>(rules);
    };
    TRY(const auto claim,
        broker::verify_sas(connection.signature.reveal(), find_rules, clock_.now()));
    const bool enough = claim.covers(path) && claim.rights.has(Right::Listen);
    return enough ? Status{} : fail(Code::PermissionDenied, "the token may not listen");
  }
  for (const broker::AuthorizationRule& rule : broker_.rules(path)) {
    if (!http::iequals(rule.name, connection.key_name)) continue;
    const std::string& key = connection.key.reveal();
    const bool known = rule.primary_key.equals(key) ||
                       (!rule.secondary_key.empty() && rule.secondary_key.equals(key));
    if (known && rule.rights.has(Right::Listen)) return {};
    if (known)
      return fail(Code::PermissionDenied,
                  "the rule " + rule.name + " may not listen; counting needs that right");
  }
  return fail(Code::PermissionDenied,
              "the connection's key is none of " + connection.host + "'s rules");
}

// Ours, and the asker may count there.
Status QueueFeed::check(const ServiceBusTrigger& trigger) const {
  const std::string path = trigger.regex ? std::string() : queue_path(trigger);
  if (trigger.connection.empty())
    return is_ours(trigger.host) ? check_role(trigger.principal, path) : not_ours();
  TRY(const ServiceBusConnection connection, scalers::parse_connection(trigger.connection));
  const Status known = check_key(connection, path);
  // A string that was made before a restart names the port of then; nobody else has the key.
  const bool ours = is_ours(connection.host) || (known && is_this_machine(connection.host));
  return ours ? known : not_ours();
}

Status QueueFeed::check_role(const std::string& principal, const std::string& path) const {
  if (principal.empty() || rights_of_(principal, path).has(Right::Listen)) return {};
  return fail(Code::PermissionDenied, "the identity '" + principal +
                                          "' has no role to receive from " +
                                          (path.empty() ? "all queues" : "the queue " + path) +
                                          "; counting needs one: Azure Service Bus Data Receiver");
}

Result<QueueFeed::Paths> QueueFeed::find(const ServiceBusTrigger& trigger) const {
  TRY_VOID(check(trigger));
  if (trigger.queue.empty())
    return fail(Code::InvalidArgument, "topics are not in this version; name a queue");
  if (!trigger.regex) return Paths{queue_path(trigger)};
  Paths paths;
  for (const broker::QueueInfo& queue : broker_.queues()) {
    TRY(const bool fits, scalers::entity_matches(trigger.queue, queue.description.name));
    if (fits) paths.push_back(broker::lower(queue.description.name));
  }
  return paths;
}

// --- triggers that only count -------------------------------------------------------------------

Result<std::vector<std::int64_t>> QueueFeed::counts(const ServiceBusTrigger& trigger) const {
  TRY(const Paths paths, find(trigger));
  std::vector<std::int64_t> all;
  for (const std::string& path : paths) {
    TRY(const broker::QueueInfo queue, broker_.queue(path));
    all.push_back(queue.counts.active);
  }
  return all;
}

void QueueFeed::subscribe(const std::shared_ptr<Subscription>& subscription, bool on) {
  loop_.post([this, subscription, on] {
    const std::string path = queue_path(subscription->trigger);
    if (on ? !subscriptions_.insert(subscription).second : subscriptions_.erase(subscription) == 0)
      return;
    if (path.empty() || subscription->trigger.regex) return;
    int& times = watched_[path];
    times += on ? 1 : -1;
    if (on && times == 1) broker_.watch(path, true);
    if (times > 0) return;
    watched_.erase(path);
    broker_.watch(path, false);
  });
}

scalers::ServiceBusSource QueueFeed::source() {
  return {.read =
              [this](const ServiceBusTrigger& trigger,
                     std::function<void(Result<std::vector<std::int64_t>>)> done) {
                loop_.post([this, trigger, done = std::move(done)] { done(counts(trigger)); });
              },
          .subscribe = [this](const ServiceBusTrigger& trigger,
                              std::function<void()> changed) -> std::shared_ptr<void> {
            auto subscription =
                std::make_shared<Subscription>(Subscription{trigger, std::move(changed)});
            subscribe(subscription, true);
            return {this, [this, subscription](void*) { subscribe(subscription, false); }};
          }};
}

}  // namespace jobmill::app
