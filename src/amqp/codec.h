// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "amqp/value.h"
#include "base/result.h"

namespace jobmill::amqp {

// How deep lists, maps, arrays and described values may be nested in what we read.
inline constexpr int kMaxDepth = 32;

// Reads values from bytes that came from outside: strict about structure (sizes, counts, nesting),
// liberal about width (part 1, section 1.6: ulong0, smallulong and ulong are the same number).
// An error is InvalidArgument; the reader then stands at an unspecified place.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  bool at_end() const { return at_ == bytes_.size(); }
  std::size_t position() const { return at_; }
  std::string_view rest() const { return bytes_.substr(at_); }

  Result<Value> value();
  Status skip();                         // over one value, without building it
  Result<std::string_view> raw_value();  // the encoded bytes of one value

  // A described value is next: the code of its descriptor, and the reader stands at the value. The
  // symbolic descriptors of the standard ("amqp:open:list") answer their code; others are errors.
  Result<std::uint64_t> descriptor();

  // The head of a list, map or array that is next: number of items, and the reader stands at the
  // first one. Lists and maps share the shape (a map counts keys and values).
  Result<std::uint32_t> list();
  Result<std::uint32_t> map();

  // A scalar of that type or null (nullopt). Wrong types are errors.
  Result<std::optional<bool>> boolean();
  Result<std::optional<std::uint64_t>> unsigned_integer();  // ubyte, ushort, uint, ulong
  Result<std::optional<std::int64_t>> integer();            // any integer that fits, timestamp too
  Result<std::optional<std::string_view>> text();           // string or symbol; a view of the bytes
  Result<std::optional<std::string_view>> binary();         // a view of the bytes

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
};

// Appends encoded values to a string, in their shortest form unless said otherwise.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void null();
  void boolean(bool value);
  void ubyte(std::uint8_t value);
  void uint(std::uint32_t value);
  void ulong(std::uint64_t value);
  void integer(std::int32_t value);       // int
  void long_integer(std::int64_t value);  // long
  void timestamp(std::int64_t ms);
  void uuid(const Uuid& value);
  void binary(std::string_view bytes);
  void string(std::string_view text);
  void symbol(std::string_view text);
  void value(const Value& value);
  void descriptor(std::uint64_t code);  // 0x00, smallulong or ulong

  // A list, map or array whose size is known only afterwards: always the 32-bit form.
  //   const auto mark = writer.begin_list(11); … eleven values …; writer.end(mark);
  struct Mark {
    std::size_t at;
  };
  Mark begin_list(std::uint32_t count);
  Mark begin_map(std::uint32_t keys_and_values);
  void end(Mark mark);

 private:
  std::string& out_;
};

}  // namespace jobmill::amqp
