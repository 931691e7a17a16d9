// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
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
  explicit Reader(std::string_view bytes) : rest_(bytes), size_(bytes.size()) {}
  Reader(std::string_view bytes, std::size_t position)
      : rest_(bytes.substr(position)), size_(bytes.size()) {}

  bool at_end() const { return rest_.empty(); }
  std::size_t position() const { return size_ - rest_.size(); }
  std::string_view rest() const { return rest_; }

  Result<Value> value();
  Status skip();                         // over one value, without building it
  Result<std::string_view> raw_value();  // the encoded bytes of one value, not looked into either

  // A described value is next: the code of its descriptor, and the reader stands at the value. The
  // symbolic descriptors of the standard ("amqp:open:list") answer their code; others are errors.
  Result<std::uint64_t> descriptor();

  // The head of a list, map or array that is next: number of items, and the reader stands at the
  // first one. Lists and maps share the shape (a map counts keys and values).
  Result<std::uint32_t> list();
  Result<std::uint32_t> map();

  // The whole list or map that is next: its items are read with a reader of their own.
  struct Items {
    std::uint32_t count = 0;
    std::string_view bytes{};
  };
  Result<Items> list_items();
  Result<Items> map_items();

  bool take_null();  // over a null; false, and nothing happens, if another value is next

  // A scalar of that type or null (nullopt). Wrong types are errors.
  Result<std::optional<bool>> boolean();
  Result<std::optional<std::uint64_t>> unsigned_integer();  // ubyte, ushort, uint, ulong
  Result<std::optional<std::int64_t>> integer();            // any integer that fits, timestamp too
  Result<std::optional<std::string_view>> text();           // string or symbol; a view of the bytes
  Result<std::optional<std::string_view>> binary();         // a view of the bytes

 private:
  std::string_view rest_;
  std::size_t size_;
};

// The code of a symbolic descriptor of the standard: "amqp:open:list" is 0x10.
std::optional<std::uint64_t> descriptor_code(std::string_view symbol);

// Appends encoded values to a string, in their shortest form unless said otherwise.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void null();
  void boolean(bool value);
  void ubyte(std::uint8_t value);
  void ushort(std::uint16_t value);
  void uint(std::uint32_t value);
  void ulong(std::uint64_t value);
  void integer(std::int32_t value);       // int
  void long_integer(std::int64_t value);  // long
  void timestamp(std::int64_t ms);
  void uuid(const Uuid& value);
  void binary(std::string_view bytes);
  void string(std::string_view text);
  void symbol(std::string_view text);
  void map(const Map& map);
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
  void end_shortest(Mark mark);  // moves what was written when the 8-bit form can hold it

 private:
  Mark begin(std::uint8_t format, std::uint32_t count);
  void items(const List& list);
  void items(const Map& map);
  void items(const Array& array);
  template <class Compound>
  void compound(std::uint8_t format, const Compound& compound);
  void constructor(const Value& item);  // of an array whose items are like this one
  void content(const Value& item);      // in full width, as the items of arrays are
  template <class T>
  void put(T number);
  void sized(std::uint8_t format, std::string_view bytes);

  std::string& out_;
};

}  // namespace jobmill::amqp
