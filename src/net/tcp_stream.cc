// SPDX-License-Identifier: Apache-2.0
#include "net/tcp_stream.h"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <deque>
#include <span>
#include <utility>

#include "net/address.h"

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace jobmill::net {
namespace {

constexpr Duration kLinger = std::chrono::seconds(2);
constexpr std::size_t kReadBytes = 64u << 10;
constexpr std::size_t kGather = 16;  // queued pieces for one system call

asio::io_context& context_of(EventLoop& loop) {
  return *static_cast<asio::io_context*>(loop.native());
}

// Waits for readiness and then reads into a buffer on the stack: ten thousand idle connections
// hold no buffers.
class TcpStream final : public Stream, public std::enable_shared_from_this<TcpStream> {
 public:
  TcpStream(EventLoop& loop, tcp::socket socket) : loop_(loop), socket_(std::move(socket)) {
    error_code ignored;  // a socket that is already broken says so at the first read
    socket_.non_blocking(true, ignored);
    socket_.set_option(tcp::no_delay(true), ignored);
    const auto peer = socket_.remote_endpoint(ignored);
    peer_ = format_address(peer.address().to_string(), peer.port());
  }

  void start(std::shared_ptr<Events> events) override {
    events_ = std::move(events);
    wait_readable();
  }

  void pause() override { paused_ = true; }

  void resume() override {
    paused_ = false;
    wait_readable();
  }

  void write(std::string bytes) override {
    if (closed() || bytes.empty()) return;
    unsent_ += bytes.size();
    queue_.push_back(std::move(bytes));
    if (!wait_write_) send();
  }

  std::size_t unsent() const override { return unsent_; }
  void finish() override;
  void close() override;
  bool closed() const override { return !socket_.is_open(); }
  const std::string& peer() const override { return peer_; }
  std::string failure() const override { return failure_; }

 private:
  void wait_readable();
  void wait_writable();
  void read();
  void send();
  std::size_t send_some(error_code& error);
  void drop_sent(std::size_t bytes);
  void fail(const error_code& error);
  void end_sending();

  EventLoop& loop_;
  tcp::socket socket_;
  std::string peer_;
  std::string failure_;
  std::shared_ptr<Events> events_;
  std::deque<std::string> queue_;
  std::size_t front_sent_ = 0;  // bytes of queue_.front() that have left
  std::size_t unsent_ = 0;
  bool paused_ = false;
  bool ended_ = false;
  bool finishing_ = false;
  bool wait_read_ = false;
  bool wait_write_ = false;
};

void TcpStream::wait_readable() {
  if (wait_read_ || paused_ || ended_ || closed()) return;
  wait_read_ = true;
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](const error_code& error) {
    self->wait_read_ = false;
    if (!error && !self->paused_) self->read();
  });
}

void TcpStream::read() {
  std::array<char, kReadBytes> buffer;
  error_code error;
  const std::size_t size = socket_.read_some(asio::buffer(buffer), error);
  const auto events = events_;  // may be let go by the event itself; none while lingering
  if (error == asio::error::would_block) return wait_readable();
  if (error == asio::error::eof) {
    ended_ = true;
    if (events) return events->on_end();
    return unsent_ == 0 ? close() : void();
  }
  if (error) return fail(error);
  if (events) events->on_bytes({buffer.data(), size});
  wait_readable();
}

void TcpStream::wait_writable() {
  wait_write_ = true;
  socket_.async_wait(tcp::socket::wait_write, [self = shared_from_this()](const error_code& error) {
    self->wait_write_ = false;
    if (error || self->closed()) return;
    self->send();
    if (self->finishing_ && self->unsent_ == 0) return self->end_sending();
    const auto events = self->events_;
    if (events && self->unsent_ == 0) events->on_drained();
  });
}

// One system call: plain send for the usual single piece, which is cheaper, else a gathering one.
std::size_t TcpStream::send_some(error_code& error) {
  if (queue_.size() == 1) {
    return socket_.write_some(asio::buffer(queue_.front()) + front_sent_, error);
  }
  std::array<asio::const_buffer, kGather> pieces;
  std::size_t count = 0;
  for (auto piece = queue_.begin(); piece != queue_.end() && count < kGather; ++piece) {
    pieces[count++] = asio::buffer(*piece);
  }
  pieces[0] += front_sent_;
  return socket_.write_some(std::span(pieces.data(), count), error);
}

void TcpStream::send() {
  while (!queue_.empty()) {
    error_code error;
    const std::size_t sent = send_some(error);
    if (error == asio::error::would_block) return wait_writable();
    if (error) {
      queue_.clear();
      unsent_ = 0;
      asio::post(socket_.get_executor(), [self = shared_from_this(), error] { self->fail(error); });
      return;
    }
    drop_sent(sent);
  }
}

void TcpStream::drop_sent(std::size_t bytes) {
  unsent_ -= bytes;
  front_sent_ += bytes;
  while (!queue_.empty() && front_sent_ >= queue_.front().size()) {
    front_sent_ -= queue_.front().size();
    queue_.pop_front();
  }
}

void TcpStream::fail(const error_code& error) {
  if (closed()) return;
  failure_ = error.message();
  const auto events = events_;
  close();
  if (events) events->on_broken();
}

void TcpStream::finish() {
  if (closed() || finishing_) return;
  events_.reset();
  finishing_ = true;
  loop_.run_after(kLinger, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->close();
  });
  if (unsent_ == 0) return end_sending();
  resume();
}

void TcpStream::end_sending() {
  error_code error;
  socket_.shutdown(tcp::socket::shutdown_send, error);
  if (error || ended_) return close();
  resume();
}

void TcpStream::close() {
  events_.reset();
  queue_.clear();
  unsent_ = 0;
  error_code ignored;  // the descriptor is released in any case
  socket_.close(ignored);
}

}  // namespace

std::shared_ptr<Stream> make_tcp_stream(EventLoop& loop, int socket, bool ipv6) {
  return std::make_shared<TcpStream>(
      loop, tcp::socket(context_of(loop), ipv6 ? tcp::v6() : tcp::v4(), socket));
}

}  // namespace jobmill::net
