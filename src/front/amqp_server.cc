// SPDX-License-Identifier: Apache-2.0
#include "front/amqp_server.h"

#include <chrono>
#include <list>
#include <set>
#include <utility>
#include <vector>

#include "front/amqp_connection.h"
#include "front/errors.h"

namespace jobmill::front {

namespace {

// What a process sent before it died is in the kernel already; only a peer that lives on keeps its
// connection open.
constexpr Duration kLastWords = std::chrono::milliseconds(100);

}  // namespace

struct AmqpServer::Impl {
  Impl(net::EventLoop& loop, broker::Broker& broker, const Clock& clock, Log& log,
       AmqpOptions given)
      : options(std::move(given)),
        shared{.loop = loop, .broker = broker, .clock = clock, .log = log, .options = options} {
    shared.on_left = [this](AmqpConnection& connection) { left(connection); };
  }
  ~Impl() {
    for (const Ending& ending : endings) shared.loop.cancel(ending.timer);
  }

  // Whoever waits for the connections of a replica to be read to their end.
  struct Ending {
    std::set<const AmqpConnection*> open{};
    std::function<void()> done{};
    net::EventLoop::TimerId timer = 0;
  };

  const AmqpOptions options;
  Shared shared;
  std::list<Ending> endings{};
  bool over = false;

  // A copy: connections may leave while they are visited.
  std::vector<std::shared_ptr<AmqpConnection>> all() const {
    std::vector<std::shared_ptr<AmqpConnection>> out;
    out.reserve(shared.connections.size());
    for (const auto& [key, connection] : shared.connections) out.push_back(connection);
    return out;
  }

  void finish(std::string_view replica, std::function<void()> done) {
    std::set<const AmqpConnection*> open;
    for (const auto& [key, connection] : shared.connections)
      if (connection->is_of(replica)) open.insert(key);
    if (open.empty()) return done();
    const auto at = endings.insert(endings.end(), {std::move(open), std::move(done)});
    at->timer = shared.loop.run_after(kLastWords, [this, at] { end(at); });
  }

  void end(std::list<Ending>::iterator at) {
    const auto done = std::move(at->done);
    endings.erase(at);
    done();
  }

  // It may be in the middle of a turn: who waits is told after it.
  void left(const AmqpConnection& connection) {
    for (auto at = endings.begin(); at != endings.end(); ++at) {
      if (at->open.erase(&connection) == 0 || !at->open.empty()) continue;
      shared.loop.cancel(at->timer);
      at->timer = shared.loop.run_after(Duration::zero(), [this, at] { end(at); });
    }
  }
};

AmqpServer::AmqpServer(net::EventLoop& loop, broker::Broker& broker, const Clock& clock, Log& log,
                       AmqpOptions options)
    : impl_(std::make_unique<Impl>(loop, broker, clock, log, std::move(options))) {}

AmqpServer::~AmqpServer() { shutdown(); }

void AmqpServer::serve(std::shared_ptr<net::Stream> stream) {
  if (impl_->over) return stream->close();
  const Status room =
      broker::check_count(static_cast<std::int64_t>(connections()),
                          impl_->shared.broker.limits().connections, "a namespace", "connections");
  const auto connection = std::make_shared<AmqpConnection>(impl_->shared, std::move(stream), room);
  impl_->shared.connections.emplace(connection.get(), connection);
  connection->start();
}

void AmqpServer::shutdown() {
  impl_->over = true;
  for (const auto& connection : impl_->all())
    connection->close(make_error(condition::kConnectionForced, "The server is shutting down."));
}

void AmqpServer::entities_changed() {
  for (const auto& connection : impl_->all()) connection->entities_changed();
}

void AmqpServer::finish_holder(std::string_view name, std::function<void()> done) {
  impl_->finish(name, std::move(done));
}

void AmqpServer::tick() {
  for (const auto& connection : impl_->all()) connection->tick();
}

std::size_t AmqpServer::connections() const { return impl_->shared.connections.size(); }

}  // namespace jobmill::front
