// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "app/az_client.h"
#include "app/commands/az_command.h"
#include "app/commands/commands.h"
#include "app/commands/servicebus_names.h"
#include "app/table.h"
#include "base/base64.h"
#include "base/duration.h"
#include "base/utf8.h"
#include "http/message.h"

// Messages and dead letters, through the server's REST interface.
namespace jobmill::app {
namespace {

using Numbers = std::vector<std::int64_t>;

// What the server takes and gives in one request.
constexpr std::int64_t kMostMessages = 1000;
constexpr std::size_t kMostBytes = 16u << 20;
constexpr std::size_t kLongestBody = 24u << 20;
constexpr std::int64_t kLongestWait = 30;  // seconds, of one request

// "/v1/messages/<namespace>/<queue>/<verb>"
std::string message_path(const Arguments& arguments, const std::string& queue,
                         std::string_view verb) {
  return fmt::format("/v1/messages/{}/{}/{}",
                     http::url_encode(arguments.get("namespace-name", kDefaultNamespace)),
                     http::url_encode(queue), verb);
}

template <int (*Run)(const Arguments&, AzClient&, const std::string& queue)>
int of_queue(const Arguments& arguments) {
  auto client = AzClient::from(arguments);
  if (!client) return kUsage;
  const auto queue = required(*client, arguments, "queue-name");
  return queue ? Run(arguments, *client, *queue) : kUsage;
}

Node count_document(std::int64_t count) {
  Node document = Node::object();
  document.set("count", Node::integer(count));
  return document;
}

// --- send --------------------------------------------------------------------------------------

// --body, --file or standard input. Complains and answers none when it cannot be read.
std::optional<std::string> read_body(const AzClient& client, const Arguments& arguments) {
  if (arguments.has("body") && arguments.has("file")) {
    client.usage_error("give --body or --file, not both");
    return std::nullopt;
  }
  if (arguments.has("body")) return arguments.get("body");
  auto text = read_text_file(arguments.get("file", "-"), kLongestBody);
  if (text) return *std::move(text);
  client.usage_error(text.error().message);
  return std::nullopt;
}

std::optional<Node> read_properties(const AzClient& client, const Arguments& arguments) {
  Node properties = Node::object();
  for (const std::string& one : arguments.all("property")) {
    const auto equals = one.find('=');
    if (equals == std::string::npos || equals == 0) {
      client.usage_error(fmt::format("--property takes name=value, not '{}'", one));
      return std::nullopt;
    }
    properties.set(one.substr(0, equals), Node::string(one.substr(equals + 1)));
  }
  return properties;
}

// Complains and answers none when something is wrong with the flags.
std::optional<Node> read_message(const AzClient& client, const Arguments& arguments) {
  constexpr std::pair<const char*, const char*> kTexts[] = {
      {"content-type", "contentType"},
      {"message-id", "messageId"},
      {"session-id", "sessionId"},
      {"subject", "subject"},
      {"scheduled-enqueue-time", "scheduledEnqueueTime"},
  };
  Node message = Node::object();
  for (const auto& [flag, member] : kTexts)
    if (arguments.has(flag)) message.set(member, Node::string(arguments.get(flag)));
  if (arguments.has("time-to-live")) {
    const auto ttl = parse_duration(arguments.get("time-to-live"));
    if (!ttl) {
      client.usage_error("--time-to-live is no duration; give one such as PT5M or 30s");
      return std::nullopt;
    }
    message.set("timeToLive", Node::string(format_iso(*ttl)));
  }
  auto properties = read_properties(client, arguments);
  if (!properties) return std::nullopt;
  if (!properties->members.empty()) message.set("applicationProperties", *std::move(properties));
  const auto body = read_body(client, arguments);
  if (!body) return std::nullopt;
  const bool text = is_utf8(*body);
  message.set(text ? "body" : "bodyBase64", Node::string(text ? *body : base64_encode(*body)));
  return message;
}

int send(const Arguments& arguments, AzClient& client, const std::string& queue) {
  bool wrong = false;
  const std::int64_t count = whole(client, arguments, "count", 1, wrong).value_or(1);
  if (wrong) return kUsage;
  const auto message = read_message(client, arguments);
  if (!message) return kUsage;
  const std::int64_t fit =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(kMostBytes / to_json(*message).size()));
  const std::string path = message_path(arguments, queue, "send");
  for (std::int64_t left = count; left > 0;) {
    const std::int64_t some = std::min({left, fit, kMostMessages});
    Node body = Node::object();
    Node& messages = body.set("messages", Node::array());
    for (std::int64_t i = 0; i < some; ++i) messages.push(*message);
    const Reply reply = client.api().post(path, body);
    if (!reply) return client.refused(reply);
    left -= some;
  }
  return client.print(count_document(count));
}

// --- peek and receive --------------------------------------------------------------------------

std::int64_t sequence_of(const Node& message) {
  const Node* number = message.find("sequenceNumber");
  return number == nullptr ? 0 : number->as_int().value_or(0);
}

// What a peek is asked for.
struct Look {
  std::string query{};  // "&sub=deadletter&session=…"
  std::int64_t from = 0;
  std::int64_t most = 1;
};

// Page by page, into `messages`. The reply is the last one.
template <class Take>
Reply look(AzClient& client, const std::string& path, Look wish, Take take) {
  while (wish.most > 0) {
    const std::int64_t page = std::min(wish.most, kMostMessages);
    Reply reply =
        client.api().get(fmt::format("{}?from={}&count={}{}", path, wish.from, page, wish.query));
    if (!reply) return reply;
    for (const Node& message : reply.document.items) take(message);
    const auto got = static_cast<std::int64_t>(reply.document.items.size());
    if (got < page) break;
    wish.from = sequence_of(reply.document.items.back()) + 1;
    wish.most -= got;
  }
  return {};
}

int print_look(AzClient& client, const std::string& path, Look wish) {
  Node messages = Node::array();
  const Reply reply =
      look(client, path, std::move(wish), [&](const Node& message) { messages.push(message); });
  return reply ? client.print(messages) : client.refused(reply);
}

int peek(const Arguments& arguments, AzClient& client, const std::string& queue) {
  bool wrong = false;
  Look wish{.query = arguments.has("dead-letter") ? "&sub=deadletter" : "",
            .from = whole(client, arguments, "from", 0, wrong).value_or(0),
            .most = whole(client, arguments, "max", 1, wrong).value_or(1)};
  if (wrong) return kUsage;
  if (arguments.has("session-id"))
    wish.query += "&session=" + http::url_encode(arguments.get("session-id"));
  return print_look(client, message_path(arguments, queue, "peek"), std::move(wish));
}

// Waits for the first ones only; the rest is what there is.
int receive(const Arguments& arguments, AzClient& client, const std::string& queue) {
  bool wrong = false;
  std::int64_t left = whole(client, arguments, "max", 1, wrong).value_or(1);
  std::int64_t wait = whole(client, arguments, "wait", 0, wrong).value_or(0);
  if (wrong) return kUsage;
  Node wish = Node::object();
  if (arguments.has("session-id")) wish.set("session", Node::string(arguments.get("session-id")));
  if (arguments.has("dead-letter")) wish.set("sub", Node::string("deadletter"));
  Node messages = Node::array();
  while (left > 0) {
    const std::int64_t now = std::min(wait, kLongestWait);
    wish.set("max", Node::integer(std::min(left, kMostMessages)));
    wish.set("wait", Node::integer(now));
    const Reply reply = client.api().post(message_path(arguments, queue, "receive"), wish);
    if (!reply) {
      client.print(messages);  // they are not in the queue any more
      return client.refused(reply);
    }
    for (const Node& message : reply.document.items) messages.push(message);
    left -= static_cast<std::int64_t>(reply.document.items.size());
    if (reply.document.items.empty() && now == wait) break;
    wait = reply.document.items.empty() ? wait - now : 0;
  }
  return client.print(messages);
}

// --- dead letters ------------------------------------------------------------------------------

// --sequence-number, --reason and --max.
struct Selection {
  Numbers numbers{};
  std::string reason{};
  std::optional<std::int64_t> most{};
};

std::optional<Selection> selection_of(const AzClient& client, const Arguments& arguments) {
  Selection selection;
  bool wrong = false;
  selection.most = whole(client, arguments, "max", 1, wrong);
  selection.reason = arguments.get("reason");
  for (const std::string& text : arguments.all("sequence-number")) {
    Arguments one;
    one.flags["sequence-number"] = {text};
    const auto number = whole(client, one, "sequence-number", 1, wrong);
    if (number) selection.numbers.push_back(*number);
  }
  if (wrong) return std::nullopt;
  std::ranges::sort(selection.numbers);
  const auto [last, end] = std::ranges::unique(selection.numbers);
  selection.numbers.erase(last, end);
  return selection;
}

Node body_of(const Selection& selection) {
  Node body = Node::object();
  if (!selection.reason.empty()) body.set("reason", Node::string(selection.reason));
  if (selection.most) body.set("max", Node::integer(*selection.most));
  if (!selection.numbers.empty()) {
    Node& numbers = body.set("sequenceNumbers", Node::array());
    for (const std::int64_t number : selection.numbers) numbers.push(Node::integer(number));
  }
  return body;
}

// Calls `take` with each message that is selected.
template <class Take>
Reply selected(AzClient& client, const std::string& path, const Selection& selection,
               std::int64_t most, Take take) {
  std::string query = "&sub=deadletter";
  if (!selection.reason.empty()) query += "&reason=" + http::url_encode(selection.reason);
  if (selection.numbers.empty()) return look(client, path, {query, 0, most}, take);
  for (const std::int64_t number : selection.numbers) {
    const Reply reply = look(client, path, {query, number, 1}, [&](const Node& message) {
      if (sequence_of(message) == number && most-- > 0) take(message);
    });
    if (!reply) return reply;
  }
  return {};
}

int list_dead_letters(const Arguments& arguments, AzClient& client, const std::string& queue) {
  const auto selection = selection_of(client, arguments);
  if (!selection) return kUsage;
  Node messages = Node::array();
  const Reply reply =
      selected(client, message_path(arguments, queue, "peek"), *selection,
               selection->most.value_or(100), [&](const Node& one) { messages.push(one); });
  return reply ? client.print(messages) : client.refused(reply);
}

int print_count(const AzClient& client, const Reply& reply) {
  return reply ? client.print(reply.document) : client.refused(reply);
}

int purge(const Arguments& arguments, AzClient& client, const std::string& queue) {
  const auto selection = selection_of(client, arguments);
  if (!selection) return kUsage;
  if (const auto exit = client.confirm(arguments, "Delete dead letters of " + queue + "?"))
    return *exit;
  return print_count(
      client, client.api().post(message_path(arguments, queue, "purge"), body_of(*selection)));
}

// No more than `rate` a second. Which ones is decided first: what is dead-lettered again meanwhile
// would keep us here for ever.
int redrive_slowly(AzClient& client, const std::string& queue_path, const Selection& selection,
                   const std::string& to, std::int64_t rate) {
  Numbers numbers;
  const Reply found = selected(client, queue_path + "peek", selection,
                               selection.most.value_or(std::numeric_limits<std::int64_t>::max()),
                               [&](const Node& one) { numbers.push_back(sequence_of(one)); });
  if (!found) return client.refused(found);
  std::int64_t count = 0;
  auto next = std::chrono::steady_clock::now();
  for (std::size_t at = 0; at < numbers.size(); at += static_cast<std::size_t>(rate)) {
    std::this_thread::sleep_until(next);
    next += std::chrono::seconds(1);
    const auto begin = numbers.begin() + static_cast<std::ptrdiff_t>(at);
    const auto size = std::min(static_cast<std::size_t>(rate), numbers.size() - at);
    Node body = body_of({.numbers = Numbers(begin, begin + static_cast<std::ptrdiff_t>(size))});
    if (!to.empty()) body.set("to", Node::string(to));
    const Reply reply = client.api().post(queue_path + "redrive", body);
    if (!reply) return client.refused(reply);
    const Node* moved = reply.document.find("count");
    count += moved == nullptr ? 0 : moved->as_int().value_or(0);
  }
  return client.print(count_document(count));
}

int redrive(const Arguments& arguments, AzClient& client, const std::string& queue) {
  const auto selection = selection_of(client, arguments);
  if (!selection) return kUsage;
  bool wrong = false;
  const auto rate = whole(client, arguments, "rate", 1, wrong);
  if (wrong) return kUsage;
  if (const auto exit = client.confirm(arguments, "Send dead letters of " + queue + " again?"))
    return *exit;
  const std::string to = arguments.get("to");
  if (rate)
    return redrive_slowly(client, message_path(arguments, queue, ""), *selection, to, *rate);
  Node body = body_of(*selection);
  if (!to.empty()) body.set("to", Node::string(to));
  return print_count(client, client.api().post(message_path(arguments, queue, "redrive"), body));
}

// --- the table ---------------------------------------------------------------------------------

constexpr Flag kQueue{"-n,--queue-name,--name", "QUEUE", "the queue"};
constexpr Flag kNamespaceName{"--namespace-name", "NAME", "the namespace (default: sbemulatorns)"};
constexpr Flag kSession{"--session-id", "ID", "only this session"};
constexpr Flag kDeadLetter{"--dead-letter", "", "of the dead letters"};
constexpr Flag kReason{"--reason", "TEXT", "only what was dead-lettered for this reason"};
constexpr Flag kNumbers{"--sequence-number", "N …", "only these"};
constexpr Flag kMost{"--max", "N", "at most this many (default: all)"};

constexpr std::array kSendFlags{
    kQueue,
    kNamespaceName,
    Flag{"--body", "TEXT", "what it says (else --file, else standard input)"},
    Flag{"--file", "FILE", "a file with the body"},
    Flag{"--content-type", "TYPE", "MIME type of the body"},
    Flag{"--message-id", "ID", "its id (default: a random one)"},
    Flag{"--session-id", "ID", "the session that it belongs to"},
    Flag{"--subject", "TEXT", "its subject, once called label"},
    Flag{"--property", "K=V …", "application properties"},
    Flag{"--time-to-live", "DURATION", "PT5M, 30s: it expires after this time"},
    Flag{"--scheduled-enqueue-time", "TIME", "it can be received from this instant on (RFC 3339)"},
    Flag{"--count", "N", "send it so many times (1)"},
};
constexpr std::array kPeekFlags{kQueue,
                                kNamespaceName,
                                Flag{"--max", "N", "at most this many (1)"},
                                Flag{"--from", "N", "from this sequence number on"},
                                kDeadLetter,
                                kSession};
constexpr std::array kReceiveFlags{kQueue,
                                   kNamespaceName,
                                   Flag{"--max", "N", "at most this many (1)"},
                                   Flag{"--wait", "SECONDS", "for the first one (0)"},
                                   kDeadLetter,
                                   kSession};
constexpr std::array kListFlags{kQueue, kNamespaceName,
                                Flag{"--max", "N", "at most this many (100)"}, kReason, kNumbers};
constexpr std::array kPurgeFlags{kQueue, kNamespaceName, kMost, kReason, kNumbers, kYes};
constexpr std::array kRedriveFlags{
    kQueue,
    kNamespaceName,
    kMost,
    kReason,
    kNumbers,
    Flag{"--to", "QUEUE", "to this queue (default: where they were)"},
    Flag{"--rate", "N", "at most so many a second"},
    kYes};

}  // namespace

const std::array<Command, 6> kMessageCommands{
    az("servicebus message send", "Send messages.", kSendFlags, of_queue<send>),
    az("servicebus message peek", "Look at messages; they stay as they are.", kPeekFlags,
       of_queue<peek>),
    az("servicebus message receive", "Take messages from a queue; what is printed is gone.",
       kReceiveFlags, of_queue<receive>),
    az("servicebus deadletter list", "Look at dead letters.", kListFlags,
       of_queue<list_dead_letters>),
    az("servicebus deadletter redrive", "Send dead letters again.", kRedriveFlags,
       of_queue<redrive>),
    az("servicebus deadletter purge", "Delete dead letters.", kPurgeFlags, of_queue<purge>),
};

}  // namespace jobmill::app
