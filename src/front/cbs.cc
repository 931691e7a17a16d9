// SPDX-License-Identifier: Apache-2.0
#include "front/cbs.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "broker/address.h"
#include "front/errors.h"

namespace jobmill::front {
namespace {

constexpr std::int32_t kAccepted = 202;
constexpr std::int32_t kBadRequest = 400;
constexpr std::int32_t kUnauthorized = 401;
constexpr std::int32_t kNotFound = 404;

struct Verdict {
  std::int32_t status = kAccepted;
  std::string description = "Accepted";
  std::string_view condition{};
};

bool is_sas(std::string_view token) { return token.starts_with("SharedAccessSignature "); }

bool is_base64url(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

bool is_jwt(std::string_view token) {
  return std::count(token.begin(), token.end(), '.') == 2 && !token.starts_with('.') &&
         std::all_of(token.begin(), token.end(),
                     [](char c) { return c == '.' || is_base64url(c); });
}

Fault not_a_token() {
  return fail(Code::PermissionDenied,
              "the token is neither a shared access signature nor a JSON Web Token");
}

Result<broker::Claim> verify_jwt(std::string_view token, const std::string& audience,
                                 const AmqpOptions& options, TimePoint now) {
  if (!options.verify_jwt)
    return fail(Code::PermissionDenied, "JSON Web Tokens are not accepted here");
  return options.verify_jwt(token, audience, now);
}

// Go tells a missing entity only from this answer; a refused link is a riddle for it.
bool exists(const broker::Broker& broker, const std::string& path) {
  return path.empty() || broker.exists(broker::Address{.path = path});
}

// A claim is kept for the audience that it was shown for, no more: what its token covers beyond,
// clients show again for each entity.
Result<broker::Claim> verify_for(std::string_view token, const std::string& audience,
                                 const broker::Broker& broker, const AmqpOptions& options,
                                 TimePoint now) {
  if (options.auth == AmqpOptions::Auth::None) {
    if (!is_sas(token) && !is_jwt(token)) return not_a_token();
    return broker::Claim{.path = audience};
  }
  TRY(broker::Claim claim, verify_token(token, audience, broker, options, now));
  if (claim.rights.bits == 0) return fail(Code::PermissionDenied, "the token gives no rights");
  if (!claim.covers(audience))
    return fail(Code::PermissionDenied, "the token is not for '" + audience + "'");
  claim.path = audience;
  return claim;
}

Verdict judge(const Request& request, Claims& claims, const broker::Broker& broker,
              const AmqpOptions& options, TimePoint now) {
  if (request.text("operation") != "put-token")
    return {kBadRequest, "The node $cbs knows the operation put-token only.",
            condition::kNotImplemented};
  const auto token = request.body.text();
  if (!token) return {kBadRequest, "The body is no token.", condition::kArgument};

  const std::string audience = broker::resource_path(request.text("name"));
  auto claim = verify_for(*token, audience, broker, options, now);
  if (!claim) return {kUnauthorized, claim.error().message, condition::kUnauthorized};
  // Not the text of a refused link: by it JavaScript would take this for one.
  if (!exists(broker, audience))
    return {kNotFound, "'" + std::string(audience) + "' does not exist.", condition::kNotFound};
  if (options.auth == AmqpOptions::Auth::Strict) claims.put(*std::move(claim));
  return {};
}

}  // namespace

Result<broker::Claim> verify_token(std::string_view token, const std::string& audience,
                                   const broker::Broker& broker, const AmqpOptions& options,
                                   TimePoint now) {
  if (is_jwt(token)) return verify_jwt(token, audience, options, now);
  if (!is_sas(token)) return not_a_token();
  std::vector<broker::AuthorizationRule> rules;  // lives as long as what is looked for in it
  return broker::verify_sas(
      token,
      [&](std::string_view path) -> std::span<const broker::AuthorizationRule> {
        rules = broker.rules(path);
        return rules;
      },
      now);
}

std::string put_token(const Request& request, Claims& claims, const broker::Broker& broker,
                      const AmqpOptions& options, TimePoint now) {
  const Verdict verdict = judge(request, claims, broker, options, now);
  amqp::Map properties;
  amqp::set_string(properties, "status-code", verdict.status);
  amqp::set_string(properties, "status-description", verdict.description);
  if (!verdict.condition.empty())
    amqp::set_string(properties, "error-condition", amqp::Symbol{std::string(verdict.condition)});
  return write_answer(request.message_id, properties, {});
}

Result<broker::Claim> verify_login(std::string_view rule, const Secret& key,
                                   const broker::Broker& broker) {
  auto claim = broker::verify_plain(rule, key, broker.rules(""));
  if (claim) return claim;
  for (const broker::QueueInfo& queue : broker.queues()) {
    auto of_queue = broker::verify_plain(rule, key, queue.description.rules);
    if (!of_queue) continue;
    of_queue->path = broker::lower(queue.description.name);
    return of_queue;
  }
  return claim;
}

}  // namespace jobmill::front
