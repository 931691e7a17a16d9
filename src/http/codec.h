// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "http/message.h"

namespace jobmill::http {

struct DecoderLimits {
  std::size_t header_bytes = 16u << 10;
  std::size_t body_bytes = 4u << 20;
  // Another limit for some bodies, by method and target; empty: body_bytes for all.
  std::function<std::size_t(std::string_view method, std::string_view target)> body_limit{};
};

// The server's half of HTTP/1.1 without I/O: bytes in, requests out.
//
//   decoder.feed(bytes);
//   for (auto event = decoder.next(); !std::holds_alternative<NeedMore>(event);
//        event = decoder.next()) …
//
// How the bytes are cut does not matter. A body takes memory as it arrives, not as it is
// announced. After a Refusal the decoder gives nothing more.
class RequestDecoder {
 public:
  struct NeedMore {};
  struct Continue {};  // the client waits for "100 Continue" before it sends the body
  struct Incoming {
    Request request;
    bool keep_alive = true;
    bool http10 = false;
  };
  struct Refusal {  // answer this and close
    int status = 400;
    std::string code;
    std::string detail;
  };
  using Event = std::variant<NeedMore, Continue, Incoming, Refusal>;

  explicit RequestDecoder(const DecoderLimits& limits);  // which outlive the decoder
  ~RequestDecoder();

  void feed(std::string_view bytes);
  Event next();

  bool between_requests() const;  // nothing of a next request has arrived
  std::size_t buffered() const;   // bytes fed and not looked at yet
  std::string take_rest();        // those bytes, which are no HTTP: the client has switched

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct EncodeOptions {
  bool without_body = false;  // the answer to HEAD
  bool keep_alive = true;
  bool http10 = false;
  bool chunked = false;     // the body follows in pieces, to HTTP/1.0 without any framing
  std::string_view date{};  // of now, as http_date() writes it; empty: no Date field
};

// Appends status line and header to `out`. Content-Length and Connection are ours; line breaks in
// values become blanks, so that no value can start another field.
void encode_head(const Response& response, const EncodeOptions& options, std::string& out);

// Appends one piece of a chunked body; an empty one is none.
void encode_chunk(std::string_view bytes, std::string& out);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

bool has_body(const Response& response, const EncodeOptions& options);

std::string http_date(std::int64_t unix_seconds);  // "Mon, 01 Jan 2024 00:00:00 GMT"

}  // namespace jobmill::http
