// SPDX-License-Identifier: Apache-2.0
#include "api/message_scan.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "amqp/message.h"
#include "api/message_json.h"
#include "base/text.h"

namespace jobmill::api {
namespace {

constexpr std::size_t kPage = 256;

using MessagePtr = std::shared_ptr<const broker::Message>;

std::optional<amqp::Value> find_property(const broker::Message& message, std::string_view name) {
  const auto sections = amqp::split(*message.bytes);
  if (!sections) return std::nullopt;
  const auto properties = amqp::decode_map_section(sections->application_properties);
  if (!properties) return std::nullopt;
  for (const amqp::MapEntry& entry : *properties)
    if (entry.key.text() == name) return entry.value;
  return std::nullopt;
}

// A value as people write it: a text without quotes.
std::string text_of(const amqp::Value& value) {
  if (const auto text = value.text()) return std::string(*text);
  JsonWriter json;
  write_value(json, value);
  return std::move(json).text();
}

// Lives in the broker's answers, until it is done.
class Scan : public std::enable_shared_from_this<Scan> {
 public:
  Scan(broker::Broker& broker, broker::Address at, MessageFilter filter,
       std::function<void(MessagePtr)> take, std::function<void(const Status&)> done)
      : broker_(broker),
        at_(std::move(at)),
        filter_(std::move(filter)),
        take_(std::move(take)),
        done_(std::move(done)) {
    if (!filter_.sequences.empty())
      filter_.from = std::max(filter_.from, *filter_.sequences.begin());
  }

  void next() {
    if (filter_.most == 0) return done_({});
    const std::size_t page = filter_.everything() ? std::min(kPage, filter_.most) : kPage;
    broker_.peek(at_, filter_.from, page, filter_.session,
                 [self = shared_from_this()](Result<std::vector<MessagePtr>> messages) {
                   if (!messages) return self->done_(messages.error());
                   self->look_at(*messages);
                 });
  }

 private:
  void look_at(const std::vector<MessagePtr>& messages) {
    if (messages.empty()) return done_({});
    for (const MessagePtr& message : messages) {
      if (filter_.most == 0) return done_({});
      if (!fits(*message)) continue;
      --filter_.most;
      take_(message);
    }
    filter_.from = messages.back()->sequence + 1;
    if (!filter_.sequences.empty() && filter_.from > *filter_.sequences.rbegin()) return done_({});
    next();
  }

  bool fits(const broker::Message& message) const {
    if (!filter_.sequences.empty() && !filter_.sequences.contains(message.sequence)) return false;
    if (filter_.before && message.enqueued_at >= *filter_.before) return false;
    if (filter_.after && message.enqueued_at < *filter_.after) return false;
    return fits_cause(message) && fits_property(message) && fits_text(message);
  }

  bool fits_cause(const broker::Message& message) const {
    if (filter_.reason.empty() && filter_.description.empty()) return true;
    const DeadLetterCause cause = dead_letter_cause(message);
    return (filter_.reason.empty() || cause.reason == filter_.reason) &&
           (filter_.description.empty() || cause.description == filter_.description);
  }

  bool fits_property(const broker::Message& message) const {
    if (filter_.property.empty()) return true;
    const auto value = find_property(message, filter_.property);
    return value && (!filter_.value || text_of(*value) == *filter_.value);
  }

  bool fits_text(const broker::Message& message) const {
    if (filter_.text.empty()) return true;
    const auto sections = amqp::split(*message.bytes);
    return sections &&
           lower(body_bytes(sections->body)).find(lower(filter_.text)) != std::string::npos;
  }

  broker::Broker& broker_;
  const broker::Address at_;
  MessageFilter filter_;
  std::function<void(MessagePtr)> take_;
  std::function<void(const Status&)> done_;
};

}  // namespace

bool MessageFilter::everything() const {
  return reason.empty() && description.empty() && sequences.empty() && !before && !after &&
         property.empty() && text.empty();
}

DeadLetterCause dead_letter_cause(const broker::Message& message) {
  const auto text = [&message](std::string_view name) {
    const auto value = find_property(message, name);
    return std::string(value ? value->text().value_or("") : "");
  };
  return {text("DeadLetterReason"), text("DeadLetterErrorDescription")};
}

void scan_messages(broker::Broker& broker, broker::Address at, MessageFilter filter,
                   std::function<void(std::shared_ptr<const broker::Message>)> take,
                   std::function<void(const Status&)> done) {
  std::make_shared<Scan>(broker, std::move(at), std::move(filter), std::move(take), std::move(done))
      ->next();
}

}  // namespace jobmill::api
