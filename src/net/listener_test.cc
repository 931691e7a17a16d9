// SPDX-License-Identifier: Apache-2.0
#include "net/listener.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "net/address.h"
#include "net/stream_rig.h"
#include "raw_socket.h"

using namespace jobmill;
using namespace jobmill::net;
using namespace jobmill::net::testing;
using jobmill::testing::RawSocket;

namespace {

std::shared_ptr<Listener> open(EventLoop& loop, const std::string& address) {
  auto listener = Listener::open(loop, address);
  REQUIRE(listener);
  return *listener;
}

}  // namespace

TEST_CASE("listener: port 0 is a free port on loopback") {
  EventLoop loop;
  const auto listener = open(loop, ":0");
  const auto address = parse_address(listener->address());
  REQUIRE(address);
  CHECK(address->host == "127.0.0.1");
  CHECK(address->port > 0);
}

TEST_CASE("listener: an address in use is a conflict that names its holder") {
  EventLoop loop;
  const auto first = open(loop, ":0");
  const auto second = Listener::open(loop, first->address());
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Code::Conflict);
  CHECK(second.error().message.find(first->address()) != std::string::npos);
  CHECK(second.error().message.find("(pid " + std::to_string(getpid()) + ")") != std::string::npos);
}

TEST_CASE("listener: addresses of other machines are errors") {
  EventLoop loop;
  for (const char* address : {"192.0.2.1:0", "127.0.0.1"}) {
    CAPTURE(address);
    const auto listener = Listener::open(loop, address);
    REQUIRE_FALSE(listener);
    CHECK(listener.error().code == Code::InvalidArgument);
  }
}

TEST_CASE("listener: processes that we start do not inherit its socket") {
  EventLoop loop;
  const auto listener = open(loop, ":0");
  const auto port = parse_address(listener->address())->port;
  for (int fd = 0; fd < 256; ++fd) {
    sockaddr_in where{};
    socklen_t size = sizeof where;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&where), &size) != 0) continue;
    if (where.sin_family == AF_INET && ntohs(where.sin_port) == port) {
      CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    }
  }
}

// The option of the connected sockets whose own or whose peer's port it is.
static std::vector<int> segments(std::uint16_t port) {
  std::vector<int> found;
  for (int fd = 0; fd < 256; ++fd) {
    sockaddr_in here{};
    sockaddr_in there{};
    socklen_t size = sizeof here;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&here), &size) != 0) continue;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&there), &size) != 0) continue;
    if (ntohs(here.sin_port) != port && ntohs(there.sin_port) != port) continue;
    int bytes = 0;
    size = sizeof bytes;
    REQUIRE(getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &bytes, &size) == 0);
    found.push_back(bytes);
  }
  return found;
}

TEST_CASE("listener: segments are limited at both ends, or as large as loopback has them") {
  LoopThread thread;
  for (const bool limited : {true, false}) {
    CAPTURE(limited);
    ListenOptions options;
    if (limited) options.max_segment = 16384;
    const auto listener = Listener::open(thread.loop, ":0", options);
    REQUIRE(listener);
    std::promise<std::shared_ptr<Stream>> accepted;
    thread.loop.post([&] {
      (*listener)->start([&](std::shared_ptr<Stream> stream) { accepted.set_value(stream); });
    });
    const RawSocket peer((*listener)->address());
    const auto stream = accepted.get_future().get();
    const auto found = segments(parse_address((*listener)->address())->port);
    REQUIRE(found.size() == 2);
    CHECK((std::max(found[0], found[1]) <= 32767) == limited);
  }
}

TEST_CASE("stream: bytes go both ways, and the end is passed on") {
  LoopThread thread;
  const auto listener = open(thread.loop, ":0");
  std::promise<std::string> peer_name;
  thread.loop.post([&] {
    listener->start([&](std::shared_ptr<Stream> stream) {
      peer_name.set_value(stream->peer());
      stream->start(std::make_shared<Echo>(stream));
    });
  });
  RawSocket peer(listener->address());
  peer.send("hello");
  peer.end();
  CHECK(peer.receive_all() == "hello");
  CHECK(peer_name.get_future().get().starts_with("127.0.0.1:"));
}

TEST_CASE("stream: a peer that does not read makes us queue, not lose and not spin") {
  constexpr std::size_t kSize = 32u << 20;  // more than the sockets hold
  LoopThread thread;
  const auto listener = open(thread.loop, ":0");
  std::promise<std::shared_ptr<Echo>> made;
  thread.loop.post([&] {
    listener->start([&](std::shared_ptr<Stream> stream) {
      auto echo = std::make_shared<Echo>(stream);
      made.set_value(echo);
      stream->start(std::move(echo));
    });
  });
  RawSocket peer(listener->address());
  std::string sent(kSize, '\0');
  for (std::size_t i = 0; i < kSize; ++i) sent[i] = static_cast<char>(i * 31 / 7);
  std::jthread sender([&] {
    peer.send(sent);
    peer.end();
  });
  const auto echo = made.get_future().get();
  echo->full.get_future().get();
  CHECK(peer.receive_all() == sent);
  const std::size_t most_unsent = echo->finished.get_future().get();
  CHECK(most_unsent <= 64u << 10);  // one read, so the pause held
}

TEST_CASE("stream: a peer that goes away without reading breaks it") {
  LoopThread thread;
  const auto listener = open(thread.loop, ":0");
  std::promise<std::shared_ptr<Echo>> made;
  thread.loop.post([&] {
    listener->start([&](std::shared_ptr<Stream> stream) {
      auto echo = std::make_shared<Echo>(stream);
      made.set_value(echo);
      stream->start(echo);
      stream->write(std::string(32u << 20, 'x'));
    });
  });
  std::shared_ptr<Echo> echo;
  {
    RawSocket peer(listener->address());
    echo = made.get_future().get();
  }  // closed with unread bytes: a reset
  CHECK(echo->broken.get_future().wait_for(std::chrono::seconds(60)) == std::future_status::ready);
}

TEST_CASE("stream: finish lets the peer read our last words although it still sends") {
  LoopThread thread;
  const auto listener = open(thread.loop, ":0");
  thread.loop.post([&] {
    listener->start([&](std::shared_ptr<Stream> stream) {
      stream->start(std::make_shared<Echo>(stream));
      stream->write("no");
      stream->finish();
    });
  });
  RawSocket peer(listener->address());
  peer.send(std::string(8u << 20, 'x'));
  CHECK(peer.receive_all() == "no");
}

TEST_CASE("stream: finish waits for what is unsent") {
  constexpr std::size_t kSize = 32u << 20;  // more than the sockets hold
  LoopThread thread;
  const auto listener = open(thread.loop, ":0");
  thread.loop.post([&] {
    listener->start([&](std::shared_ptr<Stream> stream) {
      stream->start(std::make_shared<Echo>(stream));
      stream->write(std::string(kSize, 'x'));
      stream->finish();
    });
  });
  RawSocket peer(listener->address());
  CHECK(peer.receive_all().size() == kSize);
}
