// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace jobmill::http {

bool iequals(std::string_view a, std::string_view b);  // ASCII letters without case

// Header fields in order; names compare without case.
class Headers {
 public:
  void add(std::string name, std::string value) {
    fields_.emplace_back(std::move(name), std::move(value));
  }
  void set(std::string name, std::string value);
  std::optional<std::string_view> get(std::string_view name) const;  // the first one
  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// What a server received.
struct Request {
  std::string method{};                                      // "GET"
  std::string target{};                                      // as sent: "/a%20b?x=1"
  std::string path{};                                        // decoded: "/a b"
  std::vector<std::pair<std::string, std::string>> query{};  // decoded, in order
  Headers headers{};
  std::string body{};
  std::string peer{};  // "127.0.0.1:40312"; empty for a call without a socket
  bool tls = false;    // came over TLS: its URL begins with https

  std::optional<std::string_view> parameter(std::string_view name) const;  // of the query
};

struct Response {
  int status = 200;
  Headers headers{};
  std::string body{};
};

// Fills path and query from `target`. False: malformed escapes, or not a path.
bool parse_target(Request& request);

std::string url_encode(std::string_view text);  // for one path segment or query value
std::optional<std::string> url_decode(std::string_view text, bool plus_is_blank = false);

// "Basic dXNlcjpw…" -> user and password.
struct Credentials {
  std::string user;
  std::string password;
};
std::optional<Credentials> parse_basic(std::string_view authorization);
std::string basic_authorization(std::string_view user, std::string_view password);

}  // namespace jobmill::http
