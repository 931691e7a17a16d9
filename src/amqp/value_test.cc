// SPDX-License-Identifier: Apache-2.0
#include "amqp/value.h"

#include <doctest/doctest.h>

#include <limits>

using namespace jobmill::amqp;

TEST_CASE("value: a number is read from any type that holds it") {
  for (const Value& five :
       {Value(std::uint8_t{5}), Value(std::uint16_t{5}), Value(std::uint32_t{5}),
        Value(std::uint64_t{5}), Value(std::int8_t{5}), Value(std::int16_t{5}),
        Value(std::int32_t{5}), Value(std::int64_t{5}), Value(Timestamp{5})}) {
    CHECK(five.integer() == 5);
    CHECK(five.unsigned_integer() == 5u);
  }
  CHECK(Value(std::int8_t{-1}).integer() == -1);
  CHECK_FALSE(Value(std::int8_t{-1}).unsigned_integer());
  CHECK_FALSE(Value(std::numeric_limits<std::uint64_t>::max()).integer());
  for (const Value& none : {Value(), Value(true), Value("5"), Value(5.0), Value(Char{U'5'})}) {
    CHECK_FALSE(none.integer());
    CHECK_FALSE(none.unsigned_integer());
  }
}

TEST_CASE("value: texts are strings and symbols") {
  CHECK(Value("a").text() == "a");
  CHECK(Value(Symbol{"a"}).text() == "a");
  CHECK_FALSE(Value(Binary{"a"}).text());
  CHECK(Value(true).boolean() == true);
  CHECK_FALSE(Value(std::uint8_t{1}).boolean());
  CHECK_FALSE(Value("a") == Value(Symbol{"a"}));
}

TEST_CASE("value: described values are equal when both of their parts are") {
  const Value one = Described{std::uint64_t{1}, "a"};
  CHECK(one == Value(Described{std::uint64_t{1}, "a"}));
  CHECK_FALSE(one == Value(Described{std::uint64_t{2}, "a"}));
  CHECK_FALSE(one == Value(Described{std::uint64_t{1}, "b"}));
  CHECK_FALSE(one == Value("a"));
  CHECK(Value(List{one}) == Value(List{Described{std::uint64_t{1}, "a"}}));
  const Value twice = Described{Symbol{"x"}, one};
  CHECK(twice.undescribed() == Value("a"));
  CHECK(twice.described()->value == one);
  CHECK(Value("a").undescribed() == Value("a"));
  CHECK(Value("a").described() == nullptr);
}

TEST_CASE("value: the constructor of an array only matters when it has no items") {
  CHECK(Array{{true}, 0x56} == Array{{true}, 0});
  CHECK_FALSE(Array{{}, 0x56} == Array{{}, 0x40});
}

TEST_CASE("value: keys of maps are found as strings and as symbols, and replaced in place") {
  Map map{{"a", 1}, {Symbol{"b"}, 2}, {std::uint64_t{3}, 3}};
  CHECK(find(map, "a")->integer() == 1);
  CHECK(find(map, "b")->integer() == 2);
  CHECK(find(map, "c") == nullptr);
  set_symbol(map, "a", 10);
  set_string(map, "c", 4);
  REQUIRE(map.size() == 4);
  CHECK(map[0] == MapEntry{Symbol{"a"}, 10});
  CHECK(map[3] == MapEntry{"c", 4});
}
