// SPDX-License-Identifier: Apache-2.0
#include "scalers/query_string.h"

#include <algorithm>
#include <optional>

#include <fmt/core.h>

#include "http/message.h"

namespace jobmill::scalers {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-_.~").find(c) != std::string_view::npos;
}

std::string percent(char c) { return fmt::format("%{:02X}", static_cast<unsigned char>(c)); }

std::optional<std::pair<std::string, std::string>> decode_pair(std::string_view text) {
  if (text.empty() || text.find(';') != std::string_view::npos) return std::nullopt;
  const auto equals = std::min(text.find('='), text.size());
  auto name = http::url_decode(text.substr(0, equals), true);
  auto value = http::url_decode(text.substr(std::min(equals + 1, text.size())), true);
  if (!name || !value) return std::nullopt;
  return std::pair{*std::move(name), *std::move(value)};
}

Pairs decode_query(std::string_view query) {
  Pairs pairs;
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    if (auto pair = decode_pair(query.substr(0, end))) pairs.push_back(*std::move(pair));
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return pairs;
}

}  // namespace

std::string query_escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (is_unreserved(c))
      escaped += c;
    else if (c == ' ')
      escaped += '+';
    else
      escaped += percent(c);
  }
  return escaped;
}

std::string encode_query(const Pairs& pairs) {
  std::string query;
  for (const auto& [name, value] : pairs) {
    if (!query.empty()) query += '&';
    query += query_escape(name) + '=' + query_escape(value);
  }
  return query;
}

std::string with_query_parameter(std::string_view url, std::string_view name,
                                 std::string_view value) {
  const auto fragment = std::min(url.find('#'), url.size());
  const auto query = std::min(url.substr(0, fragment).find('?'), fragment);
  const auto begin = std::min(query + 1, fragment);

  Pairs pairs = decode_query(url.substr(begin, fragment - begin));
  std::erase_if(pairs, [&](const auto& pair) { return pair.first == name; });
  pairs.emplace_back(name, value);
  std::ranges::stable_sort(pairs, {}, [](const auto& pair) { return pair.first; });
  return fmt::format("{}?{}{}", url.substr(0, query), encode_query(pairs), url.substr(fragment));
}

std::string escape_url(std::string_view url) {
  std::string escaped;
  for (const char c : url) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f)
      escaped += c;
    else
      escaped += percent(c);
  }
  return escaped;
}

std::string public_url(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const auto scheme = url.find("://");
  const auto host = scheme == std::string_view::npos ? 0 : scheme + 3;
  const auto path = std::min(url.find('/', host), url.size());
  const auto at = url.substr(host, path - host).rfind('@');
  if (at == std::string_view::npos) return escape_url(url);
  return escape_url(url.substr(0, host)) + escape_url(url.substr(host + at + 1));
}

}  // namespace jobmill::scalers
