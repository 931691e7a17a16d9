// SPDX-License-Identifier: Apache-2.0
#include "k8s/elector.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "base/duration.h"
#include "k8s/lease_state.h"

namespace jobmill::k8s {
namespace {

using resources::kLeases;

// Runs on while the machine sleeps, unlike the steady clock of the library.
class MachineClock final : public Clock {
 public:
  TimePoint now() const override {
    timespec at{};
    ::clock_gettime(CLOCK_BOOTTIME, &at);
    return TimePoint(std::chrono::floor<Duration>(std::chrono::seconds(at.tv_sec) +
                                                  std::chrono::nanoseconds(at.tv_nsec)));
  }
};
const MachineClock kMachineClock;

// Kubernetes' MicroTime: always six digits.
std::string micro_time(TimePoint at) {
  const auto second = std::chrono::floor<std::chrono::seconds>(at);
  std::string text = format_instant(second);
  text.pop_back();  // Z
  return fmt::format("{}.{:06}Z", text.substr(0, text.find('.')), (at - second).count());
}

std::string text_of(const Node* node) { return node && node->is_string() ? node->text : ""; }

std::int64_t number_of(const Node* node) { return node ? node->as_int().value_or(0) : 0; }

Lease lease_in(const Node& object) {
  Lease lease;
  if (const Node* metadata = object.find("metadata"))
    lease.version = text_of(metadata->find("resourceVersion"));
  const Node* spec = object.find("spec");
  if (!spec) return lease;
  lease.holder = text_of(spec->find("holderIdentity"));
  lease.duration = std::chrono::seconds(number_of(spec->find("leaseDurationSeconds")));
  lease.transitions = number_of(spec->find("leaseTransitions"));
  return lease;
}

}  // namespace

struct Elector::Impl : std::enable_shared_from_this<Elector::Impl> {
  Impl(Client& of, World in, Options with, std::function<void(bool)> tell,
       std::function<void(const Fault&)> tell_ill)
      : client(of),
        world(std::move(in)),
        options(std::move(with)),
        clock(options.since_start ? *options.since_start : kMachineClock),
        changed(std::move(tell)),
        ill(std::move(tell_ill)),
        state({.identity = options.identity,
               .duration = options.duration,
               .renew_deadline = options.renew_deadline,
               .retry = options.retry}) {}

  Client& client;
  const World world;
  const Options options;
  const Clock& clock;
  const std::function<void(bool)> changed;
  const std::function<void(const Fault&)> ill;
  LeaseState state;
  Node object = Node::object();  // as it was last; what we do not know of it is kept
  bool told = false;
  bool closed = false;
  bool is_ill = false;
  std::function<void()> resigned;
  std::shared_ptr<void> timer;

  // What is told may destroy the elector.
  void go_on() {
    if (const auto request = state.next(clock.now())) send(*request);
    const TimePoint now = clock.now();
    const bool leads = state.leads(now);
    if (std::exchange(told, leads) != leads) changed(leads);
    if (closed) return;
    if (state.at_rest(now)) {
      timer.reset();
      if (const auto done = std::exchange(resigned, {})) done();
      return;
    }
    timer = world.run_after(state.next_change(now) - now, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self && !self->closed) self->go_on();
    });
  }

  void send(const LeaseState::Request& request) {
    auto done = [weak = weak_from_this(), number = request.number](Result<Node> answer) {
      const auto self = weak.lock();
      if (self && !self->closed) self->take(number, std::move(answer));
    };
    if (request.kind == LeaseState::Request::Kind::Read)
      return client.get(kLeases, options.ns, options.name, std::move(done));
    if (request.lease.version.empty())
      return client.create(kLeases, options.ns, lease_object(request), std::move(done));
    client.replace(kLeases, options.ns, options.name, lease_object(request), std::move(done));
  }

  Node lease_object(const LeaseState::Request& request) const {
    const Lease& lease = request.lease;
    Node made = lease.version.empty() ? new_object() : object;
    Node* spec = made.find("spec");
    if (!spec) spec = &made.set("spec", Node::object());
    const Node now = Node::string(micro_time(world.clock.now()));
    std::erase_if(spec->members, [](const auto& member) { return member.key == "holderIdentity"; });
    if (!lease.holder.empty()) spec->set("holderIdentity", Node::string(lease.holder));
    spec->set("leaseDurationSeconds",
              Node::integer(std::chrono::ceil<std::chrono::seconds>(lease.duration).count()));
    spec->set("renewTime", now);
    spec->set("leaseTransitions", Node::integer(lease.transitions));
    if (request.acquires) spec->set("acquireTime", now);
    return made;
  }

  Node new_object() const {
    Node made = Node::object();
    made.set("apiVersion", Node::string(kLeases.api_version()));
    made.set("kind", Node::string(kLeases.kind));
    made.set("metadata", Node::object()).set("name", Node::string(options.name));
    return made;
  }

  // That it is not there, or was changed meanwhile, is how leases are.
  void tell_health(const Result<Node>& answer) {
    const Code code = answer ? Code::NotFound : answer.error().code;
    const bool well =
        code == Code::NotFound || code == Code::Conflict || code == Code::AlreadyExists;
    const bool was_ill = std::exchange(is_ill, !well);
    if (!well && !was_ill && ill) ill(answer.error());
  }

  void take(std::uint64_t number, Result<Node> answer) {
    tell_health(answer);
    if (closed) return;
    if (answer) {
      Lease lease = lease_in(*answer);
      if (state.answered(number, std::move(lease), clock.now())) object = *std::move(answer);
    } else {
      (void)state.answered(number, std::move(answer).error(), clock.now());
    }
    go_on();
  }
};

Elector::Elector(Client& client, World world, Options options, std::function<void(bool)> changed,
                 std::function<void(const Fault&)> ill)
    : impl_(std::make_shared<Impl>(client, std::move(world), std::move(options), std::move(changed),
                                   std::move(ill))) {
  impl_->go_on();
}

Elector::~Elector() {
  impl_->closed = true;
  impl_->timer.reset();
}

bool Elector::leads() const { return impl_->state.leads(impl_->clock.now()); }

std::string Elector::leader() const { return impl_->state.leader(); }

void Elector::resign(std::function<void()> done) {
  const auto impl = impl_;  // what is told may destroy us
  impl->resigned = std::move(done);
  impl->state.resign(impl->clock.now());
  impl->go_on();
}

}  // namespace jobmill::k8s
