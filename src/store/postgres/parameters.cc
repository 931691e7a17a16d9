// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/parameters.h"

#include <cassert>
#include <utility>

#include "store/postgres/binary.h"
#include "store/uuid.h"

namespace jobmill::postgres {
namespace {

constexpr std::size_t kHeader = 20;       // of an array with elements
constexpr std::size_t kEmptyHeader = 12;  // of one without
constexpr char kJsonbVersion = 1;

constexpr std::uint32_t oid(Type type) { return static_cast<std::uint32_t>(type); }

constexpr std::uint32_t array_of(Type element) {
  switch (element) {
    case Type::Bool:
      return 1000;
    case Type::Bytea:
      return 1001;
    case Type::Int8:
      return 1016;
    case Type::Int4:
      return 1007;
    case Type::Text:
      return 1009;
    case Type::Json:
      return 199;
    case Type::Uuid:
      return 2951;
    case Type::Timestamptz:
      return 1185;
    case Type::Jsonb:
      return 3807;
  }
  return 0;
}

void append_uuid(std::string& out, std::string_view text) {
  assert(text.size() == 36);
  const store::UuidBytes bytes = store::uuid_bytes(text);
  out.append(bytes.data(), bytes.size());
}

std::int32_t length_of(std::string_view bytes) { return static_cast<std::int32_t>(bytes.size()); }

}  // namespace

// --- Array --------------------------------------------------------------------------------------

Array::Array(Type element) : element_(element), bytes_(kHeader, '\0') {}

void Array::reserve(std::size_t elements, std::size_t bytes) {
  bytes_.reserve(kHeader + elements * (sizeof(std::int32_t) + bytes));
}

void Array::add_null() {
  append_integer(bytes_, std::int32_t{-1});
  has_null_ = true;
  ++size_;
}

void Array::put_int4(std::int32_t value) {
  append_integer(bytes_, std::int32_t{4});
  append_integer(bytes_, value);
  ++size_;
}

void Array::put_int8(std::int64_t value) {
  append_integer(bytes_, std::int32_t{8});
  append_integer(bytes_, value);
  ++size_;
}

void Array::put_bool(bool value) {
  append_integer(bytes_, std::int32_t{1});
  bytes_ += value ? '\1' : '\0';
  ++size_;
}

void Array::put_uuid(std::string_view text) {
  if (text.empty()) return add_null();
  append_integer(bytes_, std::int32_t{16});
  append_uuid(bytes_, text);
  ++size_;
}

void Array::put_timestamp(TimePoint at) { put_int8(to_timestamp(at)); }

void Array::put_bytes(std::string_view bytes) {
  append_integer(bytes_, length_of(bytes));
  bytes_ += bytes;
  ++size_;
}

void Array::put_jsonb(std::string_view text) {
  append_integer(bytes_, length_of(text) + 1);
  bytes_ += kJsonbVersion;
  bytes_ += text;
  ++size_;
}

std::string Array::take() && {
  if (size_ == 0) bytes_.resize(kEmptyHeader);
  char* header = bytes_.data();
  store_integer(header, std::int32_t{size_ == 0 ? 0 : 1});  // dimensions
  store_integer(header + 4, std::int32_t{has_null_ ? 1 : 0});
  store_integer(header + 8, oid(element_));
  if (size_ > 0) {
    store_integer(header + 12, size_);
    store_integer(header + 16, std::int32_t{1});  // the first index
  }
  return std::move(bytes_);
}

// --- Parameters ---------------------------------------------------------------------------------

void Parameters::begin(std::uint32_t type) {
  types_.push_back(type);
  places_.push_back({.offset = bytes_.size(), .in_array = false});
}

void Parameters::end() {
  lengths_.push_back(static_cast<int>(bytes_.size() - places_.back().offset));
}

Parameters& Parameters::int4(std::int32_t value) {
  begin(oid(Type::Int4));
  append_integer(bytes_, value);
  end();
  return *this;
}

Parameters& Parameters::int8(std::int64_t value) {
  begin(oid(Type::Int8));
  append_integer(bytes_, value);
  end();
  return *this;
}

Parameters& Parameters::boolean(bool value) {
  begin(oid(Type::Bool));
  bytes_ += value ? '\1' : '\0';
  end();
  return *this;
}

Parameters& Parameters::text(std::string_view value) {
  begin(oid(Type::Text));
  bytes_ += value;
  end();
  return *this;
}

Parameters& Parameters::maybe_text(std::string_view value) {
  return value.empty() ? null(Type::Text) : text(value);
}

Parameters& Parameters::bytea(std::string_view value) {
  begin(oid(Type::Bytea));
  bytes_ += value;
  end();
  return *this;
}

Parameters& Parameters::uuid(std::string_view text) {
  if (text.empty()) return null(Type::Uuid);
  begin(oid(Type::Uuid));
  append_uuid(bytes_, text);
  end();
  return *this;
}

Parameters& Parameters::timestamp(TimePoint at) {
  begin(oid(Type::Timestamptz));
  append_integer(bytes_, to_timestamp(at));
  end();
  return *this;
}

Parameters& Parameters::timestamp(std::optional<TimePoint> at) {
  return at ? timestamp(*at) : null(Type::Timestamptz);
}

Parameters& Parameters::json(std::string_view text) {
  begin(oid(Type::Json));
  bytes_ += text;
  end();
  return *this;
}

Parameters& Parameters::jsonb(std::string_view text) {
  begin(oid(Type::Jsonb));
  bytes_ += kJsonbVersion;
  bytes_ += text;
  end();
  return *this;
}

Parameters& Parameters::null(Type type) {
  types_.push_back(oid(type));
  places_.push_back({.offset = kNull, .in_array = false});
  lengths_.push_back(0);
  return *this;
}

Parameters& Parameters::array(Array&& array) {
  types_.push_back(array_of(array.element_));
  places_.push_back({.offset = arrays_.size(), .in_array = true});
  arrays_.push_back(std::move(array).take());
  lengths_.push_back(static_cast<int>(arrays_.back().size()));
  return *this;
}

std::size_t Parameters::bytes() const {
  std::size_t sum = bytes_.size();
  for (const std::string& array : arrays_) sum += array.size();
  return sum;
}

std::vector<const char*> Parameters::values() const {
  std::vector<const char*> values;
  values.reserve(places_.size());
  for (const Place& place : places_) {
    if (place.in_array) {
      values.push_back(arrays_[place.offset].data());
    } else {
      values.push_back(place.offset == kNull ? nullptr : bytes_.data() + place.offset);
    }
  }
  return values;
}

std::vector<int> Parameters::formats() const { return std::vector<int>(places_.size(), 1); }

}  // namespace jobmill::postgres
