// SPDX-License-Identifier: Apache-2.0
#include "base/base64.h"

#include <doctest/doctest.h>

#include <string>

using jobmill::base64_decode;
using jobmill::base64_encode;
using jobmill::base64url_decode;
using jobmill::base64url_encode;

TEST_CASE("base64: the examples of RFC 4648") {
  const char* pairs[][2] = {{"", ""},
                            {"f", "Zg=="},
                            {"fo", "Zm8="},
                            {"foo", "Zm9v"},
                            {"foob", "Zm9vYg=="},
                            {"fooba", "Zm9vYmE="},
                            {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : pairs) {
    CHECK(base64_encode(plain) == coded);
    CHECK(base64_decode(coded) == std::string(plain));
  }
}

TEST_CASE("base64: every byte survives, line breaks are skipped") {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  CHECK(base64_decode(base64_encode(all)) == all);
  CHECK(base64_decode("Zm9v\r\nYmFy\n") == "foobar");
}

TEST_CASE("base64: what is no base64 is refused") {
  for (const char* text : {"Zg", "Zg=", "Zg===", "Z===", "====", "Zm9v!mFy", "Zm 9",
                           "Zh==", "Zm9=", "Zg==Zg==", "Zm-_"})
    CHECK_FALSE(base64_decode(text));
}

TEST_CASE("base64: the form of tokens has other letters and no padding") {
  const char* pairs[][2] = {{"", ""}, {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"}};
  for (const auto& [plain, coded] : pairs) {
    CHECK(base64url_encode(plain) == coded);
    CHECK(base64url_decode(coded) == std::string(plain));
  }
  CHECK(base64url_encode("\xfb\xff") == "-_8");
  CHECK(base64url_decode("-_8") == "\xfb\xff");
  for (const char* text : {"Z", "Zg==", "+_8", "-/8", "Zh", "Zm9v\n"})
    CHECK_FALSE(base64url_decode(text));
}
