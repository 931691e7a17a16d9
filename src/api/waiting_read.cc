// SPDX-License-Identifier: Apache-2.0
#include "api/waiting_read.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include <fmt/core.h>

namespace jobmill::api {
namespace {

constexpr std::chrono::seconds kLongestWait{30};

// The number of the preference `wait` in "respond-async, wait=25".
std::optional<int> preferred_wait(std::string_view prefer) {
  const auto at = prefer.find("wait=");
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view text = prefer.substr(at + 5);
  int seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || seconds < 0) return std::nullopt;
  return seconds;
}

}  // namespace

std::optional<WaitingRead> waiting_read(const http::Request& request, TimePoint now) {
  const auto etag = request.headers.get("If-None-Match");
  const auto prefer = request.headers.get("Prefer");
  if (!etag || !prefer) return std::nullopt;
  const auto seconds = preferred_wait(*prefer);
  if (!seconds) return std::nullopt;
  return WaitingRead{std::string(*etag),
                     now + std::min(std::chrono::seconds(*seconds), kLongestWait)};
}

// FNV-1a: a tag tells values of one resource apart, it protects nothing.
std::string etag_of(std::string_view value) {
  std::uint64_t hash = 14695981039346656037u;
  for (const char c : value) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return fmt::format("\"{:016x}\"", hash);
}

http::Response waiting_response(std::string json, const std::string& etag) {
  http::Response response{.status = 200, .headers = {}, .body = {}};
  response.headers.set("Content-Type", "application/json");
  response.headers.set("ETag", etag);
  response.headers.set("Vary", "Prefer");
  response.headers.set("Cache-Control", "no-store");
  response.body = std::move(json);
  return response;
}

http::Response not_modified(const std::string& etag) {
  http::Response response{.status = 304, .headers = {}, .body = {}};
  response.headers.set("ETag", etag);
  response.headers.set("Vary", "Prefer");
  return response;
}

}  // namespace jobmill::api
