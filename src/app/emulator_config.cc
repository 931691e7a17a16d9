// SPDX-License-Identifier: Apache-2.0
#include "app/emulator_config.h"

#include <array>
#include <map>

#include <fmt/core.h>

#include "base/document.h"
#include "base/duration.h"
#include "broker/address.h"
#include "manifest/fields.h"

namespace jobmill::app {
namespace {

using manifest::Fields;
using manifest::Problems;
using manifest::Unknown;

// JSON has no comments, the emulator's files do. They become blanks, so that lines and columns in
// messages stay those of the file.
std::string without_comments(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::string plain(text);
  bool quoted = false;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    if (quoted) {
      if (plain[i] == '\\')
        ++i;
      else if (plain[i] == '"')
        quoted = false;
    } else if (plain[i] == '"') {
      quoted = true;
    } else if (plain.compare(i, 2, "//") == 0) {
      for (; i < plain.size() && plain[i] != '\n'; ++i) plain[i] = ' ';
    } else if (plain.compare(i, 2, "/*") == 0) {
      const auto end = plain.find("*/", i + 2);
      const auto stop = end == std::string::npos ? plain.size() : end + 2;
      for (; i < stop; ++i)
        if (plain[i] != '\n') plain[i] = ' ';
    }
  }
  return plain;
}

struct Bounds {
  Duration least;
  Duration most;
};
constexpr Bounds kTtl{std::chrono::minutes(5), std::chrono::hours(1)};
constexpr Bounds kWindow{std::chrono::seconds(5), std::chrono::minutes(5)};
// What tools write for queues whose messages do not expire: the longest duration that .NET knows.
constexpr Duration kNever = std::chrono::days(10'675'199);
constexpr Bounds kLock{std::chrono::seconds(5), std::chrono::minutes(5)};

// An ISO 8601 duration; outside the emulator's bounds it is taken, and said.
std::optional<Duration> duration(Fields& from, std::string_view key, Bounds bounds) {
  const std::string text = from.text(key);
  if (text.empty()) return std::nullopt;
  const auto parsed = parse_iso_duration(text);
  if (!parsed || parsed->negative()) {
    from.error(key, fmt::format("'{}' is no duration; write it as PT1M or P1DT2H", text));
    return std::nullopt;
  }
  const Duration value = to_duration(*parsed);
  if (value < bounds.least || value > bounds.most)
    from.problems().note(
        *from.node().find(key),
        fmt::format("{}: {} is outside what the emulator takes ({} to {})", from.path_to(key), text,
                    format_iso(bounds.least), format_iso(bounds.most)));
  return value;
}

void read_properties(Fields& from, broker::QueueDescription& queue) {
  if (const auto ttl = duration(from, "DefaultMessageTimeToLive", kTtl))
    queue.default_ttl = *ttl < kNever ? ttl : std::nullopt;
  if (const auto window = duration(from, "DuplicateDetectionHistoryTimeWindow", kWindow))
    queue.duplicate_window = *window;
  if (const auto lock = duration(from, "LockDuration", kLock)) queue.lock_duration = *lock;
  if (const auto most = from.integer("MaxDeliveryCount", {1, 2000})) {
    queue.max_delivery_count = static_cast<std::uint32_t>(*most);
    if (*most > 10)
      from.problems().note(*from.node().find("MaxDeliveryCount"),
                           from.path_to("MaxDeliveryCount") + ": the emulator takes 10 at most");
  }
  queue.dead_letter_on_expiration =
      from.boolean("DeadLetteringOnMessageExpiration").value_or(false);
  queue.requires_duplicate_detection = from.boolean("RequiresDuplicateDetection").value_or(false);
  queue.requires_session = from.boolean("RequiresSession").value_or(false);
  queue.forward_to = from.text("ForwardTo");
  queue.forward_dead_letters_to = from.text("ForwardDeadLetteredMessagesTo");
}

broker::QueueDescription read_queue(Fields& from) {
  broker::QueueDescription queue;
  queue.name = from.required_text("Name");
  queue.default_ttl = std::chrono::hours(1);
  queue.max_delivery_count = 3;
  queue.duplicate_window = std::chrono::seconds(20);
  from.object("Properties", [&](Fields& properties) { read_properties(properties, queue); });
  if (!queue.name.empty())
    if (const Status good = broker::check(queue); !good) from.error("", good.error().message);
  return queue;
}

// Topics come later: what a file says of them is checked for its names and said to be left out.
void read_topic(Fields& from) {
  const std::string name = from.required_text("Name");
  from.accept({"Properties", "Subscriptions"});
  from.problems().note(from.node(),
                       fmt::format("topic '{}': topics are not in this version; left out", name));
}

// Where each queue stands, by its path. All namespaces lead to the same entities.
using Places = std::map<std::string, std::string>;

void check_once(Fields& from, const std::string& name, const std::string& name_space,
                Places& places) {
  if (name.empty()) return;
  const auto [at, fresh] = places.try_emplace(
      broker::lower(name),
      fmt::format("'{}' of namespace '{}' on line {}", name, name_space, from.node().line));
  if (!fresh) from.error("Name", fmt::format("'{}' is the same queue as {}", name, at->second));
}

EmulatorConfig::Namespace read_namespace(Fields& from, Places& places) {
  EmulatorConfig::Namespace found;
  found.name = from.required_text("Name");
  from.each("Queues", [&](Fields& queue) {
    found.queues.push_back(read_queue(queue));
    check_once(queue, found.queues.back().name, found.name, places);
  });
  from.each("Topics", read_topic);
  return found;
}

}  // namespace

EmulatorConfig read_emulator_config(std::string_view text, Problems& problems) {
  EmulatorConfig config;
  const auto document = parse_json(without_comments(text));
  if (!document) {
    problems.error({}, document.error().message);
    return config;
  }
  Fields root(*document, "", Unknown::Refused, problems);
  Places places;
  root.required_object("UserConfig", [&](Fields& user) {
    user.each("Namespaces",
              [&](Fields& one) { config.namespaces.push_back(read_namespace(one, places)); });
    if (!user.has("Namespaces")) user.error("Namespaces", "required");
    user.required_object("Logging", [](Fields& logging) {
      static constexpr std::array<std::string_view, 4> kWords{"File", "Console", "File,Console",
                                                              "Console,File"};
      (void)logging.word("Type", kWords);  // everything is logged to stderr here
    });
  });
  return config;
}

}  // namespace jobmill::app
