// SPDX-License-Identifier: Apache-2.0
#include "http/server.h"

#include <doctest/doctest.h>

#include <atomic>
#include <fstream>
#include <future>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "http/client.h"
#include "net/certificates.h"
#include "raw_socket.h"
#include "temporary_folder.h"

using namespace jobmill;
using namespace jobmill::http;
using namespace std::chrono_literals;
using jobmill::testing::RawSocket;

namespace {

// Answers with the request's path and body. What is sent to /wait waits in `waiting`, under its
// query, until the test answers it.
class Service {
 public:
  explicit Service(ServerLimits limits = {})
      : server_(
            std::in_place, loop_, [this](Request r, Responder to) { handle(r, to); },
            std::move(limits)) {
    auto address = server_->listen(":0");
    REQUIRE(address);
    address_ = *address;
    thread_ = std::jthread([this](std::stop_token stop) { loop_.run(std::move(stop)); });
  }
  ~Service() { stop(); }

  const std::string& address() const { return address_; }
  std::string url(const std::string& path) const { return "http://" + address_ + path; }
  net::EventLoop& loop() { return loop_; }
  Server& server() { return *server_; }

  // The responder of /wait?key, as soon as the request is there.
  Responder waiting(const std::string& key) { return promise(key).get_future().get(); }
  // Fires when the client of /wait?key has gone away.
  std::future<void> gone(const std::string& key) { return gone_promise(key).get_future(); }

  void stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    thread_.join();
    server_.reset();
  }

 private:
  void handle(const Request& request, const Responder& responder) {
    if (request.path == "/drop") return;
    if (request.path == "/wait") {
      const std::string key = request.query.empty() ? "" : request.query.front().first;
      responder.on_gone([this, key] { gone_promise(key).set_value(); });
      promise(key).set_value(responder);
      return;
    }
    Response response{.status = 200, .body = request.path + request.body};
    if (request.path == "/method") response.body = request.method;
    if (request.path == "/tls") response.body = request.tls ? "true" : "false";
    if (request.path == "/large") response.body = std::string(8u << 20, 'x');
    responder.send(std::move(response));
  }

  std::promise<Responder>& promise(const std::string& key) {
    const std::lock_guard lock(mutex_);
    return waiting_[key];
  }
  std::promise<void>& gone_promise(const std::string& key) {
    const std::lock_guard lock(mutex_);
    return gone_[key];
  }

  std::mutex mutex_;
  std::map<std::string, std::promise<Responder>> waiting_;
  std::map<std::string, std::promise<void>> gone_;
  net::EventLoop loop_;
  std::optional<Server> server_;
  std::string address_;
  std::jthread thread_;
};

std::string get(const std::string& path, const std::string& more = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: h\r\n" + more + "\r\n";
}

// As long as a busy machine needs.
ClientRequest patient(ClientRequest request) {
  request.timeout = 60s;
  return request;
}

// Connects and sends while the server is held up, so that none of its time limits is over in
// between.
RawSocket send_at_once(Service& service, const std::string& bytes) {
  std::promise<void> held;
  std::promise<void> sent;
  service.loop().post([&held, go_on = sent.get_future().share()] {
    held.set_value();
    go_on.wait();
  });
  held.get_future().wait();
  RawSocket socket(service.address());
  socket.send(bytes);
  sent.set_value();
  return socket;
}

// Head and body of one answer, told by its Content-Length.
std::string receive_answer(RawSocket& socket) {
  std::string answer = socket.receive_until("\r\n\r\n");
  const std::size_t at = answer.find("Content-Length: ");
  if (at != std::string::npos) answer += socket.receive(std::stoul(answer.substr(at + 16)));
  return answer;
}

std::string body_of(const std::string& answer) {
  return answer.substr(answer.find("\r\n\r\n") + 4);
}

}  // namespace

TEST_CASE("server: a connection serves one request after the other") {
  Service service;
  RawSocket socket(service.address());
  for (const std::string path : {"/a", "/b", "/c"}) {
    socket.send(get(path));
    const std::string answer = receive_answer(socket);
    CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(answer.find("\r\nDate: ") != std::string::npos);
    CHECK(body_of(answer) == path);
  }
}

TEST_CASE("server: Connection: close and HTTP/1.0 end it after the answer") {
  Service service;
  for (const std::string& request :
       {get("/a", "Connection: close\r\n"), std::string("GET /a HTTP/1.0\r\n\r\n")}) {
    RawSocket socket(service.address());
    socket.send(request);
    const std::string all = socket.receive_all();
    CHECK(all.find("\r\nConnection: close\r\n") != std::string::npos);
    CHECK(body_of(all) == "/a");
  }
}

TEST_CASE("server: pipelined requests are answered in their order") {
  Service service;
  RawSocket socket(service.address());
  socket.send(get("/wait?first") + get("/second") + get("/wait?third") + get("/fourth"));
  const Responder third = service.waiting("third");
  third.send({.status = 200, .body = "3"});
  service.waiting("first").send({.status = 200, .body = "1"});
  CHECK(body_of(receive_answer(socket)) == "1");
  CHECK(body_of(receive_answer(socket)) == "/second");
  CHECK(body_of(receive_answer(socket)) == "3");
  CHECK(body_of(receive_answer(socket)) == "/fourth");
}

TEST_CASE("server: far more pipelined requests than it takes at a time") {
  Service service;
  RawSocket socket(service.address());
  std::string all = get("/wait?gate");
  for (int i = 0; i < 5000; ++i) all += get("/" + std::to_string(i));
  std::jthread sender([&] { socket.send(all); });
  service.waiting("gate").send({.status = 200, .body = "open"});
  CHECK(body_of(receive_answer(socket)) == "open");
  for (int i = 0; i < 5000; ++i) {
    REQUIRE(body_of(receive_answer(socket)) == "/" + std::to_string(i));
  }
}

TEST_CASE("server: bytes may come one at a time") {
  Service service;
  RawSocket socket(service.address());
  for (const char c : std::string("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nbc")) {
    socket.send({&c, 1});
  }
  CHECK(body_of(receive_answer(socket)) == "/abc");
}

TEST_CASE("server: a chunked body, and a client that waits for 100 Continue") {
  Service service;
  RawSocket socket(service.address());
  socket.send(
      "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbc\r\n0\r\n\r\n");
  CHECK(body_of(receive_answer(socket)) == "/abc");
  socket.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
  CHECK(socket.receive_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  socket.send("x");
  CHECK(body_of(receive_answer(socket)) == "/ax");
}

TEST_CASE("server: 100 Continue does not overtake the answers before it") {
  Service service;
  RawSocket socket(service.address());
  socket.send(get("/wait?first") +
              "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
  service.waiting("first").send({.status = 200, .body = "1"});
  CHECK(body_of(receive_answer(socket)) == "1");
  CHECK(socket.receive_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
}

TEST_CASE("server: HEAD is GET without the body") {
  Service service;
  RawSocket socket(service.address());
  socket.send("HEAD /method HTTP/1.1\r\nHost: h\r\n\r\n" + get("/b"));
  CHECK(socket.receive_until("\r\n\r\n").find("Content-Length: 3\r\n") != std::string::npos);
  CHECK(body_of(receive_answer(socket)) == "/b");
}

TEST_CASE("server: what it cannot take is answered with a problem, and then closed") {
  ServerLimits limits;
  limits.header_bytes = 1024;
  limits.body_bytes = 10;
  limits.body_limit = [](std::string_view, std::string_view target) -> std::size_t {
    return target == "/large-body" ? 20 : 10;
  };
  Service service(limits);
  const std::string post = " HTTP/1.1\r\nHost: h\r\nContent-Length: ";
  struct Case {
    const char* status;
    std::string bytes;
  };
  for (const auto& [status, bytes] : {
           Case{"400", "what?\r\n\r\n"},
           Case{"413", "POST /" + post + "11\r\n\r\n12345678901"},
           Case{"413", "POST /large-body" + post + "21\r\n\r\n"},
           Case{"431", get("/", "X: " + std::string(2000, 'x') + "\r\n")},
           Case{"501", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: br\r\n\r\n"},
           Case{"505", "GET / HTTP/2.0\r\nHost: h\r\n\r\n"},
       }) {
    CAPTURE(bytes);
    RawSocket socket(service.address());
    socket.send(get("/before") + bytes);
    CHECK(body_of(receive_answer(socket)) == "/before");
    const std::string refusal = socket.receive_all();
    CHECK(refusal.starts_with(std::string("HTTP/1.1 ") + status));
    CHECK(refusal.find("\r\nContent-Type: application/problem+json\r\n") != std::string::npos);
    CHECK(refusal.find("\r\nConnection: close\r\n") != std::string::npos);
    CHECK(body_of(refusal).find(std::string("\"status\":") + status) != std::string::npos);
  }
}

TEST_CASE("server: a refusal reaches a client that is still sending its body") {
  Service service;
  RawSocket socket(service.address());
  socket.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8000000\r\n\r\n");
  socket.send(std::string(8'000'000, 'x'));
  CHECK(socket.receive_all().starts_with("HTTP/1.1 413"));
}

TEST_CASE("server: a request that takes too long is answered 408") {
  ServerLimits limits;
  limits.request_timeout = 20ms;
  Service service(limits);
  for (const std::string& part :
       {std::string("GET / HT"),
        std::string("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na")}) {
    RawSocket socket(service.address());
    socket.send(get("/first") + part);
    CHECK(body_of(receive_answer(socket)) == "/first");
    CHECK(socket.receive_all().starts_with("HTTP/1.1 408"));
  }
}

TEST_CASE("server: the time limits are for clients, not for handlers") {
  ServerLimits limits;
  limits.request_timeout = 10ms;
  limits.idle_timeout = 10ms;
  Service service(limits);
  RawSocket socket = send_at_once(service, get("/wait?long"));
  const Responder responder = service.waiting("long");
  // By then an idle connection would have been closed, as the second one shows.
  RawSocket idle(service.address());
  CHECK(idle.receive_all().empty());
  responder.send({.status = 200, .body = "at last"});
  CHECK(body_of(receive_answer(socket)) == "at last");
  CHECK(socket.receive_all().empty());
}

TEST_CASE("server: a client that does not read its answer is given up") {
  ServerLimits limits;
  limits.idle_timeout = 20ms;
  Service service(limits);
  RawSocket socket = send_at_once(service, get("/wait?huge") + get("/wait?next"));
  const Responder huge = service.waiting("huge");
  const Responder next = service.waiting("next");
  constexpr std::size_t kSize = 32u << 20;  // more than the sockets hold
  huge.send({.status = 200, .body = std::string(kSize, 'x')});
  CHECK(service.gone("next").wait_for(60s) == std::future_status::ready);
  CHECK(socket.receive_all().size() < kSize);
  RawSocket other = send_at_once(service, get("/alive"));
  CHECK(body_of(receive_answer(other)) == "/alive");
}

TEST_CASE("server: a large answer arrives whole, and others are served meanwhile") {
  Service service;
  RawSocket slow(service.address());
  slow.send(get("/large") + get("/after"));
  RawSocket quick(service.address());
  quick.send(get("/quick"));
  CHECK(body_of(receive_answer(quick)) == "/quick");
  CHECK(body_of(receive_answer(slow)) == std::string(8u << 20, 'x'));
  CHECK(body_of(receive_answer(slow)) == "/after");
}

TEST_CASE("server: a long poll is answered later, from another thread") {
  Service service;
  Client client;
  std::promise<ClientResult> answer;
  client.send({.url = service.url("/wait?poll"), .timeout = 60s},
              [&](ClientResult result) { answer.set_value(std::move(result)); });
  const Responder responder = service.waiting("poll");
  std::thread([&] { responder.send({.status = 201, .body = "now"}); }).join();
  const auto result = answer.get_future().get();
  REQUIRE(result);
  CHECK(result->status == 201);
  CHECK(result->body == "now");
}

TEST_CASE("server: the first answer counts, from whatever copy") {
  Service service;
  RawSocket socket(service.address());
  socket.send(get("/wait?x"));
  const Responder responder = service.waiting("x");
  const Responder copy = responder;
  copy.send({.status = 200, .body = "first"});
  responder.send({.status = 200, .body = "second"});
  socket.send(get("/next"));
  CHECK(body_of(receive_answer(socket)) == "first");
  CHECK(body_of(receive_answer(socket)) == "/next");
}

TEST_CASE("server: a request that its handler forgets is answered 500") {
  Service service;
  Client client;
  const auto answer = client.fetch(patient({.url = service.url("/drop")}));
  REQUIRE(answer);
  CHECK(answer->status == 500);
}

TEST_CASE("server: a long poll whose client goes away is told so") {
  Service service;
  std::optional<Responder> responder;  // dropped after the client: dropping is an answer
  SUBCASE("closed") {
    RawSocket socket(service.address());
    socket.send(get("/wait?x"));
    responder = service.waiting("x");
  }
  SUBCASE("reset") {
    RawSocket socket(service.address());
    socket.send(get("/wait?x"));
    responder = service.waiting("x");
    socket.reset();
  }
  SUBCASE("gone before on_gone is called") {
    RawSocket socket(service.address());
    socket.send(get("/wait?y") + get("/wait?x"));
    const Responder first = service.waiting("y");
    responder = service.waiting("x");
    socket.reset();
    service.gone("y").get();
    std::promise<void> late;
    responder->on_gone([&] { late.set_value(); });
    CHECK(late.get_future().wait_for(60s) == std::future_status::ready);
  }
  CHECK(service.gone("x").wait_for(60s) == std::future_status::ready);
}

TEST_CASE("server: a client that was answered is not gone when it leaves") {
  Service service;
  std::atomic<bool> told = false;
  {
    RawSocket socket(service.address());
    socket.send(get("/wait?x"));
    const Responder responder = service.waiting("x");
    responder.on_gone([&] { told = true; });
    responder.send({});
    receive_answer(socket);
    socket.end();
    CHECK(socket.receive_all().empty());
    responder.on_gone([&] { told = true; });
  }
  service.stop();
  CHECK_FALSE(told);
}

TEST_CASE("server: a client that ends only its own direction gets its answers") {
  Service service;
  RawSocket socket(service.address());
  socket.send(get("/wait?x") + get("/b"));
  socket.end();
  const Responder responder = service.waiting("x");
  service.gone("x").get();  // as far as can be seen
  responder.send({.status = 200, .body = "a"});
  CHECK(body_of(receive_answer(socket)) == "a");
  CHECK(body_of(receive_answer(socket)) == "/b");
  CHECK(socket.receive_all().empty());
}

TEST_CASE("server: hundreds of connections at a time") {
  Service service;
  std::vector<RawSocket> sockets;
  for (int i = 0; i < 400; ++i) {
    sockets.emplace_back(service.address());
    sockets.back().send(get("/" + std::to_string(i)));
  }
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    REQUIRE(body_of(receive_answer(sockets[i])) == "/" + std::to_string(i));
  }
}

TEST_CASE("server: one connection more than allowed is told so") {
  ServerLimits limits;
  limits.connections = 2;
  Service service(limits);
  std::optional<RawSocket> first(service.address());
  RawSocket second(service.address());
  first->send(get("/1"));
  second.send(get("/2"));
  receive_answer(*first);
  receive_answer(second);

  RawSocket third(service.address());
  const std::string refusal = third.receive_all();
  CHECK(refusal.starts_with("HTTP/1.1 503"));
  CHECK(refusal.find("\r\nRetry-After: ") != std::string::npos);

  first->end();
  CHECK(first->receive_all().empty());  // now its place is free
  RawSocket fourth(service.address());
  fourth.send(get("/4"));
  CHECK(body_of(receive_answer(fourth)) == "/4");
}

TEST_CASE("server: after stop_accepting idle connections close, the others with their answer") {
  Service service;
  RawSocket idle(service.address());
  RawSocket busy(service.address());
  idle.send(get("/a"));
  receive_answer(idle);
  busy.send(get("/wait?x"));
  const Responder responder = service.waiting("x");

  service.server().stop_accepting();
  CHECK(idle.receive_all().empty());
  responder.send({.status = 200, .body = "done"});
  const std::string answer = busy.receive_all();
  CHECK(answer.find("\r\nConnection: close\r\n") != std::string::npos);
  CHECK(body_of(answer) == "done");

  Client client;
  const auto refused = client.fetch(patient({.url = service.url("/")}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::Unavailable);
}

TEST_CASE("server: a responder may outlive the server") {
  std::optional<Responder> responder;
  {
    Service service;
    RawSocket socket(service.address());
    socket.send(get("/wait?x"));
    responder = service.waiting("x");
    service.stop();
    CHECK(socket.receive_all().empty());
    responder->on_gone([] {});
    responder->send({});
  }
  responder.reset();
}

TEST_CASE("server: an address in use is a conflict") {
  Service service;
  const auto again = service.server().listen(service.address());
  REQUIRE_FALSE(again);
  CHECK(again.error().code == Code::Conflict);
}

TEST_CASE("server: answers from many threads to many clients") {
  Service service;
  constexpr int kClients = 16;
  std::vector<std::jthread> threads;
  std::atomic<int> good = 0;
  for (int c = 0; c < kClients; ++c) {
    threads.emplace_back([&, c] {
      RawSocket socket(service.address());
      for (int i = 0; i < 20; ++i) {
        const std::string key = std::to_string(c) + "-" + std::to_string(i);
        socket.send(get("/wait?" + key));
        service.waiting(key).send({.status = 200, .body = key});
        good += body_of(receive_answer(socket)) == key ? 1 : 0;
      }
    });
  }
  threads.clear();
  CHECK(good == kClients * 20);
}

TEST_CASE("server: one server listens at several addresses, with TLS and without") {
  Service service;
  const jobmill::testing::TemporaryFolder folder;
  const auto made = net::ensure_development_certificates(folder.path(), {}, SystemClock().now());
  REQUIRE(made);
  const auto address = service.server().listen(":0", {.tls = *net::TlsContext::open(made->server)});
  REQUIRE(address);
  std::ifstream file(made->authority);
  const std::string authority{std::istreambuf_iterator<char>(file), {}};

  Client client;
  const auto secure =
      client.fetch(patient({.url = "https://" + *address + "/tls", .tls_ca = authority}));
  REQUIRE(secure);
  CHECK(secure->body == "true");
  const auto plain = client.fetch(patient({.url = service.url("/tls")}));
  REQUIRE(plain);
  CHECK(plain->body == "false");
  const auto large =
      client.fetch({.url = "https://" + *address + "/large", .timeout = 60s, .tls_ca = authority});
  REQUIRE(large);
  CHECK(large->body.size() == 8u << 20);

  const auto stranger = client.fetch(patient({.url = "https://" + *address + "/tls"}));
  REQUIRE_FALSE(stranger);
  CHECK(stranger.error().code == Code::Unavailable);
}

TEST_CASE("server: over TLS too, one connection more than allowed is told so") {
  ServerLimits limits;
  limits.connections = 1;
  Service service(limits);
  const jobmill::testing::TemporaryFolder folder;
  const auto made = net::ensure_development_certificates(folder.path(), {}, SystemClock().now());
  REQUIRE(made);
  const auto address = service.server().listen(":0", {.tls = *net::TlsContext::open(made->server)});
  REQUIRE(address);
  RawSocket first(service.address());
  first.send(get("/1"));
  receive_answer(first);
  Client client;
  const auto refused =
      client.fetch(patient({.url = "https://" + *address + "/", .verify_tls = false}));
  REQUIRE(refused);
  CHECK(refused->status == 503);
}

TEST_CASE("an answer may be sent while it is made") {
  Service service;
  testing::RawSocket client(service.address());
  client.send("GET /wait?a HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
  Response head{.status = 200};
  head.headers.set("Content-Type", "text/event-stream");
  const auto body = service.waiting("a").stream(head);
  REQUIRE(body);
  const std::string sent = client.receive_until("\r\n\r\n");
  CHECK(sent.find("Transfer-Encoding: chunked\r\n") != sent.npos);
  CHECK(sent.find("Content-Length") == sent.npos);
  body->write("one");
  CHECK(client.receive_until("one\r\n") == "3\r\none\r\n");
  std::promise<bool> taken;
  body->write("", [&](bool alive) { taken.set_value(alive); });
  CHECK(taken.get_future().get());
  body->write("two and more");
  body->end();
  body->write("lost");
  CHECK(client.receive_until("0\r\n\r\n") == "c\r\ntwo and more\r\n0\r\n\r\n");
  CHECK(client.receive_until("/next").find("200 OK") != std::string::npos);  // its turn came
}

TEST_CASE("a stream to HTTP/1.0 ends with the connection") {
  Service service;
  testing::RawSocket client(service.address());
  client.send("GET /wait?a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const auto body = service.waiting("a").stream({.status = 200});
  body->write("all");
  body->end();
  const std::string answer = client.receive_all();
  CHECK(answer.find("chunked") == answer.npos);
  CHECK(answer.ends_with("\r\n\r\nall"));
}

TEST_CASE("HEAD of a stream has the head only") {
  Service service;
  testing::RawSocket client(service.address());
  client.send("HEAD /wait?a HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto body = service.waiting("a").stream({.status = 200});
  body->write("nobody reads this");
  body->end();
  const std::string answer = client.receive_until("/next");
  CHECK(answer.find("nobody") == answer.npos);
}

TEST_CASE("the writer of a stream hears that its client has gone") {
  Service service;
  testing::RawSocket client(service.address());
  client.send("GET /wait?a HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto body = service.waiting("a").stream({.status = 200});
  std::promise<void> gone;
  body->on_gone([&] { gone.set_value(); });
  client.receive_until("\r\n\r\n");
  client.reset();
  gone.get_future().get();
  std::promise<bool> taken;
  body->write("late", [&](bool alive) { taken.set_value(alive); });
  CHECK_FALSE(taken.get_future().get());
}

TEST_CASE("a writer of much is told when the client has taken it") {
  Service service;
  testing::RawSocket client(service.address());
  client.send("GET /wait?a HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto body = service.waiting("a").stream({.status = 200});
  std::promise<bool> taken;
  auto told = taken.get_future();
  body->write(std::string(32u << 20, 'x'), [&](bool alive) { taken.set_value(alive); });
  CHECK(told.wait_for(50ms) == std::future_status::timeout);  // more than sockets hold
  client.receive(32u << 20);
  CHECK(told.get());
  body->end();
}

TEST_CASE("a stream that is let go without its end closes the connection") {
  Service service;
  testing::RawSocket client(service.address());
  client.send("GET /wait?a HTTP/1.1\r\nHost: x\r\n\r\n");
  auto body = service.waiting("a").stream({.status = 200});
  body->write("half");
  body.reset();
  CHECK_FALSE(client.receive_all().ends_with("0\r\n\r\n"));
}
