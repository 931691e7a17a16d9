// SPDX-License-Identifier: Apache-2.0
#include "targets/process/port_probe.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include <fmt/format.h>

namespace jobmill::targets {
namespace {

constexpr std::size_t kStatusBytes = 12;  // "HTTP/1.1 200"

bool is_success(std::string_view status_line) {
  return status_line.starts_with("HTTP/") && status_line.size() >= kStatusBytes &&
         (status_line[9] == '2' || status_line[9] == '3');
}

}  // namespace

PortProbe::PortProbe(ProcessWatcher& watcher, int port, std::string path,
                     std::function<void(bool)> done)
    : watcher_(watcher),
      path_(std::move(path)),
      done_(std::move(done)),
      socket_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // Refused at once or later: connected() finds out.
  (void)::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  wait_for(EPOLLOUT, &PortProbe::connected);
}

PortProbe::~PortProbe() { watcher_.forget(wait_); }

void PortProbe::wait_for(std::uint32_t events, void (PortProbe::*step)()) {
  wait_ = watcher_.when_ready(socket_.get(), events, [this, step, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) (this->*step)();
  });
}

void PortProbe::connected() {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  sockaddr_in peer{};
  socklen_t peer_size = sizeof peer;
  if (error != 0 ||
      ::getpeername(socket_.get(), reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0) {
    return finish(false);
  }
  if (path_.empty()) return finish(true);
  const std::string request = fmt::format(
      "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: jobmill-probe\r\nAccept: */*\r\n"
      "Connection: close\r\n\r\n",
      path_);
  const ssize_t sent = ::send(socket_.get(), request.data(), request.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(request.size())) return finish(false);
  wait_for(EPOLLIN, &PortProbe::answered);
}

void PortProbe::answered() {
  std::array<char, 256> buffer;
  const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (got > 0) answer_.append(buffer.data(), static_cast<std::size_t>(got));
  const bool more = got > 0 || (got < 0 && errno == EAGAIN);
  if (answer_.size() >= kStatusBytes || !more) return finish(is_success(answer_));
  wait_for(EPOLLIN, &PortProbe::answered);
}

// The callback may destroy us.
void PortProbe::finish(bool ok) {
  const auto done = std::move(done_);
  done(ok);
}

}  // namespace jobmill::targets
