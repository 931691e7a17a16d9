// SPDX-License-Identifier: Apache-2.0
#include "api/message_scan.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "amqp/message.h"

namespace jobmill::api {
namespace {

constexpr std::size_t kPage = 256;

using MessagePtr = std::shared_ptr<const broker::Message>;

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
    return filter_.reason.empty() || dead_letter_reason(message) == filter_.reason;
  }

  broker::Broker& broker_;
  const broker::Address at_;
  MessageFilter filter_;
  std::function<void(MessagePtr)> take_;
  std::function<void(const Status&)> done_;
};

}  // namespace

std::string dead_letter_reason(const broker::Message& message) {
  const auto sections = amqp::split(*message.bytes);
  if (!sections) return "";
  const auto properties = amqp::decode_map_section(sections->application_properties);
  if (!properties) return "";
  for (const amqp::MapEntry& entry : *properties)
    if (entry.key.text() == "DeadLetterReason") return std::string(entry.value.text().value_or(""));
  return "";
}

void scan_messages(broker::Broker& broker, broker::Address at, MessageFilter filter,
                   std::function<void(std::shared_ptr<const broker::Message>)> take,
                   std::function<void(const Status&)> done) {
  std::make_shared<Scan>(broker, std::move(at), std::move(filter), std::move(take), std::move(done))
      ->next();
}

}  // namespace jobmill::api
