// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/parameters.h"

#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "store/postgres/binary.h"
#include "store/postgres/test_connection.h"

namespace jobmill::postgres {
namespace {

using testing::Postgres;

constexpr char kId[] = "0190f5e7-0000-7abc-8def-0123456789ab";

Rows must(Result<Rows> rows) {
  REQUIRE_MESSAGE(rows, (rows ? "" : rows.error().message));
  return *std::move(rows);
}

TimePoint at(std::int64_t microseconds) { return TimePoint(Duration(microseconds)); }

}  // namespace

TEST_CASE("postgres values: scalars come back as they went in") {
  static constexpr Statement kEcho{
      "echo",
      "SELECT $1::int4, $2::int8, $3::bool, $4::text, $5::bytea, $6::uuid, $7::timestamptz, "
      "$8::json, $9::jsonb, $10::int2, 0.5::float8"};
  Connection connection = connect(Postgres::shared().url());
  const std::string_view bytes("\0\x01\xff", 3);
  const Rows rows = must(connection.run(kEcho, Parameters()
                                                   .int4(-5)
                                                   .int8(std::numeric_limits<std::int64_t>::min())
                                                   .boolean(true)
                                                   .text("gr\u00fc\u00dfe")
                                                   .bytea(bytes)
                                                   .uuid(kId)
                                                   .timestamp(at(1'704'067'200'123'456))
                                                   .json("{\"b\": 1,  \"a\": 2}")
                                                   .jsonb("{\"a\":[1]}")
                                                   .null(Type::Int4)));
  REQUIRE(rows.size() == 1);
  CHECK(rows.int4(0, 0) == -5);
  CHECK(rows.int8(0, 0) == -5);
  CHECK(rows.int8(0, 1) == std::numeric_limits<std::int64_t>::min());
  CHECK(rows.boolean(0, 2));
  CHECK(rows.text(0, 3) == "gr\u00fc\u00dfe");
  CHECK(rows.bytea(0, 4) == bytes);
  CHECK(rows.uuid(0, 5) == kId);
  CHECK(rows.timestamp(0, 6) == at(1'704'067'200'123'456));
  CHECK(rows.text(0, 7) == "{\"b\": 1,  \"a\": 2}");
  CHECK(rows.jsonb(0, 8) == "{\"a\": [1]}");
  CHECK(rows.is_null(0, 9));
  CHECK(rows.float8(0, 10) == 0.5);
  CHECK(rows.affected() == 1);
}

TEST_CASE("postgres values: nothing is NULL, an empty text is a text") {
  static constexpr Statement kNulls{"nulls",
                                    "SELECT $1::text, $2::text, $3::uuid, $4::timestamptz"};
  Connection connection = connect(Postgres::shared().url());
  const Rows rows = must(connection.run(
      kNulls, Parameters().text("").maybe_text("").uuid("").timestamp(std::nullopt)));
  CHECK_FALSE(rows.is_null(0, 0));
  CHECK(rows.text(0, 0).empty());
  for (const int column : {1, 2, 3}) CHECK(rows.is_null(0, column));
  CHECK(rows.uuid(0, 2).empty());
  CHECK_FALSE(rows.maybe_timestamp(0, 3));
}

TEST_CASE("postgres values: the server reads our instants as we mean them") {
  static constexpr Statement kShow{"show_instant", "SELECT $1::timestamptz::text"};
  Connection connection = connect(Postgres::shared().url());
  const auto shown = [&](TimePoint instant) {
    return std::string(must(connection.run(kShow, Parameters().timestamp(instant))).text(0, 0));
  };
  CHECK(shown(at(0)) == "1970-01-01 00:00:00+00");
  CHECK(shown(at(kEpoch)) == "2000-01-01 00:00:00+00");
  CHECK(shown(at(-1)) == "1969-12-31 23:59:59.999999+00");
  CHECK(shown(TimePoint::max()) == "infinity");
  CHECK(shown(TimePoint::min()) == "-infinity");
  for (const TimePoint instant : {at(0), at(kEpoch), at(-1), TimePoint::max(), TimePoint::min()}) {
    CHECK(from_timestamp(to_timestamp(instant)) == instant);
  }
}

TEST_CASE("postgres values: arrays of every type unnest to their elements") {
  static constexpr Statement kUnnest{
      "unnest_all",
      "SELECT * FROM unnest($1::int4[], $2::int8[], $3::bool[], $4::uuid[], $5::timestamptz[],"
      " $6::text[], $7::bytea[], $8::json[], $9::jsonb[])"};
  constexpr std::size_t kCount = 3;
  Int4Array int4s(kCount);
  Int8Array int8s(kCount);
  BoolArray bools(kCount);
  UuidArray uuids(kCount);
  TimestampArray instants(kCount);
  TextArray texts(kCount);
  ByteaArray blobs(kCount);
  JsonArray jsons(kCount);
  JsonbArray jsonbs(kCount);
  for (int i = 0; i < 2; ++i) {
    int4s.add(i - 1);
    int8s.add(std::int64_t{1} << 40);
    bools.add(i == 1);
    uuids.add(kId);
    instants.add(at(i));
    texts.add(i == 0 ? "" : "NULL");
    blobs.add(std::string_view("\0", 1));
    jsons.add("[ 1 ]");
    jsonbs.add("[ 1 ]");
  }
  uuids.add("");
  instants.add(std::nullopt);
  for (Array* array :
       {static_cast<Array*>(&int4s), static_cast<Array*>(&int8s), static_cast<Array*>(&bools),
        static_cast<Array*>(&texts), static_cast<Array*>(&blobs), static_cast<Array*>(&jsons),
        static_cast<Array*>(&jsonbs)}) {
    array->add_null();
  }
  Connection connection = connect(Postgres::shared().url());
  Parameters parameters;
  parameters.array(std::move(int4s)).array(std::move(int8s)).array(std::move(bools));
  parameters.array(std::move(uuids)).array(std::move(instants)).array(std::move(texts));
  parameters.array(std::move(blobs)).array(std::move(jsons)).array(std::move(jsonbs));
  const Rows rows = must(connection.run(kUnnest, parameters));
  REQUIRE(rows.size() == kCount);
  CHECK(rows.int4(0, 0) == -1);
  CHECK(rows.int8(1, 1) == std::int64_t{1} << 40);
  CHECK_FALSE(rows.boolean(0, 2));
  CHECK(rows.boolean(1, 2));
  CHECK(rows.uuid(1, 3) == kId);
  CHECK(rows.timestamp(1, 4) == at(1));
  CHECK_FALSE(rows.is_null(0, 5));
  CHECK(rows.text(1, 5) == "NULL");
  CHECK(rows.bytea(0, 6) == std::string_view("\0", 1));
  CHECK(rows.text(0, 7) == "[ 1 ]");
  CHECK(rows.jsonb(0, 8) == "[1]");
  for (int column = 0; column < 9; ++column) CHECK(rows.is_null(2, column));
}

TEST_CASE("postgres values: empty arrays and arrays of texts are read back") {
  static constexpr Statement kTexts{"texts", "SELECT $1::text[], cardinality($1), NULL::text[]"};
  Connection connection = connect(Postgres::shared().url());
  const Rows empty = must(connection.run(kTexts, Parameters().array(TextArray())));
  CHECK_FALSE(empty.is_null(0, 0));
  CHECK(empty.int4(0, 1) == 0);
  CHECK(empty.texts(0, 0).empty());
  CHECK(empty.texts(0, 2).empty());
  TextArray some;
  some.add("one");
  some.add_null();
  some.add("");
  some.add("thr,ee");
  const Rows back = must(connection.run(kTexts, Parameters().array(std::move(some))));
  CHECK(back.texts(0, 0) == std::vector<std::string>{"one", "", "", "thr,ee"});
}

TEST_CASE("postgres values: what the database cannot hold is an invalid argument") {
  static constexpr Statement kText{"any_text", "SELECT $1::text"};
  static constexpr Statement kJson{"any_json", "SELECT $1::jsonb"};
  Connection connection = connect(Postgres::shared().url());
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  for (const auto& [statement, parameters] :
       {std::pair{&kText, Parameters().text(std::string_view("a\0b", 3))},
        std::pair{&kText, Parameters().text("\xff")},
        std::pair{&kJson, Parameters().jsonb("{\"a\":\"\\u0000\"}")},
        std::pair{&kJson, Parameters().jsonb("{")}, std::pair{&kJson, Parameters().jsonb(deep)}}) {
    const auto rows = connection.run(*statement, parameters);
    REQUIRE_FALSE(rows);
    CHECK(rows.error().code == Code::InvalidArgument);
    CHECK(connection.is_open());
  }
  // Numbers of any size are kept as they are.
  const std::string huge = "1" + std::string(400, '0');
  CHECK(must(connection.run(kJson, Parameters().jsonb(huge))).jsonb(0, 0) == huge);
}

}  // namespace jobmill::postgres
