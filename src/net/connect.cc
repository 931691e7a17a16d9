// SPDX-License-Identifier: Apache-2.0
#include "net/connect.h"

#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <utility>
#include <vector>

#include "net/address.h"
#include "net/tcp_stream.h"

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace jobmill::net {
namespace {

// One attempt, from the look-up of the name to a stream that can be used. What it waits for keeps
// it alive; the first end() counts.
class Attempt final : public std::enable_shared_from_this<Attempt> {
 public:
  using Done = std::function<void(Result<std::shared_ptr<Stream>>)>;

  Attempt(EventLoop& loop, std::string host, std::uint16_t port, ConnectOptions options, Done done)
      : loop_(loop),
        host_(std::move(host)),
        port_(port),
        options_(std::move(options)),
        done_(std::move(done)),
        resolver_(context()),
        socket_(context()) {}

  void start();

 private:
  asio::io_context& context() { return *static_cast<asio::io_context*>(loop_.native()); }

  void resolve();
  void try_next(const error_code& last);
  error_code open(tcp protocol);
  void use();
  void secure(std::shared_ptr<Stream> plain);
  void end(Result<std::shared_ptr<Stream>> result);
  Fault failed(Code code, const std::string& why) const;

  EventLoop& loop_;
  const std::string host_;
  const std::uint16_t port_;
  const ConnectOptions options_;
  Done done_;
  tcp::resolver resolver_;
  tcp::socket socket_;
  std::shared_ptr<Stream> plain_;  // while TLS shakes hands
  std::vector<tcp::endpoint> endpoints_;
  std::size_t next_ = 0;
  EventLoop::TimerId timer_ = 0;
};

void Attempt::start() {
  timer_ = loop_.run_after(options_.timeout, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->end(self->failed(Code::Timeout, "no answer in time"));
  });
  resolve();
}

void Attempt::resolve() {
  error_code error;
  const auto literal = asio::ip::make_address(host_, error);
  if (!error) {
    endpoints_.emplace_back(literal, port_);
    return try_next({});
  }
  resolver_.async_resolve(
      host_, std::to_string(port_),
      [self = shared_from_this()](const error_code& why, const tcp::resolver::results_type& found) {
        for (const auto& entry : found) self->endpoints_.push_back(entry.endpoint());
        self->try_next(why);
      });
}

void Attempt::try_next(const error_code& last) {
  if (!done_) return;
  if (next_ == endpoints_.size()) {
    return end(failed(Code::Unavailable, last ? last.message() : "the host has no address"));
  }
  const tcp::endpoint& endpoint = endpoints_[next_++];
  if (const error_code error = open(endpoint.protocol())) return try_next(error);
  socket_.async_connect(endpoint, [self = shared_from_this()](const error_code& error) {
    error ? self->try_next(error) : self->use();
  });
}

// By hand, as Asio does not set close-on-exec: a process that we start must not hold it open.
error_code Attempt::open(tcp protocol) {
  error_code error;
  socket_.close(error);
  const int fd = ::socket(protocol.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return {errno, boost::system::system_category()};
  socket_.assign(protocol, fd, error);
  return error;
}

void Attempt::use() {
  if (!done_) return;
  error_code error;
  const bool ipv6 = endpoints_[next_ - 1].protocol() == tcp::v6();
  const int fd = socket_.release(error);
  if (error) return try_next(error);
  auto plain = make_tcp_stream(loop_, fd, ipv6);
  if (!options_.tls) return end(std::move(plain));
  secure(std::move(plain));
}

void Attempt::secure(std::shared_ptr<Stream> plain) {
  plain_ = plain;
  options_.tls->secure(loop_, std::move(plain),
                       options_.server_name.empty() ? host_ : options_.server_name,
                       [self = shared_from_this()](Result<std::shared_ptr<Stream>> made) {
                         self->plain_.reset();
                         if (made) return self->end(std::move(made));
                         self->end(self->failed(made.error().code, made.error().message));
                       });
}

void Attempt::end(Result<std::shared_ptr<Stream>> result) {
  if (!done_) return;
  const Done done = std::exchange(done_, nullptr);
  loop_.cancel(timer_);
  resolver_.cancel();
  error_code ignored;
  socket_.close(ignored);
  if (plain_) plain_->close();
  done(std::move(result));
}

Fault Attempt::failed(Code code, const std::string& why) const {
  return fail(code, "cannot connect to " + format_address(host_, port_) + ": " + why);
}

}  // namespace

void connect(EventLoop& loop, const std::string& host, std::uint16_t port, ConnectOptions options,
             std::function<void(Result<std::shared_ptr<Stream>>)> done) {
  loop.post([&loop, host, port, options = std::move(options), done = std::move(done)]() mutable {
    std::make_shared<Attempt>(loop, host, port, std::move(options), std::move(done))->start();
  });
}

}  // namespace jobmill::net
