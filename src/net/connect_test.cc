// SPDX-License-Identifier: Apache-2.0
#include "net/connect.h"

#include <doctest/doctest.h>

#include <future>
#include <string>

#include "net/address.h"
#include "net/certificates.h"
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

// Collects what comes, until the peer's end or as much as is wanted.
struct Collect final : Stream::Events {
  Collect(std::shared_ptr<Stream> s, std::promise<std::string>& o,
          std::size_t w = std::string::npos)
      : stream(std::move(s)), outcome(o), want(w) {}
  void on_bytes(std::string_view more) override {
    bytes += more;
    if (bytes.size() >= want) on_end();
  }
  void on_end() override {
    outcome.set_value(bytes);
    stream->close();
  }
  void on_drained() override {}
  void on_broken() override { outcome.set_value("broken: " + stream->failure()); }

  std::shared_ptr<Stream> stream;
  std::promise<std::string>& outcome;
  std::size_t want;
  std::string bytes;
};

// Sends the words; what comes back, or why nothing does.
std::string say(EventLoop& loop, const std::string& host, std::uint16_t port,
                ConnectOptions options, const std::string& words) {
  std::promise<std::string> outcome;
  connect(loop, host, port, std::move(options), [&](Result<std::shared_ptr<Stream>> made) {
    if (!made) return outcome.set_value(made.error().message);
    (*made)->start(std::make_shared<Collect>(*made, outcome, words.size()));
    (*made)->write(words);
  });
  return outcome.get_future().get();
}

}  // namespace

TEST_CASE("connect: to an address and to a name") {
  LoopThread thread;
  EchoListener echo(thread);
  const auto port = echo.port();
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
  EchoListener echo(thread, {.tls = *TlsContext::open(made->server)});
  const auto port = echo.port();
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
  const std::string words(1u << 20, 'x');
  EchoListener speaker(thread, {.tls = *TlsContext::open(made->server)});
  speaker.on_accept = [&](Stream& stream) {
    stream.write(words);
    stream.finish();
  };
  const auto trust = TlsTrust::open(made->authority);
  REQUIRE(trust);
  std::promise<std::string> heard;
  connect(thread.loop, "localhost", speaker.port(), {.tls = *trust},
          [&](Result<std::shared_ptr<Stream>> stream) {
            REQUIRE(stream);
            thread.loop.run_after(
                20ms, [&, s = *stream] { s->start(std::make_shared<Collect>(s, heard)); });
          });
  CHECK(heard.get_future().get() == words);
}
