// SPDX-License-Identifier: Apache-2.0
#include "http/codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <chrono>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>

#include "http/problem.h"

namespace beast = boost::beast;
using beast::error_code;
using beast::http::field;

namespace jobmill::http {
namespace {

constexpr std::size_t kKeptBuffer = 16u << 10;  // a larger one is given back between requests

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

RequestDecoder::Refusal malformed(std::string detail) {
  return {.status = 400, .code = "invalid_argument", .detail = std::move(detail)};
}

RequestDecoder::Refusal header_too_large(const DecoderLimits& limits) {
  return {.status = 431,
          .code = "header_too_large",
          .detail = fmt::format("the header is larger than {} bytes", limits.header_bytes)};
}

// The host of "http://host:80/path". It overrides the Host field (RFC 9112, 3.2.2).
std::optional<std::string_view> authority(std::string_view target) {
  const std::size_t scheme = target.find("://");
  if (target.starts_with('/') || scheme == std::string_view::npos) return std::nullopt;
  target.remove_prefix(scheme + 3);
  return target.substr(0, target.find_first_of("/?"));
}

// One request. Beast finds the parts of the message, we keep them and judge what its grammar
// leaves open.
class Parser final : public beast::http::basic_parser<true> {
 public:
  explicit Parser(const DecoderLimits& limits) : limits_(limits) {
    header_limit(static_cast<std::uint32_t>(
        std::min<std::size_t>(limits.header_bytes, std::numeric_limits<std::uint32_t>::max())));
    body_limit(boost::none);  // ours depends on the request: see on_header_impl
  }

  // A chunked body ends with "0 CR LF CR LF", so at least that much is still to come. Beast asserts
  // that it never sees less of a last chunk.
  std::size_t least_bytes() const { return is_header_done() && chunked() ? 5 : 1; }

  RequestDecoder::Incoming incoming;
  std::optional<RequestDecoder::Refusal> refusal;
  std::size_t header_bytes = 0;  // consumed so far
  bool continue_expected = false;

 private:
  void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view target,
                       int version, error_code&) override {
    incoming.request.method = view(method);
    incoming.request.target = view(target);
    incoming.http10 = version == 10;
  }

  void on_field_impl(field name, beast::string_view text, beast::string_view value,
                     error_code& error) override {
    if (is_header_done()) return;  // a trailer: nothing that we act on may come that late
    if (name == field::host) ++hosts_;
    if (name == field::expect) expect_ = view(value);
    if (name == field::transfer_encoding && !iequals(view(value), "chunked")) {
      return refuse(error, {.status = 501,
                            .code = "not_implemented",
                            .detail = fmt::format("transfer coding {}", view(value))});
    }
    incoming.request.headers.add(std::string(view(text)), std::string(view(value)));
  }

  void on_header_impl(error_code& error) override;

  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}

  std::size_t on_body_impl(beast::string_view bytes, error_code& error) override {
    std::string& body = incoming.request.body;
    if (bytes.size() > body_limit_ - body.size()) {
      refuse(error, too_large());
      return 0;
    }
    body.append(bytes.data(), bytes.size());
    return bytes.size();
  }

  void on_chunk_header_impl(std::uint64_t size, beast::string_view, error_code& error) override {
    if (size > body_limit_ - incoming.request.body.size()) refuse(error, too_large());
  }

  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view bytes,
                                 error_code& error) override {
    return on_body_impl(bytes, error);
  }

  void on_response_impl(int, beast::string_view, int, error_code&) override {}
  void on_finish_impl(error_code&) override {}

  std::optional<RequestDecoder::Refusal> judge_header();

  RequestDecoder::Refusal too_large() const {
    return {.status = 413,
            .code = "payload_too_large",
            .detail = fmt::format("the body is larger than {} bytes", body_limit_)};
  }

  void refuse(error_code& error, RequestDecoder::Refusal why) {
    refusal = std::move(why);
    error = beast::http::make_error_code(beast::http::error::bad_value);
  }

  const DecoderLimits& limits_;
  std::size_t body_limit_ = 0;
  int hosts_ = 0;
  std::string expect_;
};

void Parser::on_header_impl(error_code& error) {
  if (auto why = judge_header()) refuse(error, *std::move(why));
}

std::optional<RequestDecoder::Refusal> Parser::judge_header() {
  Request& request = incoming.request;
  // One Host, always (RFC 9112, 3.2): with two, a proxy and we might mean different ones.
  if (hosts_ > 1 || (hosts_ == 0 && !incoming.http10)) {
    return malformed(hosts_ == 0 ? "the Host header is missing" : "more than one Host header");
  }
  if (incoming.http10 && chunked()) return malformed("a transfer coding needs HTTP/1.1");
  if (!http::parse_target(request)) return malformed("the request target is not a valid path");
  if (const auto host = authority(request.target)) request.headers.set("Host", std::string(*host));

  const auto& limit = limits_.body_limit;
  body_limit_ = limit ? limit(request.method, request.target) : limits_.body_bytes;
  const auto length = content_length();
  if (length && *length > body_limit_) return too_large();

  if (expect_.empty() || incoming.http10) return std::nullopt;
  if (!iequals(expect_, "100-continue")) {
    return RequestDecoder::Refusal{.status = 417,
                                   .code = "expectation_failed",
                                   .detail = "the only expectation is 100-continue"};
  }
  continue_expected = chunked() || (length && *length > 0);
  return std::nullopt;
}

// The version is the last word of the first line; Beast has one error for "HTTP/2.0", which is
// another version, and for "HTTP", which is none.
bool names_other_version(std::string_view bytes) {
  const std::string_view line = bytes.substr(0, bytes.find('\r'));
  const std::string_view word = line.substr(line.rfind(' ') + 1);
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return word.size() == 8 && word.starts_with("HTTP/") && digit(word[5]) && word[6] == '.' &&
         digit(word[7]);
}

RequestDecoder::Refusal explain(const error_code& error, std::string_view bytes,
                                const DecoderLimits& limits) {
  if (error == beast::http::error::header_limit) return header_too_large(limits);
  if (error == beast::http::error::bad_version && names_other_version(bytes)) {
    return {.status = 505,
            .code = "http_version_not_supported",
            .detail = "this server speaks HTTP/1.0 and HTTP/1.1"};
  }
  return malformed("not a valid HTTP request: " + error.message());
}

}  // namespace

struct RequestDecoder::Impl {
  explicit Impl(const DecoderLimits& l) : limits(l) {}

  const DecoderLimits& limits;
  std::string buffer;
  std::size_t start = 0;         // of what the parser has not consumed
  std::optional<Parser> parser;  // of the request that has begun
  bool refused = false;

  std::string_view rest() const { return std::string_view(buffer).substr(start); }
  void compact();
  void skip_empty_lines();
  bool begin();
  std::optional<Refusal> parse(bool& starved);
  bool wants_continue();
  Incoming take();
};

// Keeps the buffer from growing with every request of a long connection.
void RequestDecoder::Impl::compact() {
  buffer.erase(0, start);
  start = 0;
  if (buffer.empty() && buffer.capacity() > kKeptBuffer) buffer.shrink_to_fit();
}

// RFC 9112, 2.2: some clients send an empty line after a body.
void RequestDecoder::Impl::skip_empty_lines() {
  while (rest().starts_with("\r\n")) start += 2;
}

bool RequestDecoder::Impl::begin() {
  if (parser) return rest().size() >= parser->least_bytes();
  skip_empty_lines();
  if (rest().empty() || rest() == "\r") return false;
  parser.emplace(limits);
  return true;
}

std::optional<RequestDecoder::Refusal> RequestDecoder::Impl::parse(bool& starved) {
  const std::string_view bytes = rest();
  const bool in_header = !parser->is_header_done();
  error_code error;
  const std::size_t used = parser->put({bytes.data(), bytes.size()}, error);
  start += used;
  if (in_header) parser->header_bytes += used;

  if (parser->refusal) return std::move(parser->refusal);
  starved = error == beast::http::error::need_more;
  if (error && !starved) return explain(error, bytes, limits);
  // The header in all its lines; in a body, the header of one chunk or the trailers.
  const std::size_t waiting = starved ? rest().size() : 0;
  const std::size_t header = (in_header ? parser->header_bytes : 0) + waiting;
  if (header > limits.header_bytes) return header_too_large(limits);
  return std::nullopt;
}

// Once, and not when the client sends the body unasked.
bool RequestDecoder::Impl::wants_continue() {
  const bool wanted = parser && std::exchange(parser->continue_expected, false);
  return wanted && buffer.empty() && parser->incoming.request.body.empty();
}

RequestDecoder::Incoming RequestDecoder::Impl::take() {
  Incoming incoming = std::move(parser->incoming);
  incoming.keep_alive = parser->keep_alive();
  parser.reset();
  return incoming;
}

RequestDecoder::RequestDecoder(const DecoderLimits& limits)
    : impl_(std::make_unique<Impl>(limits)) {}

RequestDecoder::~RequestDecoder() = default;

void RequestDecoder::feed(std::string_view bytes) {
  if (impl_->refused) return;
  impl_->compact();
  impl_->buffer.append(bytes);
}

RequestDecoder::Event RequestDecoder::next() {
  Impl& state = *impl_;
  bool starved = state.refused;
  while (!starved && state.begin()) {
    if (auto refusal = state.parse(starved)) {
      state.refused = true;
      state.start = state.buffer.size();
      return *std::move(refusal);
    }
    if (state.parser->is_done()) return state.take();
  }
  state.compact();
  if (state.wants_continue()) return Continue{};
  return NeedMore{};
}

bool RequestDecoder::between_requests() const { return !impl_->parser && impl_->rest().empty(); }

std::size_t RequestDecoder::buffered() const { return impl_->rest().size(); }

std::string RequestDecoder::take_rest() {
  std::string rest(impl_->rest());
  impl_->start = impl_->buffer.size();
  impl_->compact();
  return rest;
}

bool has_body(const Response& response, const EncodeOptions& options) {
  const int status = response.status;
  return !options.without_body && status >= 200 && status != 204 && status != 304;
}

namespace {

bool is_framing(std::string_view name) {
  return iequals(name, "Content-Length") || iequals(name, "Connection") ||
         iequals(name, "Transfer-Encoding");
}

void append_field(std::string_view name, std::string_view value, std::string& out) {
  constexpr std::string_view kBreaks("\r\n\0", 3);
  out += name;
  out += ": ";
  const std::size_t begin = out.size();
  out += value;
  for (auto at = out.find_first_of(kBreaks, begin); at != std::string::npos;
       at = out.find_first_of(kBreaks, at)) {
    out[at] = ' ';
  }
  out += "\r\n";
}

}  // namespace

void encode_head(const Response& response, const EncodeOptions& options, std::string& out) {
  fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\n", response.status,
                 reason_phrase(response.status));
  bool dated = options.date.empty();
  for (const auto& [name, value] : response.headers.fields()) {
    if (is_framing(name)) continue;
    dated = dated || iequals(name, "Date");
    append_field(name, value, out);
  }
  if (!dated) append_field("Date", options.date, out);
  if (!options.keep_alive) out += "Connection: close\r\n";
  if (options.keep_alive && options.http10) out += "Connection: keep-alive\r\n";
  if (options.chunked) {
    if (!options.http10) out += "Transfer-Encoding: chunked\r\n";
    out += "\r\n";
    return;
  }
  // RFC 9110, 8.6: none with 1xx and 204; with 304 it would have to be the 200's.
  if (response.status >= 200 && response.status != 204 && response.status != 304) {
    fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", response.body.size());
  }
  out += "\r\n";
}

void encode_chunk(std::string_view bytes, std::string& out) {
  if (bytes.empty()) return;
  fmt::format_to(std::back_inserter(out), "{:x}\r\n", bytes.size());
  out.append(bytes).append("\r\n");
}

std::string http_date(std::int64_t unix_seconds) {
  constexpr std::string_view kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::chrono::sys_seconds at{std::chrono::seconds(unix_seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(at - day);
  return fmt::format(
      "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[std::chrono::weekday(day).c_encoding()],
      static_cast<unsigned>(date.day()), kMonths[static_cast<unsigned>(date.month()) - 1],
      static_cast<int>(date.year()), time.hours().count(), time.minutes().count(),
      time.seconds().count());
}

}  // namespace jobmill::http
