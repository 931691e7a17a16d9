// SPDX-License-Identifier: Apache-2.0
#include "front/amqp_server.h"

#include <utility>
#include <vector>

#include "front/amqp_connection.h"
#include "front/errors.h"

namespace jobmill::front {

struct AmqpServer::Impl {
  Impl(net::EventLoop& loop, broker::Broker& broker, const Clock& clock, Log& log,
       AmqpOptions given)
      : options(std::move(given)),
        shared{.loop = loop, .broker = broker, .clock = clock, .log = log, .options = options} {}

  const AmqpOptions options;
  Shared shared;
  bool over = false;

  // A copy: connections may leave while they are visited.
  std::vector<std::shared_ptr<AmqpConnection>> all() const {
    std::vector<std::shared_ptr<AmqpConnection>> out;
    out.reserve(shared.connections.size());
    for (const auto& [key, connection] : shared.connections) out.push_back(connection);
    return out;
  }
};

AmqpServer::AmqpServer(net::EventLoop& loop, broker::Broker& broker, const Clock& clock, Log& log,
                       AmqpOptions options)
    : impl_(std::make_unique<Impl>(loop, broker, clock, log, std::move(options))) {}

AmqpServer::~AmqpServer() { shutdown(); }

void AmqpServer::serve(std::shared_ptr<net::Stream> stream) {
  const auto& limit = impl_->options.max_connections;
  const bool full = limit && connections() >= *limit;
  if (full) impl_->shared.log.warn("AMQP connection refused: too many", {{"peer", stream->peer()}});
  if (full || impl_->over) return stream->close();
  const auto connection = std::make_shared<AmqpConnection>(impl_->shared, std::move(stream));
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

void AmqpServer::tick() {
  for (const auto& connection : impl_->all()) connection->tick();
}

std::size_t AmqpServer::connections() const { return impl_->shared.connections.size(); }

}  // namespace jobmill::front
