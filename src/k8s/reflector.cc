// SPDX-License-Identifier: Apache-2.0
#include "k8s/reflector.h"

#include <optional>
#include <utility>

#include "k8s/watch_state.h"

namespace jobmill::k8s {

// Kept alive by whoever calls into it; `closed` then says that its owner is gone.
struct Reflector::Impl : std::enable_shared_from_this<Reflector::Impl> {
  Impl(Client& of, World in, What which, Events tell)
      : client(of),
        world(std::move(in)),
        what(std::move(which)),
        events(std::move(tell)),
        state({.verb = "watch", .resource = what.resource, .ns = what.ns},
              Client::Watch{}.timeout) {}

  Client& client;
  const World world;
  const What what;
  const Events events;
  WatchState state;
  bool closed = false;
  std::uint64_t turn = 0;  // of the list or watch that is awaited
  std::shared_ptr<void> watch;
  std::shared_ptr<void> timer;
  std::optional<TimePoint> armed;  // when the timer is due

  // Answers of what was given up are not told to the state.
  template <class Tell>
  auto telling(Tell tell) {
    return [weak = weak_from_this(), of = turn, tell](auto&&... arguments) {
      const auto self = weak.lock();
      if (!self || self->closed || self->turn != of) return;
      self->carry_out(tell(self->state, std::forward<decltype(arguments)>(arguments)...,
                           self->world.clock.now()));
    };
  }

  // What is told may destroy the reflector.
  void carry_out(Steps steps) {
    for (Step& step : steps) {
      if (closed) return;
      std::visit([this](auto& one) { carry_out(one); }, step);
    }
    if (!closed) set_timer();
  }

  void carry_out(const BeginList&) {
    ++turn;
    client.list(what.resource, what.ns, what.label_selector,
                telling([](WatchState& s, Result<Node> list, TimePoint now) {
                  return s.list_came(std::move(list), now);
                }),
                what.field_selector);
  }

  void carry_out(const BeginWatch& begin) {
    ++turn;
    watch = client.watch(
        what.resource,
        {.ns = what.ns,
         .label_selector = what.label_selector,
         .field_selector = what.field_selector,
         .resource_version = begin.resource_version,
         .begun = telling([](WatchState& s, TimePoint now) { return s.watch_begun(now); })},
        telling([](WatchState& s, Node line, TimePoint now) {
          return s.line_came(std::move(line), now);
        }),
        telling([](WatchState& s, const Status& status, TimePoint now) {
          return s.watch_ended(status, now);
        }));
  }

  void carry_out(const EndWatch&) {
    ++turn;
    watch.reset();
  }

  void carry_out(Listed& listed) const { tell(events.listed, std::move(listed.items)); }
  void carry_out(Put& put) const { tell(events.put, std::move(put.object)); }
  void carry_out(Removed& removed) const { tell(events.removed, std::move(removed.object)); }
  void carry_out(const Ill& ill) const { tell(events.ill, ill.why); }
  void carry_out(const Well&) const { tell(events.well); }

  template <class Fn, class... Arguments>
  static void tell(const Fn& fn, Arguments&&... arguments) {
    if (fn) fn(std::forward<Arguments>(arguments)...);
  }

  void set_timer() {
    const auto due = state.next_change();
    if (due == armed) return;  // as after most lines
    armed = due;
    timer.reset();
    if (!due) return;
    timer = world.run_after(*due - world.clock.now(), [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self || self->closed) return;
      self->armed.reset();
      self->carry_out(self->state.tick(self->world.clock.now()));
    });
  }
};

Reflector::Reflector(Client& client, World world, What what, Events events)
    : impl_(std::make_shared<Impl>(client, std::move(world), std::move(what), std::move(events))) {
  impl_->carry_out(impl_->state.start());
}

Reflector::~Reflector() {
  impl_->closed = true;
  impl_->watch.reset();
  impl_->timer.reset();
}

bool Reflector::listed() const { return impl_->state.listed(); }

}  // namespace jobmill::k8s
