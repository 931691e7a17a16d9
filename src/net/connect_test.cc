// SPDX-License-Identifier: Apache-2.0
#include "net/connect.h"

#include <doctest/doctest.h>

#include <future>
#include <string>

#include "net/address.h"
#include "net/certificates.h"
#include "net/listener.h"
#include "net/stream_rig.h"
#include "raw_socket.h"
#include "temporary_folder.h"

using namespace jobmill;
using namespace jobmill::net;
using namespace jobmill::net::testing;
using namespace std::chrono_literals;
using jobmill::testing::RawListener;
using jobmill::testing::TemporaryFolder;

namespace {

std::uint16_t port_of(const std::string& address) { return parse_address(address)->port; }

// Collects what comes until the peer's end.
struct Collect final : Stream::Events {
  explicit Collect(std::shared_ptr<Stream> s) : stream(std::move(s)) {}
  void on_bytes(std::string_view more) override { bytes += more; }
  void on_end() override {
    stream->close();
    all.set_value(bytes);
  }
  void on_drained() override {}
  void on_broken() override { all.set_value("broken: " + stream->failure()); }

  std::shared_ptr<Stream> stream;
  std::string bytes;
  std::promise<std::string> all;
};

// Sends the words and the end of our direction's words, and waits for the echo of them.
std::string say(EventLoop& loop, const std::string& host, std::uint16_t port,
                ConnectOptions options, const std::string& words) {
  std::promise<std::string> outcome;
  connect(loop, host, port, std::move(options), [&](Result<std::shared_ptr<Stream>> made) {
    if (!made) return outcome.set_value(made.error().message);
    const auto stream = *made;
    struct Once final : Stream::Events {
      Once(std::shared_ptr<Stream> s, std::size_t n, std::promise<std::string>& o)
          : stream(std::move(s)), want(n), outcome(o) {}
      void on_bytes(std::string_view more) override {
        bytes += more;
        if (bytes.size() < want) return;
        outcome.set_value(bytes);
        stream->close();
      }
      void on_end() override { on_broken(); }
      void on_drained() override {}
      void on_broken() override { outcome.set_value("broken: " + stream->failure()); }
      std::shared_ptr<Stream> stream;
      std::size_t want;
      std::promise<std::string>& outcome;
      std::string bytes;
    };
    stream->start(std::make_shared<Once>(stream, words.size(), outcome));
    stream->write(words);
  });
  return outcome.get_future().get();
}

std::shared_ptr<Listener> echo_on(EventLoop& loop, ListenOptions options = {}) {
  auto listener = Listener::open(loop, ":0", std::move(options));
  REQUIRE(listener);
  loop.post([opened = *listener] {
    opened->start(
        [](std::shared_ptr<Stream> stream) { stream->start(std::make_shared<Echo>(stream)); });
  });
  return *listener;
}

}  // namespace

TEST_CASE("connect: to an address and to a name") {
  LoopThread thread;
  const auto listener = echo_on(thread.loop);
  const auto port = port_of(listener->address());
  CHECK(say(thread.loop, "127.0.0.1", port, {}, "hello") == "hello");
  // A name with several addresses, of which one listens.
  CHECK(say(thread.loop, "localhost", port, {}, "hello") == "hello");
}

TEST_CASE("connect: with TLS, to a server that proves its name") {
  LoopThread thread;
  const TemporaryFolder folder;
  const auto made = ensure_development_certificates(folder.path(), {"sb.servicebus.windows.net"},
                                                    SystemClock().now());
  REQUIRE(made);
  const auto listener = echo_on(thread.loop, {.tls = *TlsContext::open(made->server)});
  const auto port = port_of(listener->address());
  const auto trust = TlsTrust::open(made->authority);
  REQUIRE(trust);
  const std::string words(3u << 20, 'x');
  CHECK(say(thread.loop, "127.0.0.1", port, {.tls = *trust}, words) == words);
  CHECK(say(thread.loop, "127.0.0.1", port,
            {.tls = *trust, .server_name = "sb.servicebus.windows.net"}, "hi") == "hi");
  CHECK(say(thread.loop, "127.0.0.1", port, {.tls = *trust, .server_name = "other.test"}, "hi")
            .find("hostname mismatch") != std::string::npos);
  const auto system = TlsTrust::open();
  REQUIRE(system);
  CHECK(say(thread.loop, "localhost", port, {.tls = *system}, "hi")
            .find("unable to get local issuer certificate") != std::string::npos);
}

TEST_CASE("connect: nobody there") {
  LoopThread thread;
  std::string address;
  {
    const RawListener gone;
    address = gone.address();
  }
  std::promise<Fault> fault;
  connect(thread.loop, "127.0.0.1", port_of(address), {},
          [&](Result<std::shared_ptr<Stream>> made) {
            REQUIRE_FALSE(made);
            fault.set_value(made.error());
          });
  const Fault why = fault.get_future().get();
  CHECK(why.code == Code::Unavailable);
  CHECK(why.message == "cannot connect to " + address + ": Connection refused");
}

TEST_CASE("connect: a server that does not shake hands takes its time only") {
  LoopThread thread;
  const RawListener silent;
  const auto trust = TlsTrust::open();
  REQUIRE(trust);
  std::promise<Fault> fault;
  connect(thread.loop, "127.0.0.1", port_of(silent.address()), {.tls = *trust, .timeout = 20ms},
          [&](Result<std::shared_ptr<Stream>> made) {
            REQUIRE_FALSE(made);
            fault.set_value(made.error());
          });
  CHECK(fault.get_future().get().code == Code::Timeout);
}

TEST_CASE("connect: the owner may start the stream later, and nothing is lost") {
  LoopThread thread;
  const TemporaryFolder folder;
  const auto made = ensure_development_certificates(folder.path(), {}, SystemClock().now());
  REQUIRE(made);
  const auto context = TlsContext::open(made->server);
  REQUIRE(context);
  const std::string words(1u << 20, 'x');
  const auto listener = Listener::open(thread.loop, ":0", {.tls = *context});
  REQUIRE(listener);
  thread.loop.post([&] {
    (*listener)->start([&](std::shared_ptr<Stream> stream) {
      stream->start(std::make_shared<Collect>(stream));
      stream->write(words);
    });
  });
  const auto trust = TlsTrust::open(made->authority);
  REQUIRE(trust);
  std::promise<std::shared_ptr<Collect>> started;
  connect(thread.loop, "localhost", port_of((*listener)->address()), {.tls = *trust},
          [&](Result<std::shared_ptr<Stream>> stream) {
            REQUIRE(stream);
            thread.loop.run_after(20ms, [&, s = *stream] {
              auto reader = std::make_shared<Collect>(s);
              s->start(reader);
              started.set_value(std::move(reader));
            });
          });
  const auto reader = started.get_future().get();
  std::promise<void> arrived;
  const std::function<void()> look = [&] {
    if (reader->bytes.size() == words.size()) return arrived.set_value();
    thread.loop.run_after(1ms, look);
  };
  thread.loop.post(look);
  arrived.get_future().get();
  std::promise<void> closed;
  thread.loop.post([&] {
    CHECK(reader->bytes == words);
    reader->stream->close();
    closed.set_value();
  });
  closed.get_future().get();
}
