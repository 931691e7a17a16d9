// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/build/tar_writer.h"

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <numeric>
#include <span>

#include <fmt/format.h>

namespace jobmill::targets {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kRecord = 20 * kBlock;  // what tar reads and writes at once

struct Field {
  std::size_t at;
  std::size_t size;
};

// Of the header, one after the other.
constexpr Field kName{0, 100};
constexpr Field kMode{100, 8};
constexpr Field kUser{108, 8};
constexpr Field kGroup{116, 8};
constexpr Field kSize{124, 12};
constexpr Field kTime{136, 12};
constexpr Field kChecksum{148, 8};
constexpr Field kType{156, 1};
constexpr Field kTarget{157, 100};
constexpr Field kMagic{257, 8};
constexpr Field kPrefix{345, 155};

using Header = std::string;

void put(Header& header, Field field, std::string_view text) {
  header.replace(field.at, text.size(), text);
}

// Octal digits that fill the field but for its last byte.
Status put_number(Header& header, Field field, std::uint64_t value) {
  const std::string digits = fmt::format("{:0{}o}", value, field.size - 1);
  if (digits.size() >= field.size)
    return fail(Code::InvalidArgument, fmt::format("{} is too large for a tar file", value));
  put(header, field, digits);
  return {};
}

// A long path is split at one of its slashes.
Status put_path(Header& header, const std::string& path) {
  if (path.size() <= kName.size) {
    put(header, kName, path);
    return {};
  }
  const auto slash = path.find('/', path.size() - kName.size - 1);
  if (slash == std::string::npos || slash > kPrefix.size || slash + 1 == path.size())
    return fail(Code::InvalidArgument, fmt::format("'{}' is too long for a tar file", path));
  put(header, kPrefix, path.substr(0, slash));
  put(header, kName, path.substr(slash + 1));
  return {};
}

// As if the field itself held blanks.
Status put_checksum(Header& header) {
  put(header, kChecksum, std::string(kChecksum.size, ' '));
  const auto sum = std::accumulate(
      header.begin(), header.end(), std::uint64_t{0},
      [](std::uint64_t so_far, char c) { return so_far + static_cast<unsigned char>(c); });
  return put_number(header, {kChecksum.at, kChecksum.size - 1}, sum);
}

std::string_view type_of(TarEntry::Kind kind) {
  switch (kind) {
    case TarEntry::Kind::File:
      return "0";
    case TarEntry::Kind::Link:
      return "2";
    case TarEntry::Kind::Folder:
      break;
  }
  return "5";
}

Result<Header> header_of(const TarEntry& entry, std::int64_t made_at) {
  const bool file = entry.kind == TarEntry::Kind::File;
  Header header(kBlock, '\0');
  TRY_VOID(put_path(header, entry.kind == TarEntry::Kind::Folder ? entry.path + "/" : entry.path));
  TRY_VOID(put_number(header, kMode, entry.mode));
  TRY_VOID(put_number(header, kUser, entry.owner));
  TRY_VOID(put_number(header, kGroup, entry.owner));
  TRY_VOID(put_number(header, kSize, file ? entry.content.size() : 0));
  TRY_VOID(
      put_number(header, kTime, static_cast<std::uint64_t>(std::max<std::int64_t>(made_at, 0))));
  put(header, kType, type_of(entry.kind));
  if (entry.kind == TarEntry::Kind::Link) {
    if (entry.content.size() > kTarget.size)
      return fail(Code::InvalidArgument,
                  fmt::format("'{}' is too long for a tar file", entry.content));
    put(header, kTarget, entry.content);
  }
  put(header, kMagic, std::string_view("ustar\00000", kMagic.size));
  TRY_VOID(put_checksum(header));
  return header;
}

std::size_t rest_of(std::size_t size, std::size_t unit) { return (unit - size % unit) % unit; }

}  // namespace

Status TarWriter::add(const TarEntry& entry) {
  TRY(const Header header, header_of(entry, made_at_));
  bytes_ += header;
  if (entry.kind != TarEntry::Kind::File) return {};
  bytes_ += entry.content;
  bytes_.append(rest_of(entry.content.size(), kBlock), '\0');
  return {};
}

std::string TarWriter::finish() && {
  bytes_.append(2 * kBlock, '\0');
  bytes_.append(rest_of(bytes_.size(), kRecord), '\0');
  return std::move(bytes_);
}

Result<std::string> gzip(std::string_view bytes) {
  constexpr int kGzip = 16;  // added to the size of the window: this format, not zlib's own
  constexpr int kMemory = 8;
  if (bytes.size() > std::numeric_limits<uInt>::max())
    return fail(Code::InvalidArgument, "it is too large to be compressed at once");
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + kGzip, kMemory,
                   Z_DEFAULT_STRATEGY) != Z_OK)
    return fail(Code::Exhausted, "no memory to compress");
  std::string packed(deflateBound(&stream, bytes.size()), '\0');
  // zlib reads through this pointer only; its type is older than const.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const bool complete = deflate(&stream, Z_FINISH) == Z_STREAM_END;
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  if (!complete) return fail(Code::Internal, "compressing stopped in the middle");
  return packed;
}

}  // namespace jobmill::targets
