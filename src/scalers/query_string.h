// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace jobmill::scalers {

// Queries and forms as application/x-www-form-urlencoded has them: a blank is "+".

std::string query_escape(std::string_view text);
std::string encode_query(const std::vector<std::pair<std::string, std::string>>& pairs);

// Sets one parameter of the URL's query. The whole query is written anew, sorted by name; parts
// that cannot be decoded are dropped. This is what KEDA sends.
std::string with_query_parameter(std::string_view url, std::string_view name,
                                 std::string_view value);

// What cannot be in a request line (blanks, controls, non-ASCII bytes) as %XX; the rest stays.
std::string escape_url(std::string_view url);

// For messages: without user, password, query and fragment, which may hold secrets.
std::string public_url(std::string_view url);

}  // namespace jobmill::scalers
