// SPDX-License-Identifier: Apache-2.0
#include "net/tls.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>

#include "net/certificates.h"
#include "net/connect.h"
#include "net/stream_rig.h"
#include "raw_socket.h"
#include "temporary_folder.h"

using namespace jobmill;
using namespace jobmill::net;
using namespace jobmill::net::testing;
using namespace std::chrono_literals;
using jobmill::testing::RawSocket;
using jobmill::testing::TemporaryFolder;

namespace {

struct FreeSslContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

// A blocking client by OpenSSL's own sockets, so that the two ends share no code of ours.
class TlsPeer {
 public:
  TlsPeer(const std::string& address, const std::string& authority, const std::string& host,
          int version = TLS1_3_VERSION)
      : context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_max_proto_version(context_.get(), version);
    REQUIRE(SSL_CTX_load_verify_file(context_.get(), authority.c_str()) == 1);
    ssl_ = SSL_new(context_.get());
    SSL_set1_host(ssl_, host.c_str());
    connect_socket(address);
    SSL_set_fd(ssl_, socket_);
    ERR_clear_error();
    connected_ = SSL_connect(ssl_) == 1;
  }
  ~TlsPeer() {
    SSL_free(ssl_);
    ::close(socket_);
  }
  TlsPeer(const TlsPeer&) = delete;
  TlsPeer& operator=(const TlsPeer&) = delete;

  bool connected() const { return connected_; }
  int version() const { return SSL_version(ssl_); }
  std::string server_serial() const {
    X509* shown = SSL_get1_peer_certificate(ssl_);
    BIGNUM* number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(shown), nullptr);
    char* text = BN_bn2hex(number);
    std::string serial = text;
    OPENSSL_free(text);
    BN_free(number);
    X509_free(shown);
    return serial;
  }
  void send(std::string_view bytes) {
    REQUIRE(SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) ==
            static_cast<int>(bytes.size()));
  }
  void end() { SSL_shutdown(ssl_); }                        // our direction only
  void hang_up() const { ::shutdown(socket_, SHUT_RDWR); }  // without a close_notify

  // Up to the server's close_notify.
  std::string receive_all() {
    std::string all;
    char bytes[16384];
    int size = 0;
    while ((size = SSL_read(ssl_, bytes, sizeof bytes)) > 0) all.append(bytes, bytes + size);
    CHECK(SSL_get_error(ssl_, size) == SSL_ERROR_ZERO_RETURN);
    return all;
  }
  std::string receive(std::size_t size) {
    std::string all;
    char bytes[16384];
    while (all.size() < size) {
      const int count = SSL_read(ssl_, bytes, sizeof bytes);
      REQUIRE(count > 0);
      all.append(bytes, bytes + count);
    }
    return all;
  }

 private:
  void connect_socket(const std::string& address) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{.tv_sec = 60, .tv_usec = 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(socket_, reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
  }

  std::unique_ptr<SSL_CTX, FreeSslContext> context_;
  SSL* ssl_ = nullptr;
  int socket_ = -1;
  bool connected_ = false;
};

// A TLS listener whose connections are echoed.
struct EchoServer {
  explicit EchoServer(Duration handshake_timeout = 60s)
      : certificates(*ensure_development_certificates(folder.path(), {}, SystemClock().now())),
        context(*TlsContext::open(certificates.server, handshake_timeout)),
        echo(thread, {.tls = context}) {}

  const std::string& address() const { return echo.address(); }
  std::shared_ptr<Echo> first() { return echo.first.get_future().get(); }
  TlsPeer peer(const std::string& host = "localhost", int version = TLS1_3_VERSION) {
    return TlsPeer(address(), certificates.authority, host, version);
  }

  LoopThread thread;
  TemporaryFolder folder;
  DevelopmentCertificates certificates;
  std::shared_ptr<TlsContext> context;
  EchoListener echo;
};

std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 / 7);
  return bytes;
}

}  // namespace

TEST_CASE("tls: bytes go both ways, and each end says goodbye") {
  EchoServer server;
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const char* host : {"localhost", "127.0.0.1"}) {
      CAPTURE(version);
      CAPTURE(host);
      TlsPeer peer = server.peer(host, version);
      REQUIRE(peer.connected());
      CHECK(peer.version() == version);
      peer.send("hello");
      peer.end();
      CHECK(peer.receive_all() == "hello");
    }
  }
}

TEST_CASE("tls: versions before 1.2 and names that the certificate lacks do not connect") {
  EchoServer server;
  CHECK_FALSE(server.peer("localhost", TLS1_1_VERSION).connected());
  CHECK_FALSE(server.peer("example.com").connected());
  CHECK(server.peer("localhost").connected());
}

TEST_CASE("tls: what was written before the handshake follows it") {
  EchoServer server;
  const std::string greeting = pattern(100'000);
  server.echo.on_accept = [&](Stream& stream) {
    stream.write(greeting);
    CHECK(stream.unsent() == greeting.size());
  };
  TlsPeer peer = server.peer();
  CHECK(peer.receive(greeting.size()) == greeting);
}

constexpr std::size_t kMoreThanSocketsHold = 32u << 20;

TEST_CASE("tls: a peer that does not read makes us pause, not lose and not grow") {
  struct Reader final : Stream::Events {
    void on_bytes(std::string_view more) override {
      bytes += more;
      if (bytes.size() < kMoreThanSocketsHold) return;
      stream->finish();
      all.set_value();
    }
    void on_end() override {}
    void on_drained() override { drained.set_value(); }
    void on_broken() override { FAIL("broken: ", stream->failure()); }

    std::shared_ptr<Stream> stream;
    std::string bytes;
    std::promise<void> drained;
    std::promise<void> all;
  };
  EchoServer server;
  const auto trust = TlsTrust::open(server.certificates.authority);
  REQUIRE(trust);
  const std::string sent = pattern(kMoreThanSocketsHold);
  const auto reader = std::make_shared<Reader>();
  connect(server.thread.loop, "127.0.0.1", server.echo.port(), {.tls = *trust},
          [&](Result<std::shared_ptr<Stream>> made) {
            REQUIRE(made);
            reader->stream = *made;
            reader->stream->start(reader);
            reader->stream->pause();
            reader->stream->write(sent);
          });
  const auto echo = server.first();
  echo->full.get_future().get();
  server.thread.call([&] {
    CHECK(reader->stream->unsent() > 0);
    CHECK(reader->bytes.empty());
    reader->stream->resume();
  });
  reader->drained.get_future().get();
  reader->all.get_future().get();
  CHECK(reader->bytes == sent);
  CHECK(echo->finished.get_future().get() <= 80u << 10);  // one read, as records
}

TEST_CASE("tls: an end without close_notify breaks the stream") {
  EchoServer server;
  TlsPeer peer = server.peer();
  const auto echo = server.first();
  peer.hang_up();
  CHECK(echo->broken.get_future().get() == "TLS: the connection ended without close_notify");
}

TEST_CASE("tls: what is no TLS is dropped") {
  EchoServer server;
  RawSocket peer(server.address());
  std::string why;
  SUBCASE("HTTP") {
    peer.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(peer.receive_all().empty());
    why = "TLS: http request";
  }
  SUBCASE("anything") {
    peer.send(std::string("\x16\x03\x01\x00\x05nope!", 10));
    CHECK(peer.receive_all().starts_with("\x15\x03"));  // an alert
    why = "TLS: unexpected message";
  }
  const auto echo = server.first();
  CHECK(echo->broken.get_future().get() == why);
}

TEST_CASE("tls: a client that does not believe us is named in the log's words") {
  EchoServer server;
  const TemporaryFolder other;
  const auto foreign = ensure_development_certificates(other.path(), {}, SystemClock().now());
  REQUIRE(foreign);
  CHECK_FALSE(TlsPeer(server.address(), foreign->authority, "localhost").connected());
  const auto echo = server.first();
  CHECK(echo->broken.get_future().get().find("alert") != std::string::npos);
}

TEST_CASE("tls: a peer that does not shake hands is dropped in time") {
  EchoServer server(20ms);
  RawSocket peer(server.address());
  CHECK(peer.receive_all().empty());
  const auto echo = server.first();
  CHECK(echo->broken.get_future().get() == "TLS: no handshake in time");
}

TEST_CASE("tls: the time limit is for the handshake only") {
  // A machine that is busy may need longer for a handshake.
  for (Duration limit = 200ms;; limit *= 2) {
    REQUIRE(limit < 60s);
    EchoServer server(limit);
    TlsPeer peer = server.peer();
    if (!peer.connected()) continue;
    std::promise<void> later;
    server.thread.loop.run_after(2 * limit, [&] { later.set_value(); });
    later.get_future().get();
    peer.send("still here");
    peer.end();
    CHECK(peer.receive_all() == "still here");
    return;
  }
}

TEST_CASE("tls: a reload shows the new certificate to new connections") {
  EchoServer server;
  TlsPeer before = server.peer();
  REQUIRE(before.connected());
  const auto issued =
      ensure_development_certificates(server.folder.path(), {"new.test"}, SystemClock().now());
  REQUIRE(issued);
  REQUIRE(issued->issued);
  CHECK_FALSE(server.peer("new.test").connected());
  REQUIRE(server.context->reload());
  TlsPeer after = server.peer("new.test");
  REQUIRE(after.connected());
  CHECK(after.server_serial() != before.server_serial());
  before.send("old");
  before.end();
  CHECK(before.receive_all() == "old");
}

TEST_CASE("tls: a reload that fails names the file and changes nothing") {
  EchoServer server;
  const TlsFiles& files = server.certificates.server;
  const TemporaryFolder other;
  const auto foreign = ensure_development_certificates(other.path(), {}, SystemClock().now());
  REQUIRE(foreign);
  std::string named = files.certificate;
  SUBCASE("missing") { std::filesystem::remove(files.certificate); }
  SUBCASE("no certificate") { std::ofstream(files.certificate) << "nothing"; }
  SUBCASE("the key of another") {
    std::filesystem::copy_file(foreign->server.key, files.key,
                               std::filesystem::copy_options::overwrite_existing);
    named = files.key;
  }
  const Status failed = server.context->reload();
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::InvalidArgument);
  CHECK(failed.error().message.find(named) != std::string::npos);
  CHECK(server.peer().connected());
}

TEST_CASE("tls: finish sends all and then the goodbye") {
  EchoServer server;
  const std::string words = pattern(8u << 20);
  const auto speak = [&](Stream& stream) {
    stream.write(words);
    stream.finish();
  };
  SUBCASE("before the handshake") {
    server.echo.on_accept = speak;
    CHECK(server.peer().receive_all() == words);
  }
  SUBCASE("after it") {
    TlsPeer peer = server.peer();
    const auto echo = server.first();
    peer.send("?");
    CHECK(peer.receive(1) == "?");
    server.thread.call([&] { speak(*echo->stream); });
    CHECK(peer.receive_all() == words);
  }
}

TEST_CASE("tls: records may be cut anywhere") {
  EchoServer server;
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* ssl = SSL_new(context);
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl, in, out);
  SSL_set_connect_state(ssl);
  RawSocket socket(server.address());
  const auto push = [&] {  // one byte at a time
    char byte = 0;
    while (BIO_read(out, &byte, 1) == 1) socket.send({&byte, 1});
  };
  const auto pull = [&] {
    const std::string byte = socket.receive(1);
    BIO_write(in, byte.data(), 1);
  };
  while (SSL_do_handshake(ssl) != 1) {
    push();
    pull();
  }
  SSL_write(ssl, "hello", 5);
  SSL_shutdown(ssl);
  push();
  char bytes[16];
  int size = 0;
  while ((size = SSL_read(ssl, bytes, sizeof bytes)) <= 0) pull();
  CHECK(std::string(bytes, bytes + size) == "hello");
  SSL_free(ssl);
  SSL_CTX_free(context);
}
