// SPDX-License-Identifier: Apache-2.0
#include "scalers/query_string.h"

#include <doctest/doctest.h>

namespace jobmill::scalers {

TEST_CASE("query string: a parameter replaces its namesakes, and the rest is sorted") {
  CHECK(with_query_parameter("http://h/p", "k", "v") == "http://h/p?k=v");
  CHECK(with_query_parameter("http://h/p?", "k", "v") == "http://h/p?k=v");
  CHECK(with_query_parameter("http://h/p?z=1&k=old&a=2&k=old", "k", "v w") ==
        "http://h/p?a=2&k=v+w&z=1");
  CHECK(with_query_parameter("http://h/p?a=1#f?x", "k", "v") == "http://h/p?a=1&k=v#f?x");
}

TEST_CASE("query string: what cannot be decoded is dropped") {
  CHECK(with_query_parameter("http://h/?a=%zz&b=1;c=2&d", "k", "v") == "http://h/?d=&k=v");
}

TEST_CASE("query string: only what a request line cannot hold is escaped") {
  CHECK(escape_url("http://h/a b?q=%20\xC3\xA9#f") == "http://h/a%20b?q=%20%C3%A9#f");
}

TEST_CASE("query string: a URL in a message holds no secrets") {
  CHECK(public_url("https://user:p@ss@h:1/a/b?api_key=K#f") == "https://h:1/a/b");
  CHECK(public_url("http://h/a@b") == "http://h/a@b");
  CHECK(public_url("not a url") == "not%20a%20url");
}

}  // namespace jobmill::scalers
