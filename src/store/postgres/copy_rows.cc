// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/copy_rows.h"

#include <cassert>
#include <utility>

#include "store/postgres/binary.h"
#include "store/uuid.h"

namespace jobmill::postgres {
namespace {

constexpr std::string_view kSignature("PGCOPY\n\377\r\n\0", 11);
constexpr std::int32_t kTextType = 25;

std::int32_t length_of(std::string_view bytes) { return static_cast<std::int32_t>(bytes.size()); }

template <class T>
void append_sized(std::string& out, T value) {
  append_integer(out, static_cast<std::int32_t>(sizeof(T)));
  append_integer(out, value);
}

}  // namespace

CopyRows::CopyRows(std::int16_t columns, std::size_t expected_bytes) : columns_(columns) {
  bytes_.reserve(expected_bytes);
  bytes_ += kSignature;
  append_integer(bytes_, std::int32_t{0});  // flags
  append_integer(bytes_, std::int32_t{0});  // length of what the header says more
}

void CopyRows::row() { append_integer(bytes_, columns_); }
void CopyRows::null() { append_integer(bytes_, std::int32_t{-1}); }
void CopyRows::int2(std::int16_t value) { append_sized(bytes_, value); }
void CopyRows::int4(std::int32_t value) { append_sized(bytes_, value); }
void CopyRows::int8(std::int64_t value) { append_sized(bytes_, value); }
void CopyRows::timestamp(TimePoint at) { append_sized(bytes_, to_timestamp(at)); }

void CopyRows::text(std::string_view value) {
  append_integer(bytes_, length_of(value));
  bytes_ += value;
}

void CopyRows::uuid(std::string_view text) {
  assert(text.size() == 36);
  const store::UuidBytes bytes = store::uuid_bytes(text);
  append_integer(bytes_, static_cast<std::int32_t>(bytes.size()));
  bytes_.append(bytes.data(), bytes.size());
}

void CopyRows::texts(std::span<const std::string> values) {
  if (values.empty()) return null();
  const std::size_t begin = bytes_.size();
  append_integer(bytes_, std::int32_t{0});  // the length, when it is known
  append_integer(bytes_, std::int32_t{1});  // dimensions
  append_integer(bytes_, std::int32_t{0});  // no NULLs
  append_integer(bytes_, kTextType);
  append_integer(bytes_, static_cast<std::int32_t>(values.size()));
  append_integer(bytes_, std::int32_t{1});  // the first index
  for (const std::string& value : values) text(value);
  store_integer(bytes_.data() + begin,
                static_cast<std::int32_t>(bytes_.size() - begin - sizeof(std::int32_t)));
}

std::string CopyRows::take() && {
  append_integer(bytes_, std::int16_t{-1});
  return std::move(bytes_);
}

}  // namespace jobmill::postgres
