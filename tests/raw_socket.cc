// SPDX-License-Identifier: Apache-2.0
#include "raw_socket.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace jobmill::testing {
namespace {

sockaddr_in loopback(int port) {
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<std::uint16_t>(port));
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return where;
}

// Calls that have a time limit are also interrupted by a stop of the process.
template <class Call>
auto again(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

void set_patience(int socket) {
  const timeval patience{.tv_sec = 60, .tv_usec = 0};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

}  // namespace

RawSocket::RawSocket(int socket) : socket_(socket) { set_patience(socket_); }

RawSocket::RawSocket(const std::string& address)
    : RawSocket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const sockaddr_in where = loopback(std::stoi(address.substr(address.rfind(':') + 1)));
  REQUIRE(connect(socket_, reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
}

RawSocket::~RawSocket() {
  if (socket_ >= 0) close(socket_);
}

RawSocket::RawSocket(RawSocket&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), buffer_(std::move(other.buffer_)) {}

void RawSocket::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t sent =
        again([&] { return ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL); });
    REQUIRE(sent > 0);
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void RawSocket::end() const { shutdown(socket_, SHUT_WR); }

void RawSocket::reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(std::exchange(socket_, -1));
}

bool RawSocket::receive_more() {
  char bytes[16384];
  const ssize_t size = again([&] { return recv(socket_, bytes, sizeof bytes, 0); });
  REQUIRE(size >= 0);
  buffer_.append(bytes, static_cast<std::size_t>(size));
  return size > 0;
}

std::string RawSocket::receive_until(std::string_view text) {
  std::size_t at = 0;
  while ((at = buffer_.find(text)) == std::string::npos) REQUIRE(receive_more());
  return receive(at + text.size());
}

std::string RawSocket::receive(std::size_t size) {
  while (buffer_.size() < size) REQUIRE(receive_more());
  std::string first = buffer_.substr(0, size);
  buffer_.erase(0, size);
  return first;
}

std::string RawSocket::receive_all() {
  while (receive_more()) {
  }
  return std::exchange(buffer_, {});
}

RawListener::RawListener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in where = loopback(0);
  socklen_t size = sizeof where;
  set_patience(socket_);  // accept() minds it too
  REQUIRE(bind(socket_, reinterpret_cast<const sockaddr*>(&where), size) == 0);
  REQUIRE(listen(socket_, 16) == 0);
  REQUIRE(getsockname(socket_, reinterpret_cast<sockaddr*>(&where), &size) == 0);
  address_ = "127.0.0.1:" + std::to_string(ntohs(where.sin_port));
}

RawListener::~RawListener() { close(socket_); }

RawSocket RawListener::accept() const {
  const int socket = again([&] { return accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC); });
  REQUIRE(socket >= 0);
  return RawSocket(socket);
}

}  // namespace jobmill::testing
