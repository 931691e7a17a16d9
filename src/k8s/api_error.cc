// SPDX-License-Identifier: Apache-2.0
#include "k8s/api_error.h"

#include <fmt/format.h>

#include <string_view>

#include "base/document.h"

namespace jobmill::k8s {
namespace {

constexpr std::size_t kShown = 1000;  // of what a server says that does not speak our protocol

struct Said {
  std::string reason;
  std::string message;
};

std::string member(const Node& node, std::string_view key) {
  const Node* found = node.find(key);
  return found && found->is_string() ? found->text : std::string();
}

Said said_in(const std::string& body) {
  if (const auto node = parse_json(body); node && member(*node, "kind") == "Status")
    return {member(*node, "reason"), member(*node, "message")};
  const std::string line = body.substr(0, std::min(kShown, body.find('\n')));
  return {"", line};
}

Code code_of(int status, std::string_view reason) {
  switch (status) {
    case 400:
    case 422:
      return Code::InvalidArgument;
    case 401:
    case 403:
      return Code::PermissionDenied;
    case 404:
      return Code::NotFound;
    case 405:
    case 406:
    case 415:
      return Code::Unsupported;
    case 409:
      return reason == "AlreadyExists" ? Code::AlreadyExists : Code::Conflict;
    case 410:
      return Code::Conflict;
    case 413:
    case 429:
      return Code::Exhausted;
    default:
      return status >= 500 ? Code::Unavailable : Code::Internal;
  }
}

// "system:serviceaccount:jobs:jobmill" in words.
std::string in_words(std::string_view user) {
  constexpr std::string_view kServiceAccount = "system:serviceaccount:";
  if (user == "system:anonymous") return "the anonymous user: no credentials were sent";
  const std::size_t colon = user.rfind(':');
  if (!user.starts_with(kServiceAccount) || colon < kServiceAccount.size())
    return fmt::format("user \"{}\"", user);
  return fmt::format("service account \"{}\" of namespace \"{}\"", user.substr(colon + 1),
                     user.substr(kServiceAccount.size(), colon - kServiceAccount.size()));
}

// Of `… is forbidden: User "x" cannot list resource …`: who. Empty: it is not a role that is
// lacking; admission refused, for a quota or because the namespace goes.
std::string refused_user(std::string_view message) {
  constexpr std::string_view kUser = "User \"";
  const std::size_t begin = message.find(kUser);
  if (begin == message.npos || message.find("\" cannot ", begin) == message.npos) return {};
  const std::string_view rest = message.substr(begin + kUser.size());
  return std::string(rest.substr(0, rest.find('"')));
}

std::string plural_of(const Asked& asked) {
  return asked.subresource.empty() ? asked.resource.plural
                                   : asked.resource.plural + "/" + asked.subresource;
}

std::string lacking_rule(const Asked& asked) {
  if (!asked.path.empty())
    return fmt::format("nonResourceURLs: [\"{}\"], verbs: [\"{}\"]", asked.path, asked.verb);
  return fmt::format("apiGroups: [\"{}\"], resources: [\"{}\"], verbs: [\"{}\"]",
                     asked.resource.group, plural_of(asked), asked.verb);
}

}  // namespace

std::string to_string(const Asked& asked) {
  if (!asked.path.empty()) return asked.verb + " " + asked.path;
  std::string text = asked.verb + " " + plural_of(asked);
  if (!asked.name.empty()) text += fmt::format(" \"{}\"", asked.name);
  if (!asked.resource.namespaced) return text;
  return text +
         (asked.ns.empty() ? " in all namespaces" : fmt::format(" in namespace \"{}\"", asked.ns));
}

Fault fault_of(const Asked& asked, int status, const std::string& body) {
  const Said said = said_in(body);
  const Code code = code_of(status, said.reason);
  const std::string what = "cannot " + to_string(asked) + ": ";
  if (status == 401)
    return fail(code, what + "the API server does not accept our credentials (401)");
  // Of an object's path we do not know which rule it needs; the server's message tells.
  const bool knows_rule = status == 403 && !asked.path.starts_with("/api");
  const std::string user = knows_rule ? refused_user(said.message) : "";
  if (!user.empty())
    return fail(code, fmt::format("{}a role of {} needs the rule {{{}}}", what, in_words(user),
                                  lacking_rule(asked)));
  return fail(code, what + (said.message.empty() ? fmt::format("status {}", status)
                                                 : fmt::format("{} ({})", said.message, status)));
}

}  // namespace jobmill::k8s
