// SPDX-License-Identifier: Apache-2.0
#include "amqp/codec.h"

#include <doctest/doctest.h>

#include <limits>

#include "amqp_values.h"

using namespace jobmill;
using namespace jobmill::amqp;

namespace {

Result<Value> decode(std::string_view bytes) {
  Reader in(bytes);
  TRY(Value value, in.value());
  if (!in.at_end()) return fail(Code::InvalidArgument, "bytes are left");
  return value;
}

void check_refused(std::string_view digits) {
  CAPTURE(digits);
  const auto value = decode(unhex(digits));
  REQUIRE_FALSE(value);
  CHECK(value.error().code == Code::InvalidArgument);
}

template <class... Args>
std::string written(void (Writer::*write)(Args...), std::type_identity_t<Args>... args) {
  std::string out;
  Writer writer(out);
  (writer.*write)(args...);
  return hex(out);
}

Value nested(int levels) {
  Value value;
  for (int i = 0; i < levels; ++i) value = List{value};
  return value;
}

struct Example {
  const char* bytes;
  Value value;
};

}  // namespace

TEST_CASE("codec: every format of the standard is understood") {
  const Example examples[] = {
      {"40", {}},
      {"41", true},
      {"42", false},
      {"5600", false},
      {"5601", true},
      {"50ff", std::uint8_t{255}},
      {"60ff00", std::uint16_t{0xff00}},
      {"43", std::uint32_t{0}},
      {"52ff", std::uint32_t{255}},
      {"7000000100", std::uint32_t{256}},
      {"44", std::uint64_t{0}},
      {"53ff", std::uint64_t{255}},
      {"80ffffffffffffffff", std::numeric_limits<std::uint64_t>::max()},
      {"51ff", std::int8_t{-1}},
      {"618000", std::int16_t{-32768}},
      {"54ff", std::int32_t{-1}},
      {"7180000000", std::numeric_limits<std::int32_t>::min()},
      {"55fe", std::int64_t{-2}},
      {"818000000000000000", std::numeric_limits<std::int64_t>::min()},
      {"723fc00000", 1.5f},
      {"82c000000000000000", -2.0},
      {"7422500001", Decimal{unhex("22500001")}},
      {"842238000000000001", Decimal{unhex("2238000000000001")}},
      {"9422080000000000000000000000000001", Decimal{unhex("22080000000000000000000000000001")}},
      {"730001f600", Char{U'\U0001f600'}},
      {"8300000000000003e8", Timestamp{1000}},
      {"83ffffffffffffffff", Timestamp{-1}},
      {"98000102030405060708090a0b0c0d0e0f",
       Uuid{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}},
      {"a00200ff", Binary{unhex("00ff")}},
      {"b00000000200ff", Binary{unhex("00ff")}},
      {"a103e282ac", "\u20ac"},
      {"b100000003e282ac", "\u20ac"},
      {"a300", Symbol{}},
      {"a30161", Symbol{"a"}},
      {"b30000000161", Symbol{"a"}},
      {"45", List{}},
      {"c00100", List{}},
      {"c0030241 42", List{true, false}},
      {"d00000000600000002 41 42", List{true, false}},
      {"c10100", Map{}},
      {"c10602 a30161 5201", Map{{Symbol{"a"}, std::uint32_t{1}}}},
      {"d10000000900000002 a30161 5201", Map{{Symbol{"a"}, std::uint32_t{1}}}},
      {"e00402 50 0102", Array{{std::uint8_t{1}, std::uint8_t{2}}}},
      {"f00000000700000002 50 0102", Array{{std::uint8_t{1}, std::uint8_t{2}}}},
      {"e0020055", Array{.items = {}, .constructor = 0x55}},
      {"005370 45", Described{std::uint64_t{0x70}, List{}}},
      {"00a30161 00 44 40", Described{Symbol{"a"}, Described{std::uint64_t{0}, {}}}},
  };
  for (const auto& [bytes, value] : examples) {
    CAPTURE(bytes);
    const auto decoded = decode(unhex(bytes));
    REQUIRE(decoded);
    CHECK(*decoded == value);
  }
}

TEST_CASE("codec: the book of the standard's introduction") {
  std::string bytes = unhex("00 a3 11") + "example:book:list" + unhex("c0 40 03 a1 15") +
                      "AMQP for & by Dummies" + unhex("e0 25 02 a1 0e") + "Rob J. Godfrey" +
                      unhex("13") + "Rafael H. Schloming" + unhex("40");
  const auto book = decode(bytes);
  REQUIRE(book);
  const Value expected = Described{
      Symbol{"example:book:list"},
      List{"AMQP for & by Dummies", Array{{"Rob J. Godfrey", "Rafael H. Schloming"}}, {}}};
  CHECK(*book == expected);
}

TEST_CASE("codec: what was written is read again, whatever it is") {
  CHECK(rc::check("decode(encode(value)) == value", [] {
    const Value value = any_value(4);
    const auto again = decode(encoded(value));
    RC_ASSERT(bool(again));
    RC_ASSERT(*again == value);
  }));
}

TEST_CASE("codec: skipping takes the same bytes as reading") {
  CHECK(rc::check("skip and raw_value", [] {
    const std::string bytes = encoded(any_value(4));
    Reader in(bytes);
    const auto raw = in.raw_value();
    RC_ASSERT(bool(raw));
    RC_ASSERT(*raw == bytes);
    RC_ASSERT(in.at_end());
  }));
}

TEST_CASE("codec: a value that is cut off is refused wherever the cut is") {
  CHECK(rc::check("every prefix is an error", [] {
    const std::string bytes = encoded(any_value(2));
    const std::size_t size = *rc::gen::inRange<std::size_t>(0, bytes.size());
    RC_ASSERT_FALSE(bool(decode(std::string_view(bytes).substr(0, size))));
    Reader in(std::string_view(bytes).substr(0, size));
    RC_ASSERT_FALSE(bool(in.skip()));
  }));
}

TEST_CASE("codec: damaged bytes are refused or are another value, and never more than that") {
  CHECK(rc::check("damage", [] {
    const std::string bytes = damaged(encoded(any_value(4)));
    const auto value = decode(bytes);
    if (!value) {
      RC_ASSERT(value.error().code == Code::InvalidArgument);
      return;
    }
    const std::string written = encoded(*value);
    const auto again = decode(written);
    RC_ASSERT(bool(again));
    RC_ASSERT(encoded(*again) == written);  // not the values: NaN is no equal of itself
  }));
}

TEST_CASE("codec: numbers, texts and compounds are written in their shortest form") {
  CHECK(written(&Writer::null) == "40");
  CHECK(written(&Writer::boolean, true) == "41");
  CHECK(written(&Writer::boolean, false) == "42");
  CHECK(written(&Writer::ubyte, 7) == "5007");
  CHECK(written(&Writer::ushort, 7) == "600007");
  CHECK(written(&Writer::uint, 0) == "43");
  CHECK(written(&Writer::uint, 255) == "52ff");
  CHECK(written(&Writer::uint, 256) == "7000000100");
  CHECK(written(&Writer::ulong, 0) == "44");
  CHECK(written(&Writer::ulong, 255) == "53ff");
  CHECK(written(&Writer::ulong, 256) == "800000000000000100");
  CHECK(written(&Writer::integer, -128) == "5480");
  CHECK(written(&Writer::integer, 128) == "7100000080");
  CHECK(written(&Writer::long_integer, 127) == "557f");
  CHECK(written(&Writer::long_integer, -129) == "81ffffffffffffff7f");
  CHECK(written(&Writer::timestamp, 1) == "830000000000000001");
  CHECK(written(&Writer::binary, "\xff") == "a001ff");
  CHECK(written(&Writer::string, "a") == "a10161");
  CHECK(written(&Writer::symbol, "a") == "a30161");
  CHECK(written(&Writer::descriptor, 0x10) == "005310");
  CHECK(written(&Writer::descriptor, 0x13700000006) == "00800000013700000006");
  CHECK(hex(encoded(List{})) == "45");
  CHECK(hex(encoded(List{true})) == "c0020141");
  CHECK(hex(encoded(Map{})) == "c10100");
  CHECK(hex(encoded(std::string(255, 'a'))).starts_with("a1ff61"));
  CHECK(hex(encoded(std::string(256, 'a'))).starts_with("b10000010061"));
  CHECK(hex(encoded(List(254, true))).starts_with("c0fffe41"));
  CHECK(hex(encoded(List(255, true))).starts_with("d000000103000000ff41"));
}

TEST_CASE("codec: items of arrays have one constructor and its full width") {
  CHECK(hex(encoded(Array{{Symbol{"a"}, Symbol{"bc"}}})) == "e00d02b30000000161000000026263");
  CHECK(hex(encoded(Array{{std::int64_t{1}}})) == "e00a01810000000000000001");
  CHECK(hex(encoded(Array{{true, false}})) == "e00402560100");
  CHECK(hex(encoded(Array{})) == "e0020040");
  CHECK(hex(encoded(Array{.items = {}, .constructor = 0xa3})) == "e00200a3");
  CHECK(hex(encoded(Array{{List{true}, List{}}})) ==
        "e01302d000000005000000014100000004"
        "00000000");
  CHECK(hex(encoded(Array{{Array{{std::uint8_t{1}}}}})) == "e00c01f000000006000000015001");
  const Value described = Described{std::uint64_t{5}, std::uint8_t{1}};
  CHECK(hex(encoded(Array{{described, described}})) == "e00702005305500101");
}

TEST_CASE("codec: the 32-bit form of a list is patched when it ends") {
  std::string out = "before";
  Writer writer(out);
  const auto list = writer.begin_list(2);
  writer.uint(1);
  const auto map = writer.begin_map(2);
  writer.symbol("a");
  writer.null();
  writer.end(map);
  writer.end(list);
  CHECK(hex(out.substr(6)) ==
        "d00000001300000002"
        "5201"
        "d10000000800000002"
        "a30161"
        "40");
}

TEST_CASE("codec: items without bytes cannot claim memory") {
  for (const char* format : {"40", "41", "42", "43", "44", "45"}) {
    check_refused(std::string("f000000005ffffffff") + format);
    check_refused(std::string("f000000008ffffffff005370") + format);
    check_refused(std::string("f00000000500001001") + format);
  }
  const auto some = decode(unhex("f0000000050000100040"));
  REQUIRE(some);
  CHECK(some->as<Array>()->items.size() == 4096);
  // The bound is for all arrays of a value together.
  CHECK(decode(unhex("d00000001200000002 f0000000050000 0fff40 e0020140")));
  check_refused("d00000001200000002 f0000000050000100040 e0020140");
}

TEST_CASE("codec: counts are checked against the bytes that are there") {
  check_refused("c0020241");
  check_refused("d000000005ffffffff41");
  check_refused("d100000005fffffffe41");
  check_refused("f00000000600ffffff5001");
  check_refused("f000000009ffffffffb300000000");
  check_refused("c0034141");     // size beyond the end
  check_refused("c0030141 42");  // more bytes than items
  check_refused("c1050241 40 4040");
  check_refused("e00501500102 03");
  check_refused("c1020141");  // a key without a value
  check_refused("c000");      // no room for the count
  check_refused("d00000000300000000");
  check_refused("e00100");  // no constructor
}

TEST_CASE("codec: nesting is bounded") {
  CHECK(decode(encoded(nested(kMaxDepth))));
  CHECK_FALSE(decode(encoded(nested(kMaxDepth + 1))));

  std::string described;
  for (int i = 0; i < 100'000; ++i) described += unhex("005370");
  CHECK_FALSE(decode(described + unhex("40")));
  Reader in(described);
  CHECK_FALSE(in.skip());

  Value arrays = Array{};
  for (int i = 0; i < kMaxDepth + 1; ++i) arrays = Array{{arrays}};
  CHECK_FALSE(decode(encoded(arrays)));
}

TEST_CASE("codec: what no type allows is refused") {
  check_refused("5602");          // neither true nor false
  check_refused("a101ff");        // no UTF-8
  check_refused("a102c080");      // overlong
  check_refused("a103eda080");    // a surrogate
  check_refused("a104f4908080");  // beyond U+10FFFF
  check_refused("a102e282");      // cut inside a character
  check_refused("a30180");        // a symbol is ASCII
  check_refused("3f");            // unknown formats
  check_refused("ff");
  check_refused("e0020099");
  check_refused("00 a10161 40");     // a string is no descriptor
  check_refused("00 005370 40 40");  // nor is a described value
  check_refused("00 a30180 40");
  check_refused("");
}

TEST_CASE("codec: a descriptor that would be copied to many items is short") {
  const auto array = [](std::size_t descriptor) {
    std::string content =
        unhex("00") + encoded(Symbol{std::string(descriptor, 'd')}) + unhex("5001");
    return unhex("e0") + static_cast<char>(content.size() + 1) + unhex("01") + content;
  };
  CHECK(decode(array(64)));
  CHECK_FALSE(decode(array(65)));
  CHECK_FALSE(decode(unhex("e0080100534400 5345 40")));  // descriptors of descriptors
}

TEST_CASE("codec: scalars are taken in any width, and null is nothing") {
  const auto number = [](const char* digits) {
    const std::string bytes = unhex(digits);
    return Reader(bytes).unsigned_integer();
  };
  for (const char* five : {"5005", "600005", "5205", "7000000005", "5305", "800000000000000005"}) {
    CAPTURE(five);
    REQUIRE(number(five));
    CHECK(**number(five) == 5);
  }
  CHECK(**number("43") == 0);
  CHECK(**number("44") == 0);
  CHECK_FALSE(number("40")->has_value());
  CHECK_FALSE(number("5405"));
  CHECK_FALSE(number("a10135"));

  const auto integer = [](const char* digits) {
    const std::string bytes = unhex(digits);
    return Reader(bytes).integer();
  };
  for (const char* minus : {"51fb", "61fffb", "54fb", "71fffffffb", "55fb", "81fffffffffffffffb",
                            "83fffffffffffffffb"}) {
    CAPTURE(minus);
    REQUIRE(integer(minus));
    CHECK(**integer(minus) == -5);
  }
  CHECK(**integer("807fffffffffffffff") == std::numeric_limits<std::int64_t>::max());
  CHECK_FALSE(integer("808000000000000000"));
  CHECK_FALSE(integer("40")->has_value());
}

TEST_CASE("codec: texts and bytes are views of what was given") {
  const std::string bytes = unhex("a10161 a30162 a00163 40 40 40 41 5600");
  Reader in(bytes);
  const auto text = in.text();
  REQUIRE(text);
  CHECK(**text == "a");
  CHECK((*text)->data() == bytes.data() + 2);
  CHECK(**in.text() == "b");
  CHECK(**in.binary() == "c");
  CHECK_FALSE(in.text()->has_value());
  CHECK_FALSE(in.binary()->has_value());
  CHECK_FALSE(in.boolean()->has_value());
  CHECK(**in.boolean() == true);
  CHECK(**in.boolean() == false);
  CHECK(in.at_end());
  CHECK(in.position() == bytes.size());
  CHECK_FALSE(Reader(bytes).binary());
  CHECK_FALSE(Reader(bytes).boolean());
  CHECK_FALSE(Reader(std::string_view(bytes).substr(6)).text());
}

TEST_CASE("codec: lists and maps are entered, or taken as a whole") {
  const std::string list = unhex("c0030241 42 40");
  Reader in(list);
  REQUIRE(in.list());
  CHECK(in.position() == 3);
  CHECK(**in.boolean() == true);
  CHECK(**in.boolean() == false);
  CHECK(in.take_null());
  CHECK_FALSE(in.take_null());

  Reader taken(list);
  const auto items = taken.list_items();
  REQUIRE(items);
  CHECK(items->count == 2);
  CHECK(hex(items->bytes) == "4142");
  CHECK(hex(taken.rest()) == "40");
  CHECK_FALSE(Reader(list).map());

  const std::string map = unhex("d10000000600000002 4041 45");
  Reader pairs(map);
  CHECK(*pairs.map() == 2);
  CHECK(pairs.position() == 9);
  CHECK_FALSE(Reader(map).list());
  CHECK(*Reader("\x45").list() == 0);
}

TEST_CASE("codec: descriptors are numbers, or the names that the standard gives them") {
  for (const char* open : {"005310", "00800000000000000010", "00a30e616d71703a6f70656e3a6c697374",
                           "00b30000000e616d71703a6f70656e3a6c697374"}) {
    const std::string bytes = unhex(open);
    Reader in(bytes);
    const auto code = in.descriptor();
    REQUIRE(code);
    CHECK(*code == 0x10);
    CHECK(in.at_end());
  }
  CHECK(descriptor_code("amqp:footer:map") == 0x78);
  CHECK_FALSE(descriptor_code("amqp:footer:list"));
  for (const char* wrong : {"45", "00", "0040", "00a10161", "00a30161", "0053"}) {
    const std::string bytes = unhex(wrong);
    CHECK_FALSE(Reader(bytes).descriptor());
  }
}
