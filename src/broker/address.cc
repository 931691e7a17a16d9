// SPDX-License-Identifier: Apache-2.0
#include "broker/address.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace jobmill::broker {
namespace {

constexpr std::size_t kMaxName = 260;
constexpr std::string_view kManagement = "$management";
constexpr std::string_view kDeadLetter = "$deadletterqueue";
constexpr std::string_view kTransferDeadLetter = "$transfer/$deadletterqueue";

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_name_character(char c) {
  return is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '/';
}

// "amqps://host:5671/queue1" → "/queue1". Clients put their scheme and host before the name,
// whatever the transport is.
std::string_view without_host(std::string_view text) {
  const std::size_t scheme = text.find("://");
  if (scheme == text.npos) return text;
  const std::size_t path = text.find('/', scheme + 3);
  return path == text.npos ? std::string_view() : text.substr(path);
}

// A resource may come with a host and no scheme. Only what cannot be a queue is taken for one.
std::string_view without_bare_host(std::string_view text) {
  const std::string_view first = text.substr(0, text.find('/'));
  const bool host = first.find(':') != first.npos || first.ends_with(".servicebus.windows.net");
  return host ? text.substr(first.size()) : text;
}

std::string_view trim_slashes(std::string_view text) {
  while (text.starts_with('/')) text.remove_prefix(1);
  while (text.ends_with('/')) text.remove_suffix(1);
  return text;
}

// Takes "/suffix" off the end.
bool drop_suffix(std::string_view& path, std::string_view suffix) {
  if (!path.ends_with(suffix)) return false;
  const std::string_view before = path.substr(0, path.size() - suffix.size());
  if (!before.ends_with('/')) return false;
  path = trim_slashes(before);
  return true;
}

// What is left of a lower-case path, and what its suffixes say.
Address take_suffixes(std::string_view path) {
  Address address;
  address.management = drop_suffix(path, kManagement);
  if (drop_suffix(path, kTransferDeadLetter))
    address.sub_queue = SubQueue::TransferDeadLetter;
  else if (drop_suffix(path, kDeadLetter))
    address.sub_queue = SubQueue::DeadLetter;
  address.path = path;
  return address;
}

}  // namespace

std::string lower(std::string_view text) { return jobmill::lower(text); }

Status check_entity_name(std::string_view name) {
  if (name.empty()) return fail(Code::InvalidArgument, "an entity needs a name");
  if (name.size() > kMaxName)
    return fail(Code::InvalidArgument, "the name of an entity has at most 260 characters");
  if (!is_alphanumeric(name.front()) || !is_alphanumeric(name.back()) ||
      !std::all_of(name.begin(), name.end(), is_name_character))
    return fail(Code::InvalidArgument,
                "'" + std::string(name) +
                    "' cannot be the name of an entity: letters, digits and - . _ / are, and its "
                    "ends are letters or digits");
  return {};
}

Result<Address> parse_address(std::string_view text) {
  const std::string path = lower(trim_slashes(without_host(text)));
  if (path == "$cbs") return Address{.path = {}, .cbs = true};
  Address address = take_suffixes(path);
  TRY_VOID(check_entity_name(address.path));
  return address;
}

std::string resource_path(std::string_view resource) {
  std::string_view path = without_bare_host(without_host(resource));
  path = path.substr(0, path.find('?'));
  std::string lowered = lower(trim_slashes(path));
  return lowered == kManagement ? std::string() : std::move(take_suffixes(lowered).path);
}

}  // namespace jobmill::broker
