// SPDX-License-Identifier: Apache-2.0
#include "amqp/frame.h"

namespace jobmill::amqp {

namespace {

using namespace std::string_view_literals;

std::uint8_t byte(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint8_t>(bytes[at]);
}

std::uint32_t big_endian(std::string_view bytes) {
  return std::uint32_t{byte(bytes, 0)} << 24 | std::uint32_t{byte(bytes, 1)} << 16 |
         std::uint32_t{byte(bytes, 2)} << 8 | std::uint32_t{byte(bytes, 3)};
}

}  // namespace

std::string_view protocol_header(Protocol protocol) {
  return protocol == Protocol::Sasl ? "AMQP\x03\x01\x00\x00"sv : "AMQP\x00\x01\x00\x00"sv;
}

std::optional<Protocol> read_protocol_header(std::string_view bytes) {
  for (const Protocol protocol : {Protocol::Amqp, Protocol::Sasl}) {
    if (bytes == protocol_header(protocol)) return protocol;
  }
  return std::nullopt;
}

Result<std::optional<Frame>> read_frame(std::string_view bytes, std::uint32_t max_size) {
  if (bytes.size() < kFrameHeadSize) return std::optional<Frame>();
  const std::uint32_t size = big_endian(bytes);
  const std::size_t data_offset = std::size_t{byte(bytes, 4)} * 4;
  const std::uint8_t type = byte(bytes, 5);
  if (size > max_size) return fail(Code::InvalidArgument, "The frame is larger than agreed.");
  if (data_offset < kFrameHeadSize || data_offset > size) {
    return fail(Code::InvalidArgument, "The frame's data offset lies outside of it.");
  }
  if (type > 1) return fail(Code::InvalidArgument, "The frame's type is unknown.");
  if (bytes.size() < size) return std::optional<Frame>();
  return std::optional<Frame>(
      Frame{.type = type == 0 ? Protocol::Amqp : Protocol::Sasl,
            .channel = static_cast<std::uint16_t>(byte(bytes, 6) << 8 | byte(bytes, 7)),
            .body = bytes.substr(data_offset, size - data_offset),
            .size = size});
}

std::size_t begin_frame(std::string& out, Protocol type, std::uint16_t channel) {
  const std::size_t at = out.size();
  const char head[kFrameHeadSize] = {0,
                                     0,
                                     0,
                                     0,
                                     2,
                                     type == Protocol::Sasl ? '\1' : '\0',
                                     static_cast<char>(channel >> 8),
                                     static_cast<char>(channel & 0xff)};
  out.append(head, sizeof head);
  return at;
}

std::size_t end_frame(std::string& out, std::size_t at) {
  const std::size_t size = out.size() - at;
  for (std::size_t i = 0; i < 4; ++i) out[at + i] = static_cast<char>(size >> (24 - 8 * i) & 0xff);
  return size;
}

}  // namespace jobmill::amqp
