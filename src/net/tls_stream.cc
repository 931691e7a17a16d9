// SPDX-License-Identifier: Apache-2.0
#include "net/tls_stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

namespace jobmill::net {
namespace {

constexpr std::size_t kRecord = 16u << 10;     // the most that one record holds
constexpr std::size_t kReadBytes = 64u << 10;  // handed on at a time

// What OpenSSL reads from and writes to.
struct Wire {
  std::string_view in{};
  std::string out{};
};

int read_wire(BIO* bio, char* to, int size) {
  auto& in = static_cast<Wire*>(BIO_get_data(bio))->in;
  BIO_clear_retry_flags(bio);
  const std::size_t count = std::min(in.size(), static_cast<std::size_t>(size));
  if (count == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  std::memcpy(to, in.data(), count);
  in.remove_prefix(count);
  return static_cast<int>(count);
}

int write_wire(BIO* bio, const char* from, int size) {
  static_cast<Wire*>(BIO_get_data(bio))->out.append(from, static_cast<std::size_t>(size));
  return size;
}

long control_wire(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

BIO_METHOD* wire_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "jobmill wire");
    BIO_meth_set_read(made, read_wire);
    BIO_meth_set_write(made, write_wire);
    BIO_meth_set_ctrl(made, control_wire);
    return made;
  }();
  return method;
}

class TlsStream final : public Stream,
                        public Stream::Events,
                        public std::enable_shared_from_this<TlsStream> {
 public:
  using Done = std::function<void(Result<std::shared_ptr<Stream>>)>;

  TlsStream(EventLoop& loop, std::shared_ptr<Stream> plain, Ssl ssl)
      : loop_(loop), plain_(std::move(plain)), ssl_(std::move(ssl)) {
    BIO* bio = BIO_new(wire_method());
    BIO_set_data(bio, &wire_);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
  }
  ~TlsStream() override { loop_.cancel(timer_); }

  void connect(Done done) {
    done_ = std::move(done);
    begin();
    shake_hands();  // a client speaks first
  }
  void limit_handshake(Duration timeout) { handshake_timeout_ = timeout; }

  void start(std::shared_ptr<Stream::Events> events) override {
    events_ = std::move(events);
    begun_ ? resume() : begin();
  }
  void pause() override;
  void resume() override;
  void write(std::string bytes) override;
  std::size_t unsent() const override { return waiting_.size() + plain_->unsent(); }
  void finish() override;
  void close() override;
  bool closed() const override { return plain_->closed(); }
  const std::string& peer() const override { return plain_->peer(); }
  std::string failure() const override { return failure_; }

  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_drained() override;
  void on_broken() override { fail(plain_->failure()); }

 private:
  void begin();
  bool shake_hands();
  void announce_established();
  bool takes() const { return events_ && !paused_ && !ended_ && !closed(); }
  void advance(std::string_view bytes);
  void read();
  std::size_t decrypt(std::span<char> buffer, int& outcome);
  void read_kept();
  void encrypt(std::string_view bytes);
  void say_goodbye();
  void flush();
  void fail(std::string why);
  std::string explain() const;

  EventLoop& loop_;
  std::shared_ptr<Stream> plain_;
  Wire wire_;
  Ssl ssl_;
  std::shared_ptr<Stream::Events> events_;
  Done done_;            // a client that is not told yet
  std::string waiting_;  // written before the handshake's end
  std::string kept_;     // received and not yet decrypted: we were paused
  std::string failure_;
  std::optional<Duration> handshake_timeout_;
  EventLoop::TimerId timer_ = 0;
  bool begun_ = false;
  bool established_ = false;
  bool paused_ = false;
  bool ended_ = false;       // the peer's close_notify has come
  bool end_due_ = false;     // the peer's end came while we were paused
  bool finish_due_ = false;  // our end came before the handshake's
  bool faulty_ = false;      // OpenSSL forbids a close_notify
  bool reading_ = false;
  bool read_posted_ = false;
};

void TlsStream::begin() {
  begun_ = true;
  plain_->start(shared_from_this());
  if (!handshake_timeout_) return;
  timer_ = loop_.run_after(*handshake_timeout_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->fail("TLS: no handshake in time");
  });
}

// False: more must come, or it went wrong.
bool TlsStream::shake_hands() {
  ERR_clear_error();
  const int outcome = SSL_do_handshake(ssl_.get());
  if (outcome == 1) {
    announce_established();
    return true;
  }
  const int why = SSL_get_error(ssl_.get(), outcome);
  if (why != SSL_ERROR_WANT_READ) {
    faulty_ = true;
    fail(explain());
    return false;
  }
  flush();
  return false;
}

void TlsStream::announce_established() {
  established_ = true;
  loop_.cancel(timer_);
  flush();
  const bool waited = !waiting_.empty();
  if (waited) encrypt(std::exchange(waiting_, {}));
  if (finish_due_) {
    finish();
  } else if (const auto done = std::exchange(done_, nullptr)) {
    done(std::shared_ptr<Stream>(shared_from_this()));
  } else if (waited) {
    on_drained();
  }
}

std::string TlsStream::explain() const {
  const long verified = SSL_get_verify_result(ssl_.get());
  if (verified != X509_V_OK) return std::string("TLS: ") + X509_verify_cert_error_string(verified);
  return "TLS: " + take_tls_error();
}

void TlsStream::on_bytes(std::string_view bytes) {
  const auto self = shared_from_this();  // an owner may let go of us in an event
  advance(bytes);
}

void TlsStream::advance(std::string_view bytes) {
  wire_.in = bytes;
  if (established_ || shake_hands()) read();
  // What the owner did not take waits here and the rest at the peer.
  kept_ = ended_ ? std::string() : std::string(wire_.in);
  wire_.in = {};
  if (closed() || !established_ || finish_due_) return;
  events_ && !paused_ ? plain_->resume() : plain_->pause();
}

// A peer's records are joined as far as they have arrived, so that a reader is called once.
void TlsStream::read() {
  reading_ = true;
  end_due_ = false;
  std::array<char, kReadBytes> buffer;
  int outcome = 1;
  while (takes() && outcome == 1) {
    const std::size_t size = decrypt(buffer, outcome);
    flush();  // an answer to a change of keys
    const auto events = events_;
    if (size > 0) events->on_bytes({buffer.data(), size});
  }
  reading_ = false;
  if (closed() || outcome == 1 || outcome == -SSL_ERROR_WANT_READ) return;
  end_due_ = paused_;  // OpenSSL says it again when we ask after the pause
  if (end_due_) return;
  if (outcome != -SSL_ERROR_ZERO_RETURN) {
    faulty_ = true;
    return fail(explain());
  }
  ended_ = true;
  if (const auto events = events_) events->on_end();
}

// `outcome`: 1 when the buffer is full, else the negative SSL error.
std::size_t TlsStream::decrypt(std::span<char> buffer, int& outcome) {
  std::size_t size = 0;
  while (buffer.size() - size >= kRecord) {
    ERR_clear_error();
    std::size_t count = 0;
    outcome = SSL_read_ex(ssl_.get(), &buffer[size], kRecord, &count);
    if (outcome != 1) {
      outcome = -SSL_get_error(ssl_.get(), outcome);
      break;
    }
    size += count;
  }
  return size;
}

void TlsStream::pause() {
  paused_ = true;
  if (established_) plain_->pause();  // a handshake goes on
}

void TlsStream::resume() {
  paused_ = false;
  if (reading_ || !established_) return;  // whoever called us looks again
  if (kept_.empty() && !end_due_) return plain_->resume();
  if (std::exchange(read_posted_, true)) return;
  loop_.post([self = shared_from_this()] { self->read_kept(); });
}

void TlsStream::read_kept() {
  read_posted_ = false;
  if (!takes()) return;
  const std::string bytes = std::exchange(kept_, {});
  advance(bytes);
}

void TlsStream::write(std::string bytes) {
  if (closed() || bytes.empty()) return;
  if (established_) return encrypt(bytes);
  waiting_ += bytes;
}

void TlsStream::encrypt(std::string_view bytes) {
  ERR_clear_error();
  wire_.out.reserve(bytes.size() + (bytes.size() / kRecord + 1) * 64);
  std::size_t written = 0;
  const int outcome = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written);
  flush();
  if (outcome == 1) return;
  faulty_ = true;
  loop_.post([self = shared_from_this(), why = explain()] { self->fail(why); });
}

void TlsStream::flush() {
  if (!wire_.out.empty()) plain_->write(std::exchange(wire_.out, {}));
}

void TlsStream::on_drained() {
  const auto events = events_;
  if (events && unsent() == 0) events->on_drained();
}

// Without a close_notify nobody can tell the peer's end from one that somebody else made up.
void TlsStream::on_end() {
  if (!ended_) fail("TLS: the connection ended without close_notify");
}

void TlsStream::say_goodbye() {
  loop_.cancel(timer_);
  events_.reset();
  done_ = nullptr;
  if (!established_ || faulty_ || closed()) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  flush();
}

// Before the handshake's end nothing can be said; the last words wait for it.
void TlsStream::finish() {
  if (closed()) return;
  if (!established_) {
    events_.reset();
    finish_due_ = true;
    return begun_ ? void() : begin();
  }
  say_goodbye();
  plain_->finish();
}

void TlsStream::close() {
  say_goodbye();
  plain_->close();
}

void TlsStream::fail(std::string why) {
  if (closed() && !events_ && !done_) return;
  failure_ = std::move(why);
  flush();  // the alert that tells the peer why
  loop_.cancel(timer_);
  const auto self = shared_from_this();
  const auto events = std::exchange(events_, nullptr);
  const auto done = std::exchange(done_, nullptr);
  plain_->close();
  if (done) return done(Fault{Code::Unavailable, failure_});
  if (events) events->on_broken();
}

}  // namespace

void FreeSsl::operator()(ssl_st* ssl) const { SSL_free(ssl); }

std::string take_tls_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (ERR_SYSTEM_ERROR(code)) return std::generic_category().message(ERR_GET_REASON(code));
  const char* const reason = ERR_reason_error_string(code);
  return reason ? reason : "unknown error";
}

std::shared_ptr<Stream> make_tls_server_stream(EventLoop& loop, std::shared_ptr<Stream> plain,
                                               Ssl ssl, Duration handshake_timeout) {
  SSL_set_accept_state(ssl.get());
  auto stream = std::make_shared<TlsStream>(loop, std::move(plain), std::move(ssl));
  stream->limit_handshake(handshake_timeout);
  return stream;
}

void make_tls_client_stream(EventLoop& loop, std::shared_ptr<Stream> plain, Ssl ssl,
                            std::function<void(Result<std::shared_ptr<Stream>>)> done) {
  SSL_set_connect_state(ssl.get());
  std::make_shared<TlsStream>(loop, std::move(plain), std::move(ssl))->connect(std::move(done));
}

}  // namespace jobmill::net
