// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/problem.h"
#include "base/clock.h"
#include "http/message.h"

namespace jobmill::api {

// Reads the parameters of a query as ObjectReader reads the members of an object: what is wrong is
// noted, what is missing leaves its variable as it was.
//
//   QueryReader in(request);
//   in.integer("limit", limit, 1, 1000);
//   if (auto problem = in.close()) return to_response(*problem);
class QueryReader {
 public:
  explicit QueryReader(const http::Request& request) : request_(request) {}

  void text(std::string_view name, std::string& out);
  void texts(std::string_view name, std::vector<std::string>& out);  // once each
  void instant(std::string_view name, std::optional<TimePoint>& out);
  void flag(std::string_view name, bool& out);  // 1, true, 0, false

  template <class Int>
  void integer(std::string_view name, Int& out, std::int64_t least = 0,
               std::int64_t most = std::numeric_limits<Int>::max()) {
    if (const auto value = integer_in(name, least, most)) out = static_cast<Int>(*value);
  }
  template <class Int>
  void integer(std::string_view name, std::optional<Int>& out, std::int64_t least = 0,
               std::int64_t most = std::numeric_limits<Int>::max()) {
    if (const auto value = integer_in(name, least, most)) out = static_cast<Int>(*value);
  }

  bool has(std::string_view name) const { return request_.parameter(name).has_value(); }
  void wrong(std::string_view name, std::string reason);

  // What to answer if anything was wrong; a parameter that nobody asked for is.
  std::optional<Problem> close();

 private:
  std::optional<std::string_view> find(std::string_view name);
  std::optional<std::int64_t> integer_in(std::string_view name, std::int64_t least,
                                         std::int64_t most);

  const http::Request& request_;
  std::vector<FieldError> errors_;
  std::vector<std::string_view> known_;
};

}  // namespace jobmill::api
