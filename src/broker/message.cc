// SPDX-License-Identifier: Apache-2.0
#include "broker/message.h"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "amqp/codec.h"
#include "amqp/message.h"
#include "base/id.h"

namespace jobmill::broker {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kLongestId = 128;
constexpr std::size_t kLargestProperty = 32 * 1024;
constexpr std::size_t kLargestHead = 64 * 1024;
constexpr std::uint64_t kProperties = 0x73;

std::int64_t ms(TimePoint at) {
  return std::chrono::floor<std::chrono::milliseconds>(at.time_since_epoch()).count();
}

// As far as our clock counts; a sender may write any number.
TimePoint from_ms(std::int64_t at) {
  constexpr std::int64_t kFarthest = TimePoint::max().time_since_epoch().count() / 1000;
  return TimePoint(std::chrono::milliseconds(std::clamp(at, std::int64_t{0}, kFarthest)));
}

// --- annotations, entry by entry, without building a map ---

struct Annotation {
  std::string_view key{};  // empty: not a text
  std::string_view value{};
  std::string_view both{};
};

// Calls for each entry of an annotations section; an empty section has none.
template <class Each>
Status each_annotation(std::string_view section, Each each) {
  if (section.empty()) return {};
  amqp::Reader reader(section);
  TRY_VOID(reader.descriptor());
  TRY(const std::uint32_t count, reader.map());
  for (std::uint32_t i = 0; i + 1 < count; i += 2) {
    const std::size_t start = reader.position();
    TRY(const std::string_view raw_key, reader.raw_value());
    TRY(const std::string_view raw_value, reader.raw_value());
    const auto key = amqp::Reader(raw_key).text();
    each(Annotation{key && *key ? **key : std::string_view(), raw_value,
                    section.substr(start, reader.position() - start)});
  }
  return {};
}

constexpr std::string_view kSequence = "x-opt-sequence-number";
constexpr std::string_view kEnqueuedTime = "x-opt-enqueued-time";
constexpr std::string_view kLockedUntil = "x-opt-locked-until";
constexpr std::string_view kState = "x-opt-message-state";
constexpr std::string_view kEnqueueSequence = "x-opt-enqueue-sequence-number";
constexpr std::string_view kDeadLetterSource = "x-opt-deadletter-source";
constexpr std::string_view kScheduledTime = "x-opt-scheduled-enqueue-time";
constexpr std::string_view kPartitionKey = "x-opt-partition-key";
constexpr std::string_view kLockToken = "x-opt-lock-token";

// Facts that only the broker states; a sender's own (of a message that it received and sends
// again) would be lies.
bool stated_by_broker(std::string_view key) {
  return key.starts_with("x-opt-") &&
         (key == kSequence || key == kEnqueuedTime || key == kLockedUntil || key == kState ||
          key == kEnqueueSequence || key == kDeadLetterSource || key == kLockToken);
}

// The entries of a section that stay, as they were encoded.
struct Kept {
  std::uint32_t entries = 0;
  bool all = true;
};
Kept count_kept(std::string_view section) {
  Kept kept;
  // Sections were checked when the message came in.
  (void)each_annotation(section, [&](const Annotation& annotation) {
    if (stated_by_broker(annotation.key)) {
      kept.all = false;
    } else {
      ++kept.entries;
    }
  });
  return kept;
}
void append_kept(std::string& out, std::string_view section, const Kept& kept) {
  if (kept.entries == 0) return;
  (void)each_annotation(section, [&](const Annotation& annotation) {
    if (!stated_by_broker(annotation.key)) out.append(annotation.both);
  });
}

// --- reading ---

Status read_annotations(std::string_view section, Message& message) {
  const auto look = [&](const Annotation& annotation) {
    amqp::Reader value(annotation.value);
    if (annotation.key == kScheduledTime) {
      if (const auto at = value.integer(); at && *at) message.scheduled_for = from_ms(**at);
    } else if (annotation.key == kPartitionKey) {
      if (const auto key = value.text(); key && *key) message.partition_key = std::string(**key);
    }
  };
  return each_annotation(section, look);
}

// Some clients write 0 for a message without a time to live. One that the field cannot hold, or
// that has no header, is told as the time of its end.
Status read_expiry(std::string_view header, std::optional<std::int64_t> end, Message& message,
                   TimePoint now) {
  std::uint32_t ttl = 0;
  if (!header.empty()) {
    TRY(const amqp::Header read, amqp::decode_header(header));
    ttl = read.ttl.value_or(0);
  }
  const bool told = ttl != 0 && ttl != std::numeric_limits<std::uint32_t>::max();
  if (!told && end) {
    message.expires_at = from_ms(*end);
  } else if (ttl != 0) {
    const TimePoint from = std::max(now, message.scheduled_for.value_or(now));
    message.expires_at =
        from + std::min<Duration>(std::chrono::milliseconds(ttl), TimePoint::max() - from);
  }
  return {};
}

std::string new_message_id(TimePoint now) {
  std::string id = new_id(now);
  std::erase(id, '-');
  return id;
}

// The properties with an id in the first field; all other fields stay as they were encoded.
Status append_properties(std::string& out, std::string_view section, std::string_view id) {
  std::uint32_t fields = 0;
  std::string_view rest;
  if (!section.empty()) {
    amqp::Reader reader(section);
    TRY_VOID(reader.descriptor());
    TRY(fields, reader.list());
    if (fields > 0) TRY_VOID(reader.skip());
    rest = reader.rest();
  }
  amqp::Writer writer(out);
  writer.descriptor(kProperties);
  const auto list = writer.begin_list(std::max(fields, 1U));
  writer.string(id);
  out.append(rest);
  writer.end(list);
  return {};
}

// Answers when the message ends, if its properties say so.
Result<std::optional<std::int64_t>> read_ids(const amqp::Sections& sections, Message& message) {
  if (sections.properties.empty()) return std::optional<std::int64_t>();
  TRY(amqp::Ids ids, amqp::decode_ids(sections.properties));
  message.message_id = std::move(ids.message_id);
  if (ids.group_id) message.session_id = std::string(*ids.group_id);
  TRY_VOID(check_id("the message id", message.message_id));
  TRY_VOID(check_id("the session id", message.session_id.value_or("")));
  return ids.absolute_expiry_time;
}

Status check_property(std::size_t bytes) {
  if (bytes <= kLargestProperty) return {};
  return fail(Code::InvalidArgument, "a property of the message is larger than 32 KB");
}

Status check_fields(std::string_view section) {
  if (section.empty()) return {};
  amqp::Reader reader(section);
  TRY_VOID(reader.descriptor());
  TRY(const std::uint32_t count, reader.list());
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(const std::string_view field, reader.raw_value());
    TRY_VOID(check_property(field.size()));
  }
  return {};
}

Status check_entries(std::string_view section) {
  std::size_t largest = 0;
  TRY_VOID(each_annotation(section, [&](const Annotation& annotation) {
    largest = std::max(largest, annotation.both.size());
  }));
  return check_property(largest);
}

std::string_view between(std::string_view whole, const char* from, const char* to) {
  return whole.substr(static_cast<std::size_t>(from - whole.data()),
                      static_cast<std::size_t>(to - from));
}

// Where the first of these sections begins; the end of the message when it has none of them.
const char* start(std::string_view message, std::initializer_list<std::string_view> sections) {
  for (const std::string_view section : sections) {
    if (!section.empty()) return section.data();
  }
  return message.data() + message.size();
}
const char* bare_start(std::string_view message, const amqp::Sections& sections) {
  return start(message, {sections.properties, sections.application_properties, sections.body,
                         sections.footer});
}

Result<std::shared_ptr<const std::string>> with_message_id(std::string_view bytes,
                                                           const amqp::Sections& sections,
                                                           std::string_view id) {
  auto out = std::make_shared<std::string>();
  out->reserve(bytes.size() + 64);
  const char* bare = bare_start(bytes, sections);
  out->append(between(bytes, bytes.data(), bare));
  TRY_VOID(append_properties(*out, sections.properties, id));
  out->append(between(bytes, bare + sections.properties.size(), bytes.data() + bytes.size()));
  return std::shared_ptr<const std::string>(std::move(out));
}

// --- rendering ---

void append_header(std::string& head, std::string_view section, const Message& message) {
  amqp::Header header;
  if (!section.empty()) {
    if (const auto sent = amqp::decode_header(section)) header = *sent;
  }
  header.first_acquirer = false;
  header.delivery_count = message.delivery_count;
  amqp::encode_header(head, header);
}

void append_delivery_annotations(std::string& head, std::string_view section,
                                 const LockToken* token) {
  const Kept kept = count_kept(section);
  if (token == nullptr && kept.all) {
    head.append(section);
    return;
  }
  amqp::Writer writer(head);
  writer.descriptor(amqp::kDeliveryAnnotations);
  const auto map = writer.begin_map(2 * (kept.entries + (token != nullptr ? 1U : 0U)));
  append_kept(head, section, kept);
  if (token != nullptr) {
    writer.symbol(kLockToken);
    writer.uuid({*token});
  }
  writer.end(map);
}

void append_message_annotations(std::string& head, std::string_view section, const Message& message,
                                const Rendering& rendering) {
  const bool state = rendering.peeked || message.state != MessageState::Ready;
  const Kept kept = count_kept(section);
  const auto ours = 2U + (rendering.locked_until ? 1U : 0U) + (state ? 1U : 0U) +
                    (message.enqueue_sequence != 0 ? 1U : 0U) +
                    (message.dead_letter_source.empty() ? 0U : 1U);
  amqp::Writer writer(head);
  writer.descriptor(amqp::kMessageAnnotations);
  const auto map = writer.begin_map(2 * (kept.entries + ours));
  append_kept(head, section, kept);
  writer.symbol(kEnqueuedTime);
  writer.timestamp(ms(message.enqueued_at));
  writer.symbol(kSequence);
  writer.long_integer(message.sequence);
  if (rendering.locked_until) {
    writer.symbol(kLockedUntil);
    writer.timestamp(ms(*rendering.locked_until));
  }
  if (state) {
    writer.symbol(kState);
    writer.integer(static_cast<std::int32_t>(message.state));
  }
  if (message.enqueue_sequence != 0) {
    writer.symbol(kEnqueueSequence);
    writer.long_integer(message.enqueue_sequence);
  }
  if (!message.dead_letter_source.empty()) {
    writer.symbol(kDeadLetterSource);
    writer.string(message.dead_letter_source);
  }
  writer.end(map);
}

Status check_properties(std::string_view bytes, const amqp::Sections& sections) {
  if (bytes.size() <= kLargestProperty) return {};  // most messages: nothing in it can be too large
  const auto head = bytes.size() - sections.body.size() - sections.footer.size();
  if (head <= kLargestProperty) return {};
  if (head > kLargestHead)
    return fail(Code::InvalidArgument, "the properties of the message have more than 64 KB");
  TRY_VOID(check_fields(sections.properties));
  TRY_VOID(check_entries(sections.application_properties));
  return check_entries(sections.message_annotations);
}

}  // namespace

Status check_id(std::string_view what, std::string_view id) {
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
  if (id.size() <= kLongestId ||
      id.size() - static_cast<std::size_t>(std::ranges::count_if(id, continues)) <= kLongestId)
    return {};
  return fail(Code::InvalidArgument, std::string(what) + " is longer than 128 characters");
}

Status check_properties(std::string_view bytes) {
  if (bytes.size() <= kLargestProperty) return {};
  TRY(const amqp::Sections sections, amqp::split(bytes));
  return check_properties(bytes, sections);
}

Result<Message> read_message(std::string_view bytes, TimePoint now) {
  if (bytes.empty()) return fail(Code::InvalidArgument, "a message without any section");
  TRY(const amqp::Sections sections, amqp::split(bytes));
  Message message;
  message.enqueued_at = now;
  TRY_VOID(read_annotations(sections.message_annotations, message));
  TRY_VOID(check_id("the partition key", message.partition_key.value_or("")));
  TRY(const auto end, read_ids(sections, message));
  TRY_VOID(read_expiry(sections.header, end, message, now));
  TRY_VOID(check_properties(bytes, sections));
  // Clients use the id of a message as the name of their timers, and fail without one.
  if (message.message_id.empty()) {
    message.message_id = new_message_id(now);
    TRY(message.bytes, with_message_id(bytes, sections, message.message_id));
  } else {
    message.bytes = std::make_shared<const std::string>(bytes);
  }
  message.size = static_cast<std::uint32_t>(message.bytes->size());
  return message;
}

std::array<char, 16> delivery_tag(const LockToken& token) {
  static constexpr std::array<std::size_t, 16> kOrder{3, 2, 1,  0,  5,  4,  7,  6,
                                                      8, 9, 10, 11, 12, 13, 14, 15};
  std::array<char, 16> tag{};
  for (std::size_t i = 0; i < tag.size(); ++i) tag[i] = static_cast<char>(token[kOrder[i]]);
  return tag;
}

LockToken from_delivery_tag(std::string_view tag) {
  LockToken token{};
  std::copy_n(tag.begin(), std::min(tag.size(), token.size()), token.begin());
  const auto turned = delivery_tag(token);  // the order is its own inverse
  std::copy(turned.begin(), turned.end(), token.begin());
  return token;
}

std::string_view render(std::string& head, const Message& message, const Rendering& rendering) {
  const std::string_view bytes = *message.bytes;
  const auto split = amqp::split(bytes);
  if (!split) return bytes;  // it was checked when it came in
  append_header(head, split->header, message);
  append_delivery_annotations(head, split->delivery_annotations, rendering.lock_token);
  append_message_annotations(head, split->message_annotations, message, rendering);
  return between(bytes, bare_start(bytes, *split), bytes.data() + bytes.size());
}

std::string render_whole(const Message& message, const Rendering& rendering) {
  std::string whole;
  whole.reserve(message.bytes->size() + 256);
  const std::string_view rest = render(whole, message, rendering);
  return whole.append(rest);
}

namespace {

// The same message with its application properties as `edit` leaves them.
template <class Edit>
std::shared_ptr<const std::string> edited(const std::string& bytes, Edit edit) {
  const auto split = amqp::split(bytes);
  auto map = split ? amqp::decode_map_section(split->application_properties)
                   : Result<amqp::Map>(split.error());
  // A sender's section that cannot be read is passed on as it is: it is not ours to judge.
  if (!map) return std::make_shared<const std::string>(bytes);
  edit(*map);
  auto out = std::make_shared<std::string>();
  out->reserve(bytes.size() + 256);
  const char* at = start(bytes, {split->application_properties, split->body, split->footer});
  out->append(between(bytes, bytes.data(), at));
  if (!map->empty()) amqp::encode_map_section(*out, amqp::kApplicationProperties, *map);
  out->append(
      between(bytes, at + split->application_properties.size(), bytes.data() + bytes.size()));
  return out;
}

}  // namespace

std::shared_ptr<const std::string> with_properties(const std::string& bytes,
                                                   const amqp::Map& properties) {
  return edited(bytes, [&](amqp::Map& map) {
    for (const auto& [key, value] : properties) {
      if (const auto name = key.text()) amqp::set_string(map, *name, value);
    }
  });
}

std::shared_ptr<const std::string> without_properties(const std::string& bytes,
                                                      std::span<const std::string_view> names) {
  return edited(bytes, [&](amqp::Map& map) {
    std::erase_if(map, [&](const amqp::MapEntry& entry) {
      const auto name = entry.key.text();
      return name && std::find(names.begin(), names.end(), *name) != names.end();
    });
  });
}

}  // namespace jobmill::broker
