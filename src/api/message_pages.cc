// SPDX-License-Identifier: Apache-2.0
#include "api/message_pages.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <future>
#include <map>
#include <memory>
#include <vector>

#include <fmt/core.h>

#include "api/json.h"
#include "api/message_json.h"
#include "api/message_scan.h"
#include "api/operations.h"
#include "api/queue_text.h"
#include "api/service_bus_api.h"
#include "base/duration.h"
#include "broker/address.h"

namespace jobmill::api {
namespace {

using broker::Address;
using broker::SequenceNumber;
using Message = std::shared_ptr<const broker::Message>;
using Sequences = std::vector<SequenceNumber>;

constexpr std::size_t kMostPeeked = 200;
constexpr std::size_t kMostSent = 1000;       // of one request, repeats included
constexpr std::size_t kStep = 1000;           // messages of one step of an operation
constexpr std::size_t kMostLooked = 100'000;  // messages that a preview counts
constexpr std::size_t kSample = 10;
constexpr std::int64_t kMostPerSecond = 100'000;

// --- what there is ------------------------------------------------------------------------------

void write_entity(JsonWriter& json, const broker::QueueInfo& queue) {
  const broker::Counts& counts = queue.counts;
  json.object()
      .member("name", queue.description.name)
      .member("namespace", queue.name_space)
      .member("kind", "queue")
      .member("status", status_text(queue.description.status))
      .member("sessions", queue.description.requires_session)
      .member("active", counts.active)
      .member("locked", counts.locked)
      .member("scheduled", counts.scheduled)
      .member("deferred", counts.deferred)
      .member("deadLetter", counts.dead_letter)
      .member("transfer", counts.transfer)
      .member("transferDeadLetter", counts.transfer_dead_letter)
      .member("sizeBytes", queue.size_bytes)
      .member("maxSizeBytes", queue.description.max_size_mb << 20)
      .member("maxDeliveryCount", queue.description.max_delivery_count)
      .member("lockDuration", format_iso(queue.description.lock_duration));
  if (queue.description.default_ttl)
    json.member("defaultTimeToLive", format_iso(*queue.description.default_ttl));
  if (!queue.description.forward_to.empty()) json.member("forwardTo", queue.description.forward_to);
  if (!queue.description.forward_dead_letters_to.empty())
    json.member("forwardDeadLetteredMessagesTo", queue.description.forward_dead_letters_to);
  json.member("createdAt", format_instant(queue.created_at));
  if (queue.accessed_at) json.member("accessedAt", format_instant(*queue.accessed_at));
  json.end();
}

void write_namespace(JsonWriter& json, const std::string& name,
                     std::span<const broker::QueueInfo> queues) {
  json.object().member("namespace", name).key("entities").array();
  for (const broker::QueueInfo& queue : queues)
    if (queue.name_space == name) write_entity(json, queue);
  json.end().end();
}

void list_namespaces(ApiContext& context, Call call) {
  const auto queues = context.bus->broker.queues();
  JsonWriter json;
  json.array();
  for (const broker::StoredNamespace& name : context.bus->broker.namespaces())
    write_namespace(json, name.name, queues);
  call.responder.send(json_response(200, std::move(json.end()).text()));
}

void get_namespace(ApiContext& context, Call call) {
  const std::string& wanted = call.parameter("ns");
  const auto names = context.bus->broker.namespaces();
  const auto found = std::ranges::find(names, wanted, &broker::StoredNamespace::name);
  if (found == names.end())
    return call.responder.send(to_response(fail(Code::NotFound, "no namespace " + wanted)));
  JsonWriter json;
  write_namespace(json, wanted, context.bus->broker.queues());
  call.responder.send(json_response(200, std::move(json).text()));
}

// The entity of the path, and its dead letters when `sub` says so; sent an error when there is
// none.
std::optional<Address> entity_of(ApiContext& context, const Call& call, std::string_view sub) {
  const auto parsed = broker::parse_address(call.parameter("entity"));
  if (!parsed) {
    call.responder.send(to_response(parsed.error()));
    return std::nullopt;
  }
  if (!context.bus->broker.exists(*parsed)) {
    call.responder.send(
        to_response(fail(Code::NotFound, fmt::format("no queue {}", call.parameter("entity")))));
    return std::nullopt;
  }
  if (!sub.empty() && sub != "deadletter") {
    call.responder.send(to_response(wrong_parameter("sub", "expected deadletter, or nothing")));
    return std::nullopt;
  }
  Address address = *parsed;
  if (!sub.empty()) address.sub_queue = broker::SubQueue::DeadLetter;
  return address;
}

void get_entity(ApiContext& context, Call call) {
  const auto address = entity_of(context, call, "");
  if (!address) return;
  const auto queue = context.bus->broker.queue(address->path);
  if (!queue) return call.responder.send(to_response(queue.error()));
  JsonWriter json;
  write_entity(json, *queue);
  call.responder.send(json_response(200, std::move(json).text()));
}

// --- peek ---------------------------------------------------------------------------------------

std::optional<std::int64_t> number_in(const Call& call, std::string_view name,
                                      std::int64_t otherwise, std::int64_t most) {
  const auto text = call.request.parameter(name);
  if (!text) return otherwise;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error == std::errc() && end == text->data() + text->size() && value >= 0 && value <= most)
    return value;
  call.responder.send(to_response(
      wrong_parameter(name, fmt::format("expected a whole number from 0 to {}", most))));
  return std::nullopt;
}

void write_messages(JsonWriter& json, const std::vector<Message>& messages, Bodies bodies) {
  json.array();
  for (const Message& message : messages) write_message(json, *message, bodies);
  json.end();
}

// `next` is where the following page starts.
void peek(ApiContext& context, Call call) {
  const auto from = number_in(call, "from", 0, std::numeric_limits<SequenceNumber>::max());
  if (!from) return;
  const auto count = number_in(call, "count", 50, kMostPeeked);
  if (!count) return;
  const auto address = entity_of(context, call, call.request.parameter("sub").value_or(""));
  if (!address) return;
  MessageFilter filter{.from = *from, .most = static_cast<std::size_t>(*count) + 1};
  if (const auto session = call.request.parameter("session"))
    filter.session = std::string(*session);
  auto found = std::make_shared<std::vector<Message>>();
  scan_messages(
      context.bus->broker, *address, std::move(filter),
      [found](Message message) { found->push_back(std::move(message)); },
      [call, found, most = static_cast<std::size_t>(*count),
       bodies = bodies_for(context, call)](const Status& status) {
        if (!status) return call.responder.send(to_response(status.error()));
        std::optional<SequenceNumber> next;
        if (found->size() > most) {
          next = found->back()->sequence;
          found->pop_back();
        }
        JsonWriter json;
        json.object().key("items");
        write_messages(json, *found, bodies);
        if (next) json.member("next", *next);
        call.responder.send(json_response(200, std::move(json.end()).text()));
      });
}

// --- send ---------------------------------------------------------------------------------------

std::string counted(std::size_t count) {
  JsonWriter json;
  json.object().member("count", count).end();
  return std::move(json).text();
}

// {"message": {…}, "repeat": n}
void send(ApiContext& context, Call call) {
  const auto address = entity_of(context, call, "");
  if (!address) return;
  JsonBody body(call.request, {.bytes = kInsertBodyBytes});
  auto in = body.reader();
  std::size_t repeat = 1;
  in.integer("repeat", repeat, 1, kMostSent);
  std::string encoded;
  if (const Node* message = in.object("message", Field::Required))
    encoded = read_message_json(*message, body.errors());
  in.close();
  if (const auto problem = body.problem()) return call.responder.send(to_response(*problem));
  const std::vector<std::string_view> views(repeat, encoded);
  context.bus->broker.send(*address, views, context.clock.now(),
                           [call, repeat](const Status& status) {
                             if (!status) return call.responder.send(to_response(status.error()));
                             call.responder.send(json_response(201, counted(repeat)));
                           });
}

// --- actions on all that match ------------------------------------------------------------------

// {"reason", "description", "property": {"name", "value"?}, "before", "after", "text", "session",
// "sequenceNumbers"}
MessageFilter read_filter(ObjectReader& outer, std::vector<FieldError>& errors) {
  MessageFilter filter;
  const Node* node = outer.object("filter");
  if (node == nullptr) return filter;
  ObjectReader in(*node, "filter", errors);
  std::string session;
  in.text("reason", filter.reason);
  in.text("description", filter.description);
  in.text("text", filter.text);
  in.text("session", session);
  in.instant("before", filter.before);
  in.instant("after", filter.after);
  if (!session.empty()) filter.session = session;
  if (const Node* property = in.object("property")) {
    ObjectReader of(*property, "filter.property", errors);
    std::string value;
    of.text("name", filter.property, Field::Required);
    of.text("value", value);
    if (of.has("value")) filter.value = value;
    of.close();
  }
  if (const Node* list = in.array("sequenceNumbers"))
    for (const Node& one : list->items) {
      const auto value = one.as_int();
      if (!value) in.wrong("sequenceNumbers", "expected whole numbers");
      filter.sequences.insert(value.value_or(0));
    }
  in.close();
  return filter;
}

// What a request asks to be done with messages.
struct Selection {
  MessageFilter filter{};
  Address at{};
  std::string target{};
  std::int64_t per_second = 0;  // 0: as fast as it goes
  bool dry_run = false;
};

std::optional<Selection> selection_of(ApiContext& context, const Call& call, bool dead_letters) {
  JsonBody body(call.request);
  Selection selection;
  std::string sub = dead_letters ? "deadletter" : "";
  auto in = body.reader();
  selection.filter = read_filter(in, body.errors());
  in.text("sub", sub);
  in.text("target", selection.target);
  in.integer("ratePerS", selection.per_second, 1, kMostPerSecond);
  if (const Node* dry = in.any("dryRun")) selection.dry_run = dry->as_bool().value_or(false);
  in.close();
  if (const auto problem = body.problem()) {
    call.responder.send(to_response(*problem));
    return std::nullopt;
  }
  const auto at = entity_of(context, call, sub);
  if (!at) return std::nullopt;
  selection.at = *at;
  return selection;
}

// What a filter finds: how many, why they are there, and some of them.
struct Preview {
  std::size_t matching = 0;
  bool lower_bound = false;
  std::map<DeadLetterCause, std::size_t> causes;
  std::vector<Message> sample;
};

void preview(ApiContext& context, const Selection& selection,
             std::function<void(Result<Preview>)> done) {
  auto found = std::make_shared<Preview>();
  MessageFilter filter = selection.filter;
  filter.most = kMostLooked + 1;
  scan_messages(
      context.bus->broker, selection.at, std::move(filter),
      [found](const Message& message) {
        if (found->matching == kMostLooked) return (void)(found->lower_bound = true);
        ++found->matching;
        ++found->causes[dead_letter_cause(*message)];
        if (found->sample.size() < kSample) found->sample.push_back(message);
      },
      [found, done = std::move(done)](const Status& status) {
        if (!status) return done(status.error());
        done(std::move(*found));
      });
}

std::string preview_json(const Preview& found, Bodies bodies) {
  JsonWriter json;
  json.object().member("matching", found.matching).member("lowerBound", found.lower_bound);
  json.key("groups").array();
  for (const auto& [cause, count] : found.causes)
    json.object()
        .member("reason", cause.reason)
        .member("description", cause.description)
        .member("count", count)
        .end();
  json.end().key("sample");
  write_messages(json, found.sample, bodies);
  return std::move(json.end()).text();
}

void preview_dead_letters(ApiContext& context, Call call) {
  const auto selection = selection_of(context, call, true);
  if (!selection) return;
  preview(context, *selection,
          [call, bodies = bodies_for(context, call)](const Result<Preview>& found) {
            call.responder.send(found ? json_response(200, preview_json(*found, bodies))
                                      : to_response(found.error()));
          });
}

// Asks the broker from another thread, and waits.
template <class T>
Result<T> ask(net::EventLoop& loop, std::function<void(std::function<void(Result<T>)>)> call) {
  const auto promise = std::make_shared<std::promise<Result<T>>>();
  auto answer = promise->get_future();
  loop.post([promise, call = std::move(call)] {
    call([promise](Result<T> result) { promise->set_value(std::move(result)); });
  });
  try {
    return answer.get();
  } catch (const std::future_error&) {
    return fail(Code::Unavailable, "the broker is stopping");
  }
}

// Goes through the messages of a queue in the order of their numbers, a page at a step.
class MessageWork {
 public:
  using Act = std::function<void(const Sequences&, broker::Broker::Answer<std::size_t>)>;

  MessageWork(ApiContext& context, Selection selection, Act act)
      : context_(context), selection_(std::move(selection)), act_(std::move(act)) {}

  Result<StepDone> step() {
    TRY(const Sequences found, next_page());
    if (found.empty()) return StepDone{.finished = true};
    TRY(const std::size_t done, ask<std::size_t>(context_.loop, [this, &found](auto answer) {
          act_(found, std::move(answer));
        }));
    selection_.filter.from = found.back() + 1;
    StepDone result{
        .done = static_cast<std::int64_t>(done),
        .failed = static_cast<std::int64_t>(found.size() - std::min(found.size(), done)),
        .finished = found.size() < page()};
    if (selection_.per_second > 0)
      result.rest = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(
          static_cast<double>(found.size()) / static_cast<double>(selection_.per_second)));
    return result;
  }

 private:
  // A slow one takes small pages, so that its rate holds within each second.
  std::size_t page() const {
    if (selection_.per_second == 0) return kStep;
    return std::clamp<std::size_t>(static_cast<std::size_t>(selection_.per_second) / 4, 1, kStep);
  }

  Result<Sequences> next_page() {
    return ask<Sequences>(context_.loop, [this](auto answer) {
      auto found = std::make_shared<Sequences>();
      MessageFilter filter = selection_.filter;
      filter.most = page();
      scan_messages(
          context_.bus->broker, selection_.at, std::move(filter),
          [found](const Message& message) { found->push_back(message->sequence); },
          [found, answer = std::move(answer)](const Status& status) {
            if (!status) return answer(status.error());
            answer(std::move(*found));
          });
    });
  }

  ApiContext& context_;
  Selection selection_;
  const Act act_;
};

// Says how many there are when asked only that; else starts with them.
void run(ApiContext& context, const Call& call, const Selection& selection, std::string action,
         MessageWork::Act act) {
  preview(
      context, selection,
      [&context, call, selection, action = std::move(action),
       act = std::move(act)](const Result<Preview>& found) {
        if (!found) return call.responder.send(to_response(found.error()));
        if (selection.dry_run)
          return call.responder.send(json_response(200, preview_json(*found, Bodies::Hidden)));
        const auto work = std::make_shared<MessageWork>(context, selection, act);
        const auto id = context.operations->start(
            {.action = action,
             .what = fmt::format(
                 "messages of {}{}", selection.at.path,
                 selection.at.sub_queue == broker::SubQueue::DeadLetter ? "/$deadletterqueue" : ""),
             .by = call.identity.name,
             .matching = found->lower_bound
                             ? std::nullopt
                             : std::optional(static_cast<std::int64_t>(found->matching)),
             .step = [work] { return work->step(); }});
        if (!id) return call.responder.send(to_response(id.error()));
        JsonWriter json;
        json.object().member("operationId", *id).end();
        call.responder.send(json_response(202, std::move(json).text()));
      });
}

void purge(ApiContext& context, Call call) {
  const auto selection = selection_of(context, call, false);
  if (!selection) return;
  run(context, call, *selection, "purge",
      [&context, at = selection->at](const Sequences& found, auto answer) {
        context.bus->broker.purge(at, found.size(), {.only = found}, std::move(answer));
      });
}

void redrive(ApiContext& context, Call call) {
  const auto selection = selection_of(context, call, true);
  if (!selection) return;
  std::optional<Address> to;
  if (!selection->target.empty()) {
    const auto parsed = broker::parse_address(selection->target);
    if (!parsed || !context.bus->broker.exists(*parsed))
      return call.responder.send(
          to_response(wrong_parameter("target", "no queue " + selection->target)));
    to = *parsed;
  }
  run(context, call, *selection, "redrive",
      [&context, at = selection->at, to](const Sequences& found, auto answer) {
        context.bus->broker.redrive(at, to, found, context.clock.now(), std::move(answer));
      });
}

// {"sequenceNumber": n, "message": {…}, "target"?}: sends the message as it was edited, then
// removes the dead letter; should the server end in between, both are there.
void resubmit(ApiContext& context, Call call) {
  const auto dead = entity_of(context, call, "deadletter");
  if (!dead) return;
  JsonBody body(call.request, {.bytes = kInsertBodyBytes});
  auto in = body.reader();
  SequenceNumber sequence = 0;
  std::string target = call.parameter("entity");
  std::string encoded;
  in.integer("sequenceNumber", sequence, 1);
  in.text("target", target);
  if (const Node* message = in.object("message", Field::Required))
    encoded = read_message_json(*message, body.errors());
  in.close();
  if (sequence == 0) in.wrong("sequenceNumber", "is missing");
  if (const auto problem = body.problem()) return call.responder.send(to_response(*problem));
  const auto to = broker::parse_address(target);
  if (!to || !context.bus->broker.exists(*to))
    return call.responder.send(to_response(wrong_parameter("target", "no queue " + target)));

  auto found = std::make_shared<bool>(false);
  scan_messages(
      context.bus->broker, *dead, {.most = 1, .sequences = {sequence}},
      [found](const Message&) { *found = true; },
      [&context, call, found, dead = *dead, to = *to, sequence,
       encoded = std::move(encoded)](const Status& status) {
        if (!status) return call.responder.send(to_response(status.error()));
        if (!*found)
          return call.responder.send(
              to_response(fail(Code::NotFound, fmt::format("no dead letter {}", sequence))));
        const std::string_view views[] = {encoded};
        context.bus->broker.send(
            to, views, context.clock.now(), [&context, call, dead, sequence](const Status& sent) {
              if (!sent) return call.responder.send(to_response(sent.error()));
              context.bus->broker.purge(
                  dead, 1, {.only = {sequence}}, [call](const Result<std::size_t>& removed) {
                    call.responder.send(removed ? no_content() : to_response(removed.error()));
                  });
            });
      });
}

// {"sequenceNumbers": […]}
void cancel_scheduled(ApiContext& context, Call call) {
  const auto address = entity_of(context, call, "");
  if (!address) return;
  JsonBody body(call.request);
  Sequences sequences;
  auto in = body.reader();
  if (const Node* list = in.array("sequenceNumbers"))
    for (const Node& one : list->items) {
      const auto value = one.as_int();
      if (!value) in.wrong("sequenceNumbers", "expected whole numbers");
      sequences.push_back(value.value_or(0));
    }
  in.close();
  if (const auto problem = body.problem()) return call.responder.send(to_response(*problem));
  context.bus->broker.cancel(
      *address, sequences, context.clock.now(),
      [call](const Status& status) { call.responder.send(done_or_problem(status)); });
}

// {"status": "Disabled"}
void set_status(ApiContext& context, Call call) {
  const auto address = entity_of(context, call, "");
  if (!address) return;
  JsonBody body(call.request);
  std::string wanted;
  auto in = body.reader();
  in.text("status", wanted, Field::Required);
  const auto chosen = parse_status(wanted);
  if (!chosen) in.wrong("status", "expected Active, Disabled, SendDisabled or ReceiveDisabled");
  in.close();
  if (const auto problem = body.problem()) return call.responder.send(to_response(*problem));
  auto queue = context.bus->broker.queue(address->path);
  if (!queue) return call.responder.send(to_response(queue.error()));
  queue->description.status = *chosen;
  context.bus->broker.update(
      std::move(queue->description), context.clock.now(),
      [call](const Status& status) { call.responder.send(done_or_problem(status)); });
}

constexpr std::array kRoutes{
    Route{"GET", "/api/messages", Scope::Read, with_broker<list_namespaces>},
    Route{"GET", "/api/messages/{ns}", Scope::Read, with_broker<get_namespace>},
    Route{"GET", "/api/messages/{ns}/{entity}", Scope::Read, with_broker<get_entity>},
    Route{"GET", "/api/messages/{ns}/{entity}/peek", Scope::Read, with_broker<peek>},
    Route{"POST", "/api/messages/{ns}/{entity}/send", Scope::Operate, with_broker<send>},
    Route{"POST", "/api/messages/{ns}/{entity}/purge", Scope::Admin, with_broker<purge>},
    Route{"POST", "/api/messages/{ns}/{entity}/redrive", Scope::Operate, with_broker<redrive>},
    Route{"POST", "/api/messages/{ns}/{entity}/resubmit", Scope::Operate, with_broker<resubmit>},
    Route{"POST", "/api/messages/{ns}/{entity}/cancel", Scope::Operate,
          with_broker<cancel_scheduled>},
    Route{"POST", "/api/messages/{ns}/{entity}/status", Scope::Admin, with_broker<set_status>},
    Route{"POST", "/api/messages/{ns}/{entity}/deadletter/preview", Scope::Read,
          with_broker<preview_dead_letters>},
};

}  // namespace

std::span<const Route> message_page_routes() { return kRoutes; }

}  // namespace jobmill::api
