// SPDX-License-Identifier: Apache-2.0
#include "targets/process/socket_owner.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <vector>

#include <fmt/format.h>

#include "base/fd.h"
#include "targets/process/process.h"

namespace jobmill::targets {
namespace {

// Listens on this machine and takes one connection.
class Server {
 public:
  Server() {
    sockaddr_in address = loopback(0);
    REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(listener_.get(), 8) == 0);
    socklen_t size = sizeof address;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }

  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  std::uint16_t port() const { return port_; }

  // The other end, as text. It stays connected.
  std::string accept() {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    const int fd = ::accept(listener_.get(), reinterpret_cast<sockaddr*>(&peer), &size);
    REQUIRE(fd >= 0);
    accepted_.emplace_back(fd);
    return fmt::format("127.0.0.1:{}", ntohs(peer.sin_port));
  }

 private:
  Fd listener_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::vector<Fd> accepted_;
  std::uint16_t port_ = 0;
};

Process bash(const std::string& script) {
  auto process = Process::start(
      {.command = {"bash", "-c", script}, .environment = {{"PATH", "/usr/bin:/bin"}}});
  REQUIRE(process);
  return *std::move(process);
}

std::string connect_and_wait(const Server& server) {
  return fmt::format("exec 3<>/dev/tcp/127.0.0.1/{}; sleep 1000", server.port());
}

}  // namespace

TEST_CASE("socket owner: a connection belongs to the replica whose process made it") {
  Server server;
  const Process one = bash(connect_and_wait(server));
  const std::string peer = server.accept();
  const Process two = bash("sleep 1000");
  const std::vector<ReplicaLeader> leaders{{"mail-1", one.pid()}, {"mail-2", two.pid()}};
  CHECK(replica_of_socket(peer, leaders) == "mail-1");
  CHECK_FALSE(replica_of_socket(peer, std::vector<ReplicaLeader>{{"mail-2", two.pid()}}));
  CHECK_FALSE(replica_of_socket(peer, {}));
}

TEST_CASE("socket owner: also to a descendant of its leader") {
  Server server;
  const Process one = bash("set -m; bash -c '" + connect_and_wait(server) + "' & wait");
  const std::string peer = server.accept();
  CHECK(replica_of_socket(peer, std::vector<ReplicaLeader>{{"mail-1", one.pid()}}) == "mail-1");
}

// As runtimes do that have one kind of socket for both.
TEST_CASE("socket owner: a socket of IPv6 may be connected over IPv4") {
  Server server;
  const Fd socket(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(server.port());
  REQUIRE(::inet_pton(AF_INET6, "::ffff:127.0.0.1", &address.sin6_addr) == 1);
  REQUIRE(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  const std::string peer = server.accept();
  const std::vector<ReplicaLeader> us{{"test", ::getsid(0)}};
  CHECK(replica_of_socket(peer, us) == "test");
  CHECK(replica_of_socket("[::ffff:127.0.0.1]" + peer.substr(peer.find(':')), us) == "test");
}

TEST_CASE("socket owner: what is no connection of this machine has none") {
  const std::vector<ReplicaLeader> us{{"test", ::getsid(0)}};
  for (const char* peer : {"127.0.0.1:1", "192.0.2.1:443", "[::1]:1", "", "x", "127.0.0.1", ":1",
                           "127.0.0.1:99999", "localhost:1"}) {
    CHECK_FALSE(replica_of_socket(peer, us));
  }
}

}  // namespace jobmill::targets
