// SPDX-License-Identifier: Apache-2.0
#include "http/client.h"

#include <doctest/doctest.h>

#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <future>
#include <mutex>
#include <stop_token>
#include <thread>

#include "http/server.h"
#include "raw_socket.h"

using namespace jobmill;
using namespace jobmill::http;
using namespace std::chrono_literals;
using jobmill::testing::RawListener;
using jobmill::testing::RawSocket;

namespace {

// /echo tells the request; /redirect?n counts down; /wait never answers; /large is 1 MiB; /stream
// answers with the status of its query, and leaves the body to take_body().
class Service {
 public:
  Service() : server_(loop_, [this](Request r, Responder to) { handle(std::move(r), to); }) {
    auto address = server_.listen(":0");
    REQUIRE(address);
    address_ = *address;
    thread_ = std::jthread([this](std::stop_token stop) { loop_.run(std::move(stop)); });
  }
  ~Service() {
    thread_.request_stop();
    thread_.join();
  }

  const std::string& address() const { return address_; }
  std::string url(const std::string& path) const { return "http://" + address_ + path; }
  std::shared_ptr<Body> take_body() { return body_.get_future().get(); }  // once

 private:
  void handle(Request request, const Responder& responder) {
    Response response;
    response.headers.add("X-Peer", request.peer);
    if (request.path == "/wait") return waiting_.push_back(responder);
    if (request.path == "/stream") return stream(request, responder);
    if (request.path == "/large") response.body = std::string(1u << 20, 'x');
    if (request.path == "/headers") response.headers.add("X", std::string(300'000, 'x'));
    if (request.path == "/redirect") redirect(request, response);
    if (request.path == "/echo") {
      response.body = request.method + " " + request.target + "\n";
      for (const auto& [name, value] : request.headers.fields()) {
        response.body += name + ": " + value + "\n";
      }
      response.body += "\n" + request.body;
    }
    responder.send(std::move(response));
  }

  void stream(const Request& request, const Responder& responder) {
    Response head{.status = std::stoi(request.query.front().first)};
    head.headers.add("X-Peer", request.peer);
    body_.set_value(responder.stream(std::move(head)));
  }

  static void redirect(const Request& request, Response& response) {
    const int left = std::stoi(request.query.front().first);
    response.status = 302;
    response.headers.add("Location", left > 1 ? "/redirect?" + std::to_string(left - 1) : "/echo");
  }

  net::EventLoop loop_;
  std::vector<Responder> waiting_;
  std::promise<std::shared_ptr<Body>> body_;
  Server server_;
  std::string address_;
  std::jthread thread_;
};

// As long as a busy machine needs.
ClientRequest patient(ClientRequest request) {
  request.timeout = 60s;
  return request;
}

std::string unused_address() { return RawListener().address(); }

// What a stream tells, in order, in words.
class Told {
 public:
  StreamEvents events() {
    return {.begun = [this](const Response& head) { tell("begun " + std::to_string(head.status)); },
            .data = [this](std::string_view bytes) { tell(std::string(bytes)); },
            .ended =
                [this](Status status) {
                  tell(status ? "whole"
                              : "broken " + std::to_string(static_cast<int>(status.error().code)));
                }};
  }
  std::string next() {
    std::unique_lock lock(mutex_);
    REQUIRE(more_.wait_for(lock, 60s, [&] { return !words_.empty(); }));
    std::string word = std::move(words_.front());
    words_.pop_front();
    return word;
  }
  bool none() {
    const std::lock_guard lock(mutex_);
    return words_.empty();
  }

 private:
  void tell(std::string word) {
    const std::lock_guard lock(mutex_);
    words_.push_back(std::move(word));
    more_.notify_all();
  }

  std::mutex mutex_;  // guards words_
  std::condition_variable more_;
  std::deque<std::string> words_;
};

std::string broken(Code code) { return "broken " + std::to_string(static_cast<int>(code)); }

}  // namespace

TEST_CASE("client: sends method, headers and body, and gives all of the answer") {
  Service service;
  Client client;
  ClientRequest request{
      .method = "PUT", .url = service.url("/echo?a=b%20c"), .body = "hello", .timeout = 60s};
  request.headers.add("X-One", "1");
  request.headers.add("X-Empty", "");
  request.headers.add("Content-Type", "text/x");
  const auto answer = client.fetch(request);
  REQUIRE(answer);
  CHECK(answer->status == 200);
  CHECK(answer->headers.get("x-peer")->starts_with("127.0.0.1:"));
  const std::string& body = answer->body;
  CHECK(body.starts_with("PUT /echo?a=b%20c\nHost: " + service.address() + "\n"));
  CHECK(body.find("X-One: 1\n") != std::string::npos);
  CHECK(body.find("X-Empty: \n") != std::string::npos);
  CHECK(body.find("Content-Type: text/x\n") != std::string::npos);
  CHECK(body.ends_with("\n\nhello"));
}

TEST_CASE("client: the usual methods") {
  Service service;
  Client client;
  for (const std::string method : {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}) {
    for (const std::string body : {"", "b"}) {
      CAPTURE(method);
      CAPTURE(body);
      const auto answer =
          client.fetch(patient({.method = method, .url = service.url("/echo"), .body = body}));
      REQUIRE(answer);
      CHECK(answer->body.starts_with(method + " /echo\n"));
      CHECK(answer->body.ends_with("\n\n" + body));
      CHECK(answer->body.find("Content-Type") == std::string::npos);
      CHECK(answer->body.find("Expect") == std::string::npos);
    }
  }
  const auto head = client.fetch(patient({.method = "HEAD", .url = service.url("/large")}));
  REQUIRE(head);
  CHECK(head->body.empty());
}

TEST_CASE("client: any status is an answer") {
  Service service;
  Client client;
  CHECK(client.fetch(patient({.url = service.url("/redirect?1")}))->status == 302);
}

TEST_CASE("client: a large body arrives whole") {
  Service service;
  Client client;
  const std::string body(3u << 20, 'y');
  const auto answer =
      client.fetch({.method = "POST", .url = service.url("/echo"), .body = body, .timeout = 60s});
  REQUIRE(answer);
  CHECK(answer->body.ends_with("\n\n" + body));
}

TEST_CASE("client: a connection is used again") {
  Service service;
  Client client;
  const auto first = client.fetch(patient({.url = service.url("/echo")}));
  const auto second =
      client.fetch(patient({.method = "POST", .url = service.url("/echo"), .body = "x"}));
  REQUIRE(first);
  REQUIRE(second);
  CHECK(first->headers.get("X-Peer") == second->headers.get("X-Peer"));
}

TEST_CASE("client: a server that does not answer in time") {
  Service service;
  Client client;
  const auto answer = client.fetch({.url = service.url("/wait?secret=1"), .timeout = 30ms});
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Code::Timeout);
  CHECK(answer.error().message == "GET " + service.url("/wait") + ": no answer within 0.03 s");
}

TEST_CASE("client: a server that is not there is named without secrets") {
  Client client;
  const std::string address = unused_address();
  const auto answer =
      client.fetch(patient({.url = "http://user:secret@" + address + "/path?key=secret"}));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Code::Unavailable);
  CHECK(answer.error().message.starts_with("GET http://" + address + "/path: "));
  CHECK(answer.error().message.find("secret") == std::string::npos);
}

TEST_CASE("client: redirects are followed when asked for, ten at most") {
  Service service;
  Client client;
  const auto fetch = [&](const std::string& path) {
    return client.fetch(patient({.url = service.url(path), .follow_redirects = true}));
  };
  const auto ten = fetch("/redirect?10");
  REQUIRE(ten);
  CHECK(ten->status == 200);
  CHECK(ten->body.starts_with("GET /echo\n"));
  CHECK_FALSE(ten->headers.get("Location"));  // the last answer's headers only
  const auto eleven = fetch("/redirect?11");
  REQUIRE_FALSE(eleven);
  CHECK(eleven.error().code == Code::Unavailable);
}

TEST_CASE("client: connect_to changes where, not what") {
  Service service;
  Client client;
  const auto answer = client.fetch(
      patient({.url = "http://web.default:8000/echo", .connect_to = service.address()}));
  REQUIRE(answer);
  CHECK(answer->body.starts_with("GET /echo\nHost: web.default:8000\n"));
}

TEST_CASE("client: a proxy of the environment is used, but not for this machine") {
  Service service;
  REQUIRE(setenv("http_proxy", ("http://" + service.address()).c_str(), 1) == 0);
  Client client;
  const auto away = client.fetch(patient({.url = "http://away.invalid/echo"}));
  REQUIRE(setenv("http_proxy", ("http://" + unused_address()).c_str(), 1) == 0);
  const auto here = client.fetch(patient({.url = service.url("/echo")}));
  const auto led =
      client.fetch(patient({.url = "http://away.invalid/echo", .connect_to = service.address()}));
  unsetenv("http_proxy");

  REQUIRE(away);
  CHECK(away->body.starts_with("GET http://away.invalid/echo\nHost: away.invalid\n"));
  CHECK(here);
  REQUIRE(led);
  CHECK(led->body.starts_with("GET /echo\nHost: away.invalid\n"));
}

TEST_CASE("client: an answer that is too large is cut off") {
  Service service;
  Client client;
  const auto fetch = [&](const std::string& path, std::size_t limit) {
    return client.fetch(patient({.url = service.url(path), .max_response_bytes = limit}));
  };
  const auto body = fetch("/large", (1u << 20) - 1);
  REQUIRE_FALSE(body);
  CHECK(body.error().code == Code::Exhausted);
  CHECK(fetch("/large", 1u << 20));
  CHECK_FALSE(fetch("/headers", 1u << 20));
}

TEST_CASE("client: what cannot be sent is refused") {
  Client client;
  for (const char* url : {"", "ftp://h/", "file:///etc/passwd", "http://", "http://h:99999/"}) {
    CAPTURE(url);
    const auto answer = client.fetch(patient({.url = url}));
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == Code::InvalidArgument);
  }
  ClientRequest request{.url = "http://127.0.0.1/"};
  request.headers.add("X", "a\r\nY: b");
  CHECK(client.fetch(request).error().code == Code::InvalidArgument);
}

TEST_CASE("client: a broken TLS key is the caller's fault") {
  Service service;
  Client client;
  const auto answer = client.fetch(patient({.url = "https://" + service.address() + "/",
                                            .tls_cert = "not a certificate",
                                            .tls_key = "not a key"}));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Code::InvalidArgument);
}

// The server may have carried out what it did not answer.
TEST_CASE("client: a body is not sent again when a kept connection breaks") {
  RawListener server;
  Client client;
  const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  std::jthread answers([&] {
    RawSocket kept = server.accept();
    kept.receive_until("\r\n\r\n");
    kept.send(ok);
    kept.receive_until("once");
  });
  const std::string url = "http://" + server.address() + "/";
  CHECK(client.fetch(patient({.url = url})));
  const auto broken = client.fetch(patient({.method = "POST", .url = url, .body = "once"}));
  REQUIRE_FALSE(broken);
  CHECK(broken.error().code == Code::Unavailable);
}

TEST_CASE("client: a read is sent again when a kept connection breaks") {
  RawListener server;
  Client client;
  const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  std::jthread answers([&] {
    for (int connection = 0; connection < 2; ++connection) {
      RawSocket kept = server.accept();
      kept.receive_until("\r\n\r\n");
      kept.send(ok);
      if (connection == 0) kept.receive_until("\r\n\r\n");
    }
  });
  const std::string url = "http://" + server.address() + "/";
  CHECK(client.fetch(patient({.url = url})));
  CHECK(client.fetch(patient({.url = url})));
}

TEST_CASE("client: many requests at a time, each with its own answer") {
  Service service;
  Client client;
  std::vector<std::promise<ClientResult>> answers(100);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    client.send({.url = service.url("/echo?" + std::to_string(i)), .timeout = 60s},
                [&, i](ClientResult result) { answers[i].set_value(std::move(result)); });
  }
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto answer = answers[i].get_future().get();
    REQUIRE(answer);
    CHECK(answer->body.starts_with("GET /echo?" + std::to_string(i) + "\n"));
  }
}

TEST_CASE("client: requests without an answer end with the client") {
  Service service;
  std::promise<ClientResult> waiting;
  {
    Client client;
    client.send({.url = service.url("/wait"), .timeout = 1h},
                [&](ClientResult result) { waiting.set_value(std::move(result)); });
  }
  const auto result = waiting.get_future().get();
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Code::Unavailable);
}

TEST_CASE("client: a bad request to send() is told through done") {
  Client client;
  std::promise<ClientResult> told;
  client.send(patient({.url = "gopher://x"}),
              [&](ClientResult result) { told.set_value(std::move(result)); });
  CHECK(told.get_future().get().error().code == Code::InvalidArgument);
}

TEST_CASE("client: a stream is told as it comes, while other requests go on") {
  Service service;
  Told told;
  Client client;
  const auto handle = client.stream(patient({.url = service.url("/stream?200")}), told.events());
  CHECK(told.next() == "begun 200");
  const auto body = service.take_body();
  for (const std::string word : {"first", "second"}) {
    body->write(word);
    CHECK(told.next() == word);
    std::promise<ClientResult> other;
    client.send(patient({.url = service.url("/echo")}),
                [&](ClientResult r) { other.set_value(std::move(r)); });
    CHECK(other.get_future().get());
  }
  body->end();
  CHECK(told.next() == "whole");
}

TEST_CASE("client: a stream of any status is told with its body") {
  Service service;
  Told told;
  Client client;
  const auto handle = client.stream(patient({.url = service.url("/stream?410")}), told.events());
  CHECK(told.next() == "begun 410");
  const auto body = service.take_body();
  body->write("gone");
  CHECK(told.next() == "gone");
  body->end();
  CHECK(told.next() == "whole");
}

TEST_CASE("client: a stream that breaks off is not whole") {
  Service service;
  Told told;
  Client client;
  const auto handle = client.stream(patient({.url = service.url("/stream?200")}), told.events());
  service.take_body()->write("half");
  CHECK(told.next() == "begun 200");
  CHECK(told.next() == "half");
  CHECK(told.next() == broken(Code::Unavailable));
}

TEST_CASE("client: a stream is not ended by its timeout, which is for connecting") {
  // A machine that is busy may need longer to connect.
  for (Duration limit = 50ms;; limit *= 2) {
    REQUIRE(limit < 60s);
    Service service;
    Told told;
    Client client;
    const auto handle =
        client.stream({.url = service.url("/stream?200"), .timeout = limit}, told.events());
    if (told.next() != "begun 200") continue;
    const auto body = service.take_body();
    // A request whose time is longer ends first: the stream's time has passed, too.
    const auto waited = client.fetch({.url = service.url("/wait"), .timeout = 2 * limit});
    CHECK(waited.error().code == Code::Timeout);
    body->write("still here");
    CHECK(told.next() == "still here");
    return;
  }
}

TEST_CASE("client: what a stream cannot begin with is told by its end") {
  Told told;
  Client client;
  const auto nobody = client.stream(patient({.url = "http://" + unused_address()}), told.events());
  CHECK(told.next() == broken(Code::Unavailable));
  const auto wrong = client.stream(patient({.url = "gopher://x"}), told.events());
  CHECK(told.next() == broken(Code::InvalidArgument));
}

TEST_CASE("client: dropping a stream closes its connection without a word") {
  Service service;
  Told told;
  Client client;
  auto handle = client.stream(patient({.url = service.url("/stream?200")}), told.events());
  CHECK(told.next() == "begun 200");
  const auto body = service.take_body();
  std::promise<void> gone;
  body->on_gone([&] { gone.set_value(); });
  handle.reset();
  gone.get_future().get();
  CHECK(told.none());
}

TEST_CASE("client: a stream may be dropped by what it tells") {
  Service service;
  Told told;
  std::promise<void> held;
  std::shared_ptr<void> handle;  // dropped on the client's thread, which ends before it
  Client client;
  StreamEvents events = told.events();
  events.begun = [&, ready = held.get_future().share()](const Response&) {
    ready.get();
    handle.reset();
  };
  handle = client.stream(patient({.url = service.url("/stream?200")}), std::move(events));
  const auto body = service.take_body();
  std::promise<void> gone;
  body->on_gone([&] { gone.set_value(); });
  held.set_value();
  gone.get_future().get();
  CHECK(told.none());
}

TEST_CASE("client: streams end with the client, and their handles outlive it") {
  Service service;
  Told told;
  std::shared_ptr<void> handle;
  {
    Client client;
    handle = client.stream(patient({.url = service.url("/stream?200")}), told.events());
    CHECK(told.next() == "begun 200");
  }
  CHECK(told.next() == broken(Code::Unavailable));
}
