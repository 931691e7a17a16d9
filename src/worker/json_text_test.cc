// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <limits>

#include "jobmill/jobs.h"

namespace jobmill {

enum class Color { Red, Green };
template <>
struct EnumNames<Color> {
  static constexpr EnumName<Color> table[] = {{Color::Red, "red"}, {Color::Green, "green"}};
};

struct Address {
  std::string street;
  std::optional<int> number = 7;
  bool operator==(const Address&) const = default;
};
template <>
struct Fields<Address> {
  static constexpr auto list =
      std::tuple(field("street", &Address::street), field("number", &Address::number));
};

namespace {

using namespace std::chrono_literals;

template <class T>
std::string put(const T& value) {
  return Codec<T>::put(value);
}

// Written as expected, and read back as it was.
template <class T>
void check(const T& value, const std::string& json) {
  CHECK(put(value) == json);
  CHECK(Codec<T>::get(json) == value);
}

}  // namespace

TEST_CASE("codec: strings are escaped fully") {
  check<std::string>("", R"("")");
  check<std::string>("a \"b\" \\ /", R"("a \"b\" \\ /")");
  check<std::string>("line\nfeed\ttab\x01", R"("line\nfeed\ttab\u0001")");
  check<std::string>("Grüße 🙂", "\"Grüße 🙂\"");
  CHECK(Codec<std::string>::get(R"("\u00e9\ud83d\ude42\/")") == "é🙂/");
  CHECK_THROWS_AS(Codec<std::string>::get("3"), fatal);
  CHECK_THROWS_AS(Codec<std::string>::get(R"("open)"), fatal);
}

TEST_CASE("codec: numbers and truth") {
  check<int>(-3, "-3");
  check<std::uint64_t>(std::numeric_limits<std::uint64_t>::max(), "18446744073709551615");
  check<std::int64_t>(std::numeric_limits<std::int64_t>::min(), "-9223372036854775808");
  CHECK(Codec<int>::get(" 5 ") == 5);
  CHECK_THROWS_AS(Codec<std::int8_t>::get("128"), fatal);
  CHECK_THROWS_AS(Codec<unsigned>::get("-1"), fatal);
  CHECK_THROWS_AS(Codec<int>::get("1.5"), fatal);
  CHECK_THROWS_AS(Codec<int>::get("\"1\""), fatal);
  check<bool>(true, "true");
  check<bool>(false, "false");
  CHECK_THROWS_AS(Codec<bool>::get("1"), fatal);
  check<double>(0.1, "0.1");
  check<double>(-1e300, put(-1e300));
  check<float>(0.5F, "0.5");
  CHECK(Codec<double>::get("3") == 3.0);
  CHECK_THROWS_AS(put(std::nan("")), std::invalid_argument);
  CHECK_THROWS_AS(put(std::numeric_limits<double>::infinity()), std::invalid_argument);
}

TEST_CASE("codec: optional, lists and maps") {
  check<std::optional<int>>(std::nullopt, "null");
  check<std::optional<int>>(3, "3");
  check<std::vector<std::string>>({}, "[]");
  check<std::vector<std::string>>({"a,b", "]"}, R"(["a,b","]"])");
  check<std::vector<std::vector<int>>>({{1, 2}, {}}, "[[1,2],[]]");
  check<std::map<std::string, int>>({{"a\"", 1}, {"b", 2}}, R"({"a\"":1,"b":2})");
  CHECK_THROWS_AS(Codec<std::vector<int>>::get("{}"), fatal);
  CHECK_THROWS_AS(Codec<std::vector<int>>::get(R"(["x"])"), fatal);
}

TEST_CASE("codec: enumerations and structures") {
  check(Color::Green, R"("green")");
  CHECK_THROWS_AS(Codec<Color>::get(R"("blue")"), fatal);
  CHECK_THROWS_AS(put(static_cast<Color>(9)), std::invalid_argument);
  check(Address{"Main St", 3}, R"({"street":"Main St","number":3})");
  check(Address{"x", std::nullopt}, R"({"street":"x","number":null})");
  CHECK(Codec<Address>::get(R"({"street":"y","floor":2})") == Address{"y", 7});
}

TEST_CASE("codec: durations and instants, to the nanosecond") {
  check<std::chrono::seconds>(90s, R"("PT1M30S")");
  check<std::chrono::nanoseconds>(1'500'000'001ns, R"("PT1.500000001S")");
  check<std::chrono::milliseconds>(0ms, R"("PT0S")");
  CHECK(Codec<std::chrono::minutes>::get(R"("PT2H")") == 120min);
  CHECK_THROWS_AS(Codec<std::chrono::seconds>::get(R"("90s")"), fatal);
  const auto at = std::chrono::sys_days(std::chrono::year(2025) / 1 / 2) + 3h;
  check<std::chrono::sys_time<std::chrono::nanoseconds>>(at + 4ns,
                                                         R"("2025-01-02T03:00:00.000000004Z")");
  check<std::chrono::sys_seconds>(at, R"("2025-01-02T03:00:00Z")");
  CHECK(Codec<std::chrono::sys_time<std::chrono::nanoseconds>>::get(
            R"("2025-01-02T05:00:00.5+02:00")") == at + 500ms);
  CHECK_THROWS_AS(Codec<system_clock::time_point>::get(R"("yesterday")"), fatal);
}

}  // namespace jobmill
