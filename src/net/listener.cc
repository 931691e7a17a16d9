// SPDX-License-Identifier: Apache-2.0
#include "net/listener.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <utility>

#include "net/address.h"
#include "net/tcp_stream.h"

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace jobmill::net {
namespace {

constexpr Duration kRetry = std::chrono::milliseconds(100);
constexpr int kBurst = 64;  // connections accepted before others get their turn

Result<tcp::endpoint> resolve(asio::io_context& context, const Address& address) {
  error_code error;
  const auto literal = asio::ip::make_address(address.host, error);
  if (!error) return tcp::endpoint(literal, address.port);

  tcp::resolver resolver(context);
  const auto found =
      resolver.resolve(address.host, std::to_string(address.port), tcp::resolver::passive, error);
  if (error || found.empty()) {
    return fail(Code::InvalidArgument,
                fmt::format("cannot listen on {}: unknown host", address.host));
  }
  // IPv4 first: "localhost" should be where clients that know only 127.0.0.1 look for it.
  for (const auto& entry : found) {
    if (entry.endpoint().address().is_v4()) return entry.endpoint();
  }
  return found.begin()->endpoint();
}

Fault bind_error(const std::string& text, std::uint16_t port, const error_code& error) {
  const std::string what = "cannot listen on " + text + ": ";
  if (error == asio::error::access_denied)
    return fail(Code::PermissionDenied, what + error.message());
  if (error != asio::error::address_in_use)
    return fail(Code::InvalidArgument, what + error.message());
  const auto holder = listening_process(port);
  return fail(Code::Conflict, what + "in use" + (holder ? " by " + *holder : ""));
}

error_code open_socket(tcp::acceptor& acceptor, tcp protocol) {
  error_code error;
  const int socket = ::socket(protocol.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) return {errno, boost::system::system_category()};
  acceptor.assign(protocol, socket, error);
  return error;
}

// Before listen, so that every connection begins with it (tcp(7)).
error_code limit_segments(tcp::acceptor& acceptor, int bytes) {
  const int outcome =
      setsockopt(acceptor.native_handle(), IPPROTO_TCP, TCP_MAXSEG, &bytes, sizeof bytes);
  return outcome == 0 ? error_code() : error_code(errno, boost::system::system_category());
}

class TcpListener final : public Listener, public std::enable_shared_from_this<TcpListener> {
 public:
  TcpListener(EventLoop& loop, tcp::acceptor acceptor, const tcp::endpoint& local,
              std::shared_ptr<const TlsContext> tls)
      : loop_(loop),
        acceptor_(std::move(acceptor)),
        tls_(std::move(tls)),
        address_(format_address(local.address().to_string(), local.port())),
        ipv6_(local.address().is_v6()) {}

  void start(Accept accept) override {
    accept_ = std::move(accept);
    wait();
  }

  void close() override {
    error_code ignored;  // the descriptor is released in any case
    acceptor_.close(ignored);
  }

  const std::string& address() const override { return address_; }

 private:
  void wait();
  void accept_waiting();
  void retry_later();

  EventLoop& loop_;
  tcp::acceptor acceptor_;
  std::shared_ptr<const TlsContext> tls_;
  std::string address_;
  bool ipv6_;
  Accept accept_;
};

void TcpListener::wait() {
  if (!acceptor_.is_open()) return;
  acceptor_.async_wait(tcp::acceptor::wait_read,
                       [self = shared_from_this()](const error_code& error) {
                         if (!error) self->accept_waiting();
                       });
}

// accept4 by hand: Asio's accept does not set close-on-exec, and a process that we start must not
// hold our clients' connections open.
void TcpListener::accept_waiting() {
  for (int i = 0; i < kBurst && acceptor_.is_open(); ++i) {
    const int socket =
        accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket >= 0) {
      auto stream = make_tcp_stream(loop_, socket, ipv6_);
      accept_(tls_ ? tls_->secure(loop_, std::move(stream)) : std::move(stream));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      break;
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      return retry_later();
    }  // else this one peer is gone already
  }
  wait();
}

// Without free descriptors accept fails at once, again and again; do not spin.
void TcpListener::retry_later() {
  loop_.run_after(kRetry, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->accept_waiting();
  });
}

}  // namespace

Result<std::shared_ptr<Listener>> Listener::open(EventLoop& loop, const std::string& address,
                                                 ListenOptions options) {
  auto& context = *static_cast<asio::io_context*>(loop.native());
  TRY(const Address wanted, parse_address(address));
  TRY(const tcp::endpoint endpoint, resolve(context, wanted));

  tcp::acceptor acceptor(context);
  error_code error = open_socket(acceptor, endpoint.protocol());
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && options.max_segment) error = limit_segments(acceptor, *options.max_segment);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return bind_error(address, wanted.port, error);

  const auto local = acceptor.local_endpoint();
  return std::shared_ptr<Listener>(
      std::make_shared<TcpListener>(loop, std::move(acceptor), local, std::move(options.tls)));
}

}  // namespace jobmill::net
