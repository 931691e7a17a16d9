// SPDX-License-Identifier: Apache-2.0
#include "api/atom_admin.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include <fmt/core.h>

#include "api/rule_keys.h"
#include "broker/address.h"

namespace jobmill::api {
namespace {

using broker::QueueDescription;
using broker::QueueInfo;
using http::Request;
using http::Responder;
using http::Response;

Response xml(int status, const char* type, std::string body) {
  Response response{.status = status, .headers = {}, .body = std::move(body)};
  response.headers.add("Content-Type", type);
  return response;
}

Response entry(int status, std::string body) {
  return xml(status, "application/atom+xml;type=entry;charset=utf-8", std::move(body));
}

Response feed(std::string body) {
  return xml(200, "application/atom+xml;type=feed;charset=utf-8", std::move(body));
}

// The cloud's sub-codes are the status with two digits more.
Response refuse(int status, std::string_view detail) {
  return xml(status, "application/xml; charset=utf-8",
             atom_error(status, fmt::format("SubCode={}00. {}", status, detail)));
}

int status_of(Code code) {
  switch (code) {
    case Code::InvalidArgument:
      return 400;
    case Code::NotFound:
      return 404;
    case Code::AlreadyExists:
    case Code::Conflict:
      return 409;
    case Code::PermissionDenied:
    case Code::Exhausted:
      return 403;
    case Code::Unsupported:
      return 501;
    case Code::Unavailable:
      return 503;
    case Code::Timeout:
      return 408;
    case Code::Internal:
      return 500;
  }
  return 500;
}

Response refuse(const Fault& fault) { return refuse(status_of(fault.code), fault.message); }

std::string path_of(const Request& request) {
  std::string_view path = request.path;
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  return std::string(path);
}

// "$skip" and "$top"; anything that is no number counts as absent.
std::size_t number(const Request& request, std::string_view name, std::size_t otherwise) {
  const auto text = request.parameter(name);
  std::size_t value = otherwise;
  if (text) (void)std::from_chars(text->data(), text->data() + text->size(), value);
  return value;
}

bool is_topic_path(const std::string& lower) {
  return lower.find("/subscriptions") != std::string::npos;
}

}  // namespace

AtomAdmin::AtomAdmin(broker::Broker& broker, const ServiceBusAccess& access, const Clock& clock,
                     std::string name_space, std::string scheme)
    : broker_(broker),
      access_(access),
      clock_(clock),
      name_space_(std::move(name_space)),
      scheme_(std::move(scheme)),
      started_(clock.now()) {}

AtomPlace AtomAdmin::place(const Request& request) const {
  return {.base = scheme_ + "://" + std::string(request.headers.get("Host").value_or("localhost")),
          .name_space = name_space_};
}

void AtomAdmin::serve(const Request& request, const Responder& responder) {
  const std::string path = broker::lower(path_of(request));
  if (const Status allowed = access_.allow(request, path, broker::Right::Manage); !allowed)
    return responder.send(refuse(401, allowed.error().message));
  if (request.method == "GET") return responder.send(get(request, path));
  if (request.method == "PUT") return put(request, responder);
  if (request.method == "DELETE") return remove(path, responder);
  responder.send(refuse(405, request.method + " is not known here"));
}

Response AtomAdmin::get(const Request& request, const std::string& path) const {
  if (path == "$resources/queues") return list(request);
  if (path == "$resources/topics") return feed(queue_feed("Topics", {}, place(request), started_));
  if (path == "$namespaceinfo") return entry(200, namespace_entry(place(request), started_));
  const auto found = broker_.queue(path);
  if (found) return entry(200, queue_entry(*found, place(request)));
  // What the cloud answers for an entity that is not there.
  return feed(queue_feed("Publicly Listed Services", {}, place(request), started_));
}

// A page without entries is what ends a client's paging.
Response AtomAdmin::list(const Request& request) const {
  const std::vector<QueueInfo> all = broker_.queues();
  const std::size_t first = std::min(number(request, "$skip", 0), all.size());
  const std::size_t count = std::min(number(request, "$top", 100), all.size() - first);
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first);
  const bool more = count > 0 && first + count < all.size();
  return feed(queue_feed("Queues", {begin, begin + static_cast<std::ptrdiff_t>(count)},
                         place(request), clock_.now(),
                         more ? fmt::format("?$skip={}&$top={}", first + count, count) : ""));
}

void AtomAdmin::put(const Request& request, const Responder& responder) {
  const auto kind = described_kind(request.body);
  if (!kind) return responder.send(refuse(kind.error()));
  if (*kind != "QueueDescription" || is_topic_path(broker::lower(path_of(request))))
    return responder.send(refuse(501, *kind + ": this version has queues only"));
  if (request.headers.get("If-Match")) return update(request, responder);
  create(request, responder);
}

void AtomAdmin::create(const Request& request, const Responder& responder) {
  auto queue = read_queue(request.body, QueueDescription{});
  if (!queue) return responder.send(refuse(queue.error()));
  queue->name = path_of(request);
  complete_rules(queue->rules, clock_.now());
  broker_.create(name_space_, *queue, clock_.now(),
                 [this, responder, name = queue->name, at = place(request)](const Status& status) {
                   if (!status) return responder.send(refuse(status.error()));
                   const auto made = broker_.queue(name);
                   if (!made) return responder.send(refuse(made.error()));
                   responder.send(entry(201, queue_entry(*made, at)));
                 });
}

void AtomAdmin::update(const Request& request, const Responder& responder) {
  const auto existing = broker_.queue(path_of(request));
  if (!existing) return responder.send(refuse(existing.error()));
  auto queue = read_queue(request.body, existing->description);
  if (!queue) return responder.send(refuse(queue.error()));
  complete_rules(queue->rules, clock_.now());
  broker_.update(*queue, clock_.now(),
                 [this, responder, name = queue->name, at = place(request)](const Status& status) {
                   if (!status) return responder.send(refuse(status.error()));
                   const auto changed = broker_.queue(name);
                   if (!changed) return responder.send(refuse(changed.error()));
                   responder.send(entry(200, queue_entry(*changed, at)));
                 });
}

void AtomAdmin::remove(const std::string& path, const Responder& responder) {
  broker_.remove(path, [responder](const Status& status) {
    responder.send(status ? Response{} : refuse(status.error()));
  });
}

}  // namespace jobmill::api
