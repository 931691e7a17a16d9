// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace jobmill::amqp {

// The outermost layer of the wire (part 2, sections 2.2 and 2.3): eight bytes that name the
// protocol, then frames. Knows nothing of what a frame's body says.

enum class Protocol : std::uint8_t { Amqp = 0, Sasl = 3 };

inline constexpr std::size_t kProtocolHeaderSize = 8;
std::string_view protocol_header(Protocol protocol);
// `bytes` are the first eight. Nullopt: another protocol, or a version that we do not speak; the
// answer to that is the header that we would have liked, and the end of the connection.
std::optional<Protocol> read_protocol_header(std::string_view bytes);

inline constexpr std::size_t kFrameHeadSize = 8;
// Every peer takes frames of this size (section 2.4.1: MIN-MAX-FRAME-SIZE).
inline constexpr std::uint32_t kMinMaxFrameSize = 512;

struct Frame {
  Protocol type = Protocol::Amqp;
  std::uint16_t channel = 0;
  std::string_view body{};  // empty: only says that the peer is alive
  std::size_t size = 0;     // on the wire
};
// The frame at the beginning of `bytes`, without its extended header; nullopt while it is not there
// as a whole. A fault shows as soon as the head does, so that nobody waits for four gigabytes.
Result<std::optional<Frame>> read_frame(std::string_view bytes, std::uint32_t max_size);

// Writes the head with a size to come; end_frame() fills it in and answers it.
//   const std::size_t at = begin_frame(out, Protocol::Amqp, channel); …; end_frame(out, at);
std::size_t begin_frame(std::string& out, Protocol type, std::uint16_t channel);
std::size_t end_frame(std::string& out, std::size_t at);

}  // namespace jobmill::amqp
