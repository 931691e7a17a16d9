// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/copy_rows.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "store/postgres/test_connection.h"

namespace jobmill::postgres {
namespace {

using testing::Postgres;

constexpr char kCopy[] = "COPY t FROM STDIN (FORMAT binary)";
constexpr Statement kAll{"copied", "SELECT a::integer, b, c, d, e, f, g FROM t ORDER BY b"};

Connection with_columns() {
  Connection connection = connect(Postgres::shared().fresh_schema());
  REQUIRE(
      connection.script("CREATE TABLE t (a smallint, b integer PRIMARY KEY, c bigint, d text,"
                        " e uuid, f timestamptz, g text[])"));
  return connection;
}

constexpr char kId[] = "0123abcd-0000-7000-8000-00000000ffff";

void add(CopyRows& rows, std::int32_t n, const std::string& text) {
  rows.row();
  rows.int2(-2);
  rows.int4(n);
  rows.int8(std::int64_t{1} << 40);
  rows.text(text);
  rows.uuid(kId);
  rows.timestamp(TimePoint(Duration(1)));
  rows.texts(std::vector<std::string>{"a", "ä,b"});
}

TEST_CASE("postgres copy: rows of all types arrive as they are, and many of them") {
  Connection connection = with_columns();
  const std::string large(3 << 20, 'x');
  CopyRows rows(7);
  add(rows, 1, large);
  rows.row();
  rows.null();
  rows.int4(2);
  for (int i = 0; i < 4; ++i) rows.null();
  rows.texts({});
  REQUIRE(connection.copy(kCopy, std::move(rows).take()));
  const auto all = connection.run(kAll);
  REQUIRE_MESSAGE(all, (all ? "" : all.error().message));
  REQUIRE(all->size() == 2);
  CHECK(all->int4(0, 0) == -2);
  CHECK(all->int4(0, 1) == 1);
  CHECK(all->int8(0, 2) == std::int64_t{1} << 40);
  CHECK(all->text(0, 3) == large);
  CHECK(all->uuid(0, 4) == kId);
  CHECK(all->timestamp(0, 5) == TimePoint(Duration(1)));
  CHECK(all->texts(0, 6) == std::vector<std::string>{"a", "ä,b"});
  for (const int column : {0, 2, 3, 4, 5, 6}) CHECK(all->is_null(1, column));
}

TEST_CASE("postgres copy: what is refused is undone, and the connection goes on") {
  Connection connection = with_columns();
  CopyRows twice(7);
  add(twice, 1, "a");
  add(twice, 1, "b");
  const Status refused = connection.copy(kCopy, std::move(twice).take());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::AlreadyExists);
  CopyRows bad(7);
  add(bad, 2, "\xff");
  const Status no_text = connection.copy(kCopy, std::move(bad).take());
  REQUIRE_FALSE(no_text);
  CHECK(no_text.error().code == Code::InvalidArgument);
  CopyRows once(7);
  add(once, 3, "c");
  CHECK(connection.copy(kCopy, std::move(once).take()));
  CHECK(connection.run(kAll)->size() == 1);
}

}  // namespace
}  // namespace jobmill::postgres
