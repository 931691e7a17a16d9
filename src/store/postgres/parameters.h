// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace jobmill::postgres {

// The types that our statements use, by their fixed numbers in every server (pg_type.dat).
enum class Type : std::uint32_t {
  Bool = 16,
  Bytea = 17,
  Int8 = 20,
  Int4 = 23,
  Text = 25,
  Json = 114,
  Uuid = 2950,
  Timestamptz = 1184,
  Jsonb = 3802,
};

// A one-dimensional array in the server's binary format, written element by element into one
// buffer. The typed ones below say what may be added.
class Array {
 public:
  void add_null();
  std::int32_t size() const { return size_; }

 protected:
  explicit Array(Type element);
  void reserve(std::size_t elements, std::size_t bytes);
  void put_int4(std::int32_t value);
  void put_int8(std::int64_t value);
  void put_bool(bool value);
  void put_uuid(std::string_view text);
  void put_timestamp(TimePoint at);
  void put_bytes(std::string_view bytes);
  void put_jsonb(std::string_view text);

 private:
  friend class Parameters;
  std::string take() &&;  // with its header filled in

  Type element_;
  std::int32_t size_ = 0;
  bool has_null_ = false;
  std::string bytes_;
};

// add() takes a value; where the argument is optional, nothing is NULL. `expected` elements are
// written without growing the buffer; texts grow it as they need.
class Int4Array : public Array {
 public:
  explicit Int4Array(std::size_t expected = 0) : Array(Type::Int4) { reserve(expected, 4); }
  explicit Int4Array(std::span<const std::int32_t> values) : Int4Array(values.size()) {
    for (const std::int32_t value : values) add(value);
  }
  void add(std::int32_t value) { put_int4(value); }
};
class Int8Array : public Array {
 public:
  explicit Int8Array(std::size_t expected = 0) : Array(Type::Int8) { reserve(expected, 8); }
  void add(std::int64_t value) { put_int8(value); }
};
class BoolArray : public Array {
 public:
  explicit BoolArray(std::size_t expected = 0) : Array(Type::Bool) { reserve(expected, 1); }
  void add(bool value) { put_bool(value); }
};
class UuidArray : public Array {
 public:
  explicit UuidArray(std::size_t expected = 0) : Array(Type::Uuid) { reserve(expected, 16); }
  explicit UuidArray(std::span<const std::string> ids) : UuidArray(ids.size()) {
    for (const std::string& id : ids) add(id);
  }
  void add(std::string_view text) { put_uuid(text); }  // 36 characters, or empty: NULL
};
class TimestampArray : public Array {
 public:
  explicit TimestampArray(std::size_t expected = 0) : Array(Type::Timestamptz) {
    reserve(expected, 8);
  }
  void add(TimePoint at) { put_timestamp(at); }
  void add(std::optional<TimePoint> at) { at ? put_timestamp(*at) : add_null(); }
};
class TextArray : public Array {
 public:
  explicit TextArray(std::size_t expected = 0) : Array(Type::Text) { reserve(expected, 16); }
  void add(std::string_view text) { put_bytes(text); }
};
class ByteaArray : public Array {
 public:
  explicit ByteaArray(std::size_t expected = 0) : Array(Type::Bytea) { reserve(expected, 16); }
  void add(std::string_view bytes) { put_bytes(bytes); }
};
class JsonArray : public Array {  // json: as it was written
 public:
  explicit JsonArray(std::size_t expected = 0) : Array(Type::Json) { reserve(expected, 64); }
  void add(std::string_view text) { put_bytes(text); }
};
class JsonbArray : public Array {
 public:
  explicit JsonbArray(std::size_t expected = 0) : Array(Type::Jsonb) { reserve(expected, 64); }
  void add(std::string_view text) { put_jsonb(text); }
};

// The values of $1, $2, … in that order, in binary. They are copied, so nothing must outlive it.
//
//   connection.run(kFindJob, Parameters().uuid(id).timestamp(now));
//
// Text and JSON must be UTF-8 without NUL, as the server demands; it refuses what is not.
class Parameters {
 public:
  Parameters& int4(std::int32_t value);
  Parameters& int8(std::int64_t value);
  Parameters& boolean(bool value);
  Parameters& text(std::string_view value);
  Parameters& maybe_text(std::string_view value);  // empty: NULL
  Parameters& bytea(std::string_view value);
  Parameters& uuid(std::string_view text);  // 36 characters, or empty: NULL
  Parameters& timestamp(TimePoint at);
  Parameters& timestamp(std::optional<TimePoint> at);
  Parameters& json(std::string_view text);
  Parameters& jsonb(std::string_view text);
  Parameters& null(Type type);
  Parameters& array(Array&& array);

  int size() const { return static_cast<int>(types_.size()); }
  std::size_t bytes() const;  // of all values
  // What libpq's functions take, each of size(); valid until the next change.
  const std::uint32_t* types() const { return types_.data(); }
  const int* lengths() const { return lengths_.data(); }
  std::vector<const char*> values() const;
  std::vector<int> formats() const;

 private:
  static constexpr std::size_t kNull = static_cast<std::size_t>(-1);
  void begin(std::uint32_t type);
  void end();

  std::string bytes_;                // of all scalars
  std::vector<std::string> arrays_;  // each as it was built
  std::vector<std::uint32_t> types_;
  std::vector<int> lengths_;
  struct Place {
    std::size_t offset;  // into bytes_, or the index of an array
    bool in_array;
  };
  std::vector<Place> places_;
};

}  // namespace jobmill::postgres
