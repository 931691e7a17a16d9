// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/rows.h"

#include <libpq-fe.h>

#include <bit>
#include <cassert>
#include <charconv>

#include "store/postgres/binary.h"
#include "store/uuid.h"

namespace jobmill::postgres {

void Rows::Clear::operator()(pg_result* result) const { PQclear(result); }

std::size_t Rows::size() const { return static_cast<std::size_t>(PQntuples(result_.get())); }

std::int64_t Rows::affected() const {
  const std::string_view digits = PQcmdTuples(result_.get());
  std::int64_t count = 0;  // stays so for commands that touch no rows
  std::from_chars(digits.data(), digits.data() + digits.size(), count);
  return count;
}

std::string_view Rows::command() const { return PQcmdStatus(result_.get()); }

std::string_view Rows::value(std::size_t row, int column) const {
  const int r = static_cast<int>(row);
  assert(r < PQntuples(result_.get()) && column < PQnfields(result_.get()));
  return {PQgetvalue(result_.get(), r, column),
          static_cast<std::size_t>(PQgetlength(result_.get(), r, column))};
}

bool Rows::is_null(std::size_t row, int column) const {
  return PQgetisnull(result_.get(), static_cast<int>(row), column) != 0;
}

std::int32_t Rows::int4(std::size_t row, int column) const {
  return static_cast<std::int32_t>(int8(row, column));
}

std::int64_t Rows::int8(std::size_t row, int column) const {
  const std::string_view bytes = value(row, column);
  switch (bytes.size()) {
    case 8:
      return load_integer<std::int64_t>(bytes.data());
    case 4:
      return load_integer<std::int32_t>(bytes.data());
    case 2:
      return load_integer<std::int16_t>(bytes.data());
    default:
      assert(!"an integer column");
      return 0;
  }
}

bool Rows::boolean(std::size_t row, int column) const {
  const std::string_view bytes = value(row, column);
  assert(bytes.size() == 1);
  return bytes == std::string_view("\1");
}

double Rows::float8(std::size_t row, int column) const {
  return std::bit_cast<double>(int8(row, column));
}

std::string_view Rows::text(std::size_t row, int column) const { return value(row, column); }

std::string_view Rows::jsonb(std::size_t row, int column) const {
  std::string_view bytes = value(row, column);
  if (!bytes.empty()) bytes.remove_prefix(1);  // the version of the format, 1
  return bytes;
}

std::string_view Rows::bytea(std::size_t row, int column) const { return value(row, column); }

std::string Rows::uuid(std::size_t row, int column) const {
  const std::string_view bytes = value(row, column);
  return bytes.empty() ? std::string() : store::uuid_text(bytes);
}

TimePoint Rows::timestamp(std::size_t row, int column) const {
  return from_timestamp(int8(row, column));
}

std::optional<TimePoint> Rows::maybe_timestamp(std::size_t row, int column) const {
  if (is_null(row, column)) return std::nullopt;
  return timestamp(row, column);
}

std::vector<std::string> Rows::texts(std::size_t row, int column) const {
  constexpr std::size_t kHeader = 20;  // dimensions, flags, type, size, first index
  std::string_view bytes = value(row, column);
  std::vector<std::string> texts;
  if (bytes.size() < kHeader) return texts;  // NULL, or an empty array
  texts.reserve(load_integer<std::uint32_t>(bytes.data() + 12));
  bytes.remove_prefix(kHeader);
  while (!bytes.empty()) {
    const auto length = load_integer<std::int32_t>(bytes.data());
    bytes.remove_prefix(sizeof(length));
    const std::size_t size = length < 0 ? 0 : static_cast<std::size_t>(length);
    texts.emplace_back(bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  return texts;
}

}  // namespace jobmill::postgres
