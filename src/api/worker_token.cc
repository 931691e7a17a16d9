// SPDX-License-Identifier: Apache-2.0
#include "api/worker_token.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <fmt/format.h>
#include <array>

#include "base/secret.h"

namespace jobmill::api {
namespace {

constexpr std::string_view kPrefix = "jmw.";

std::string signature(std::string_view key, std::string_view worker_id) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(worker_id.data()), worker_id.size(), bytes.data(),
       &size);
  return fmt::format("{:02x}", fmt::join(bytes.begin(), bytes.begin() + size, ""));
}

}  // namespace

std::string worker_token(std::string_view key, std::string_view worker_id) {
  return fmt::format("{}{}.{}", kPrefix, worker_id, signature(key, worker_id));
}

std::optional<std::string> verify_worker_token(std::string_view key, std::string_view token) {
  if (!token.starts_with(kPrefix)) return std::nullopt;
  token.remove_prefix(kPrefix.size());
  const auto dot = token.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view worker_id = token.substr(0, dot);
  if (!equal_in_constant_time(signature(key, worker_id), token.substr(dot + 1)))
    return std::nullopt;
  return std::string(worker_id);
}

}  // namespace jobmill::api
