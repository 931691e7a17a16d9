// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "api/atom_admin.h"
#include "api/identity.h"
#include "api/message_rest.h"
#include "api/service_bus_access.h"
#include "api/service_bus_api.h"
#include "app/emulator_config.h"
#include "app/queue_feed.h"
#include "app/running_replicas.h"
#include "base/clock.h"
#include "base/log.h"
#include "broker/broker.h"
#include "front/amqp_server.h"
#include "http/server.h"
#include "jobmill/server.h"
#include "net/event_loop.h"
#include "net/listener.h"
#include "net/tls.h"
#include "store/sqlite/message_store.h"
#include "store/sqlite/sqlite_file.h"

namespace jobmill::app {

// The message broker of this server with all that leads to it: its store, the AMQP listeners, the
// management listeners, its certificates and its timer. Made on any thread before the loop runs;
// afterwards everything happens on the loop thread.
class ServiceBus {
 public:
  struct Parts {
    net::EventLoop& loop;
    sqlite::SqliteFile& file;
    const Clock& clock;
    Log& log;
    const ServiceBusOptions& options;
    net::EventLoop& control;            // where the news of queues go
    const api::Identities& identities;  // whose tokens are good
    const RunningReplicas& running;     // on whose behalf clients of this machine speak
    std::string data{};                 // folder
  };

  // Reads what is stored and binds the listeners; peers wait until start().
  // InvalidArgument: the emulator's file; Conflict: an address is in use.
  static Result<std::unique_ptr<ServiceBus>> open(Parts parts);
  ~ServiceBus();  // on the loop thread, or after the loop has ended

  // Creates what the emulator's file names, then lets peers in. On the loop thread.
  void start();
  // No new peers; those that are there are told to connect again. On the loop thread.
  void stop();
  // Certificates by path are read again. On the loop thread.
  void reload_certificates();

  // AMQP on a stream that came as a WebSocket. On the loop thread.
  void serve(std::shared_ptr<net::Stream> stream) { amqp_.serve(std::move(stream)); }

  api::ServiceBusApi& api() { return api_; }
  QueueFeed& feed() { return feed_; }

  // A replica's process ended: reads its connections to their end, then ends its locks, as failed
  // deliveries when `count`. On the loop thread.
  void end_holder(const std::string& replica, bool count, std::function<void()> done);
  // "ns.servicebus.windows.net" of each namespace, lower case. From any thread.
  std::vector<std::string> host_names() const;
  // Clients have to be told of the authority in DATA/tls.
  bool own_authority() const { return tls_ != nullptr && parts_.options.tls_cert.empty(); }
  const Server::ServiceBusAddresses& addresses() const { return addresses_; }
  void set_websocket(std::string address) { addresses_.websocket = std::move(address); }
  std::string connection_string(bool tls) const;
  std::shared_ptr<const net::TlsContext> tls() const { return tls_; }

 private:
  ServiceBus(Parts parts, std::unique_ptr<sqlite::MessageStore> store,
             std::unique_ptr<broker::Broker> broker, Secret root_key);

  Status open_tls();
  Status ensure_certificates();
  void keep_certificates();
  void keep_certificates_daily();
  front::AmqpOptions amqp_options() const;
  void entity_changed(const std::string& path, broker::Broker::Change change);
  void publish_names();
  bool is_own_address(const std::string& host_and_port) const;
  Status listen();
  Status listen_amqp(const std::string& address, bool tls, std::string& real);
  Status listen_admin(const std::string& address, bool tls, std::string& real);
  Status read_emulator_file();
  void create_next();
  bool knows_namespace(std::string_view name) const;
  void serve_admin(http::Request request, http::Responder responder, bool tls);
  void wake_at(TimePoint due);
  void tick();
  http::Response health() const;
  std::string connection_string(std::string_view name_space, std::string_view rule,
                                const Secret& key, std::string_view entity, bool tls) const;

  Parts parts_;
  std::unique_ptr<sqlite::MessageStore> store_;
  std::unique_ptr<broker::Broker> broker_;
  Secret root_key_;
  api::ServiceBusAccess access_;
  api::AtomAdmin atom_;
  api::AtomAdmin atom_tls_;
  api::MessageRest rest_;
  api::ServiceBusApi api_;
  front::AmqpServer amqp_;
  QueueFeed feed_;
  mutable std::mutex names_mutex_;  // guards names_
  std::vector<std::string> names_;
  std::shared_ptr<net::TlsContext> tls_;
  std::vector<std::shared_ptr<net::Listener>> listeners_;
  std::vector<std::unique_ptr<http::Server>> admins_;
  Server::ServiceBusAddresses addresses_;
  std::vector<std::pair<std::string, broker::QueueDescription>> to_create_;  // the last one first
  net::EventLoop::TimerId timer_ = 0;
  TimePoint due_ = TimePoint::max();
  std::vector<std::function<void()>> early_;  // management requests before serving
  bool serving_ = false;
  bool stopped_ = false;
};

}  // namespace jobmill::app
