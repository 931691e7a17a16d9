// SPDX-License-Identifier: Apache-2.0
#include "http/codec.h"

#include <doctest/doctest.h>

#include <vector>

using namespace jobmill::http;

namespace {

using NeedMore = RequestDecoder::NeedMore;
using Continue = RequestDecoder::Continue;
using Incoming = RequestDecoder::Incoming;
using Refusal = RequestDecoder::Refusal;

// One line for each event, so that runs can be compared.
std::string describe(const RequestDecoder::Event& event) {
  if (std::holds_alternative<Continue>(event)) return "continue";
  if (const auto* refusal = std::get_if<Refusal>(&event)) {
    return "refused " + std::to_string(refusal->status);
  }
  const auto& incoming = std::get<Incoming>(event);
  const Request& request = incoming.request;
  std::string line = request.method + " " + request.path;
  for (const auto& [name, value] : request.headers.fields()) line += " " + name + "=" + value;
  line += " [" + request.body + "]";
  if (incoming.http10) line += " 1.0";
  if (!incoming.keep_alive) line += " close";
  return line;
}

std::vector<std::string> decode(const std::vector<std::string_view>& pieces,
                                const DecoderLimits& limits = {}) {
  RequestDecoder decoder(limits);
  std::vector<std::string> events;
  for (const auto piece : pieces) {
    decoder.feed(piece);
    for (auto event = decoder.next(); !std::holds_alternative<NeedMore>(event);
         event = decoder.next()) {
      events.push_back(describe(event));
    }
  }
  return events;
}

std::vector<std::string> decode(std::string_view bytes, const DecoderLimits& limits = {}) {
  return decode(std::vector{bytes}, limits);
}

using Events = std::vector<std::string>;

}  // namespace

TEST_CASE("decoder: requests, one after the other") {
  CHECK(decode("GET /a HTTP/1.1\r\nHost: h\r\n\r\n") == Events{"GET /a Host=h []"});
  CHECK(decode("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
               "GET /c HTTP/1.1\r\nhost:h\r\n\r\n") ==
        Events{"POST /b Host=h Content-Length=3 [abc]", "GET /c host=h []"});
  CHECK(decode("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n") == Events{"GET / Host=h []"});
  CHECK(decode("GET http://other/p HTTP/1.1\r\nHost: h\r\n\r\n") == Events{"GET /p Host=other []"});
}

TEST_CASE("decoder: whether the connection stays open") {
  CHECK(decode("GET / HTTP/1.0\r\n\r\n") == Events{"GET / [] 1.0 close"});
  CHECK(decode("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") ==
        Events{"GET / Connection=keep-alive [] 1.0"});
  CHECK(decode("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n") ==
        Events{"GET / Host=h Connection=close [] close"});
}

TEST_CASE("decoder: a chunked body is joined, its trailers are dropped") {
  CHECK(decode("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
               "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nX-Role: admin\r\n\r\n") ==
        Events{"POST / Host=h Transfer-Encoding=chunked [abc0123456789]"});
}

TEST_CASE("decoder: a client that asks before it sends the body is told to go on, once") {
  const std::string head =
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
  const std::string request = "POST / Host=h Content-Length=2 Expect=100-continue [ab]";
  CHECK(decode({head, "a", "b"}) == Events{"continue", request});
  CHECK(decode(head + "ab") == Events{request});
  CHECK(decode({head + "a", "b"}) == Events{request});
}

TEST_CASE("decoder: what cannot be a request is refused, by its kind") {
  struct Case {
    int status;
    std::string bytes;
  };
  const std::string get = "GET / HTTP/1.1\r\n";
  const std::string post = "POST / HTTP/1.1\r\nHost: h\r\n";
  const DecoderLimits limits{.header_bytes = 256, .body_bytes = 10};
  for (const auto& [status, bytes] : {
           Case{400, "hello\r\n\r\n"},
           Case{400, std::string("\0\0\0\0", 4)},
           Case{400, "GET /\r\n\r\n"},
           Case{400, "GET / HTTP\r\nHost: h\r\n\r\n"},
           Case{400, get + "\r\n"},  // no Host
           Case{400, get + "Host: a\r\nHost: b\r\n\r\n"},
           Case{400, get + "Host: h\r\nbad field: x\r\n\r\n"},
           Case{400, get + "Host: h\nX: y\r\n\r\n"},
           Case{400, "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n"},
           Case{400, "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n"},
           Case{400, post + "Content-Length: -1\r\n\r\n"},
           Case{400, post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"},
           Case{400, post + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
           Case{400, post + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"},
           Case{400, post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
           Case{400, post + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n"},
           Case{400, post + "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n"},
           Case{400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
           Case{413, post + "Content-Length: 11\r\n\r\n"},
           Case{413, post + "Content-Length: 18446744073709551615\r\n\r\n"},
           Case{413, post + "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n"},
           Case{413, post + "Transfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n5\r\n"},
           Case{413, post + "Expect: 100-continue\r\nContent-Length: 11\r\n\r\n"},
           Case{417, post + "Expect: 200-ok\r\nContent-Length: 1\r\n\r\n"},
           Case{431, get + "Host: h\r\nX: " + std::string(300, 'x')},
           Case{431, get + "Host: h\r\nX: " + std::string(300, 'x') + "\r\n\r\n"},
           Case{431, "GET /" + std::string(300, 'x')},
           Case{431, post + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(300, 'x')},
           Case{431, post + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + std::string(300, 'x')},
           Case{501, post + "Transfer-Encoding: gzip\r\n\r\n"},
           Case{501, post + "Transfer-Encoding: gzip, chunked\r\n\r\n"},
           Case{505, "GET / HTTP/2.0\r\nHost: h\r\n\r\n"},
           Case{505, "GET / HTTP/0.9\r\nHost: h\r\n\r\n"},
           Case{505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
       }) {
    CAPTURE(bytes);
    CHECK(decode(bytes, limits) == Events{"refused " + std::to_string(status)});
  }
}

TEST_CASE("decoder: how the bytes are cut does not matter") {
  for (const std::string_view bytes : {
           "POST /a?b=c HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nX:  y \r\n\r\nabc"
           "GET /c HTTP/1.1\r\nhost:h\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
           "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nX: y\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcde\r\n0\r\n",
           "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
           "GET / HTTP/3.0\r\nHost: h\r\n\r\n",
       }) {
    const Events whole = decode(bytes);
    REQUIRE_FALSE(whole.empty());
    std::vector<std::string_view> single;
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      CAPTURE(cut);
      CHECK(decode({bytes.substr(0, cut), bytes.substr(cut)}) == whole);
      single.push_back(bytes.substr(cut, 1));
    }
    CHECK(decode(single) == whole);
  }
}

TEST_CASE("decoder: a header of the full size passes, one byte more does not") {
  const auto request = [](std::size_t size) {
    std::string bytes = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
    bytes.append(size - bytes.size() - 4, 'x');
    return bytes + "\r\n\r\n";
  };
  const DecoderLimits limits{.header_bytes = 512, .body_bytes = 0};
  CHECK(decode(request(512), limits).front().starts_with("GET /"));
  CHECK(decode(request(513), limits) == Events{"refused 431"});
  CHECK(decode({request(512), request(512)}, limits).size() == 2);
}

TEST_CASE("decoder: some requests may have larger bodies") {
  DecoderLimits limits{.header_bytes = 1024, .body_bytes = 1};
  limits.body_limit = [](std::string_view method, std::string_view target) -> std::size_t {
    return method == "POST" && target == "/large" ? 3 : 1;
  };
  const std::string rest = " HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
  CHECK(decode("POST /large" + rest, limits).front().starts_with("POST /large"));
  CHECK(decode("POST /small" + rest, limits) == Events{"refused 413"});
  CHECK(decode("PUT /large" + rest, limits) == Events{"refused 413"});
}

TEST_CASE("decoder: knows when nothing of a request has arrived") {
  const DecoderLimits limits;
  RequestDecoder decoder(limits);
  CHECK(decoder.between_requests());
  decoder.feed("GET / HTTP/1.1\r\n");
  CHECK(std::holds_alternative<NeedMore>(decoder.next()));
  CHECK_FALSE(decoder.between_requests());
  decoder.feed("Host: h\r\n\r\n\r\n");
  CHECK(std::holds_alternative<Incoming>(decoder.next()));
  CHECK(std::holds_alternative<NeedMore>(decoder.next()));
  CHECK(decoder.between_requests());
  CHECK(decoder.buffered() == 0);
}

TEST_CASE("encoder: the head says how long the body is and who ends the connection") {
  Response response{.status = 200, .body = "hello"};
  response.headers.add("Content-Type", "text/plain");
  response.headers.add("content-length", "4711");
  std::string out;
  encode_head(response, {.date = "today"}, out);
  CHECK(out ==
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: today\r\nContent-Length: 5\r\n\r\n");
  out.clear();
  encode_head({.status = 204}, {.keep_alive = false}, out);
  CHECK(out == "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
  out.clear();
  encode_head({.status = 299}, {.http10 = true}, out);
  CHECK(out == "HTTP/1.1 299 Unknown\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n");
}

TEST_CASE("encoder: no value can start another field") {
  Response response;
  response.headers.add("Location", "/a\r\nSet-Cookie: x\n");
  std::string out;
  encode_head(response, {}, out);
  CHECK(out == "HTTP/1.1 200 OK\r\nLocation: /a  Set-Cookie: x \r\nContent-Length: 0\r\n\r\n");
}

TEST_CASE("encoder: bodies that must not be sent") {
  CHECK(has_body({.status = 200, .body = "x"}, {}));
  CHECK_FALSE(has_body({.status = 200, .body = "x"}, {.without_body = true}));
  CHECK_FALSE(has_body({.status = 204, .body = "x"}, {}));
  CHECK_FALSE(has_body({.status = 304, .body = "x"}, {}));
}

TEST_CASE("http date: as RFC 9110 writes it") {
  CHECK(http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(http_date(1'704'067'200) == "Mon, 01 Jan 2024 00:00:00 GMT");
}
