// SPDX-License-Identifier: Apache-2.0
#include "jobs/job_template.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

#include <fmt/core.h>

#include "base/document.h"
#include "base/json_check.h"

namespace jobmill::jobs {
namespace {

constexpr std::string_view kIndex = "{i}";
constexpr std::size_t kMaxNameBytes = 1024;

Fault wrong(std::string_view field, std::string_view reason) {
  return fail(Code::InvalidArgument, fmt::format("{}: {}", field, reason));
}

// What people count, not bytes: continuation bytes of UTF-8 begin no character.
std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string_view shortened(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

std::vector<std::string> split_at_index(std::string_view text) {
  std::vector<std::string> pieces;
  for (;;) {
    const auto at = text.find(kIndex);
    pieces.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return pieces;
    text.remove_prefix(at + kIndex.size());
  }
}

// --- arguments ---------------------------------------------------------------------------------

// The end of the JSON string that begins at `from`, past its quote.
std::size_t string_end(std::string_view json, std::size_t from) {
  std::size_t at = from + 1;
  while (json[at] != '"') at += json[at] == '\\' ? 2 : 1;
  return at + 1;
}

bool is_key(std::string_view json, std::size_t end) {
  const auto next = json.find_first_not_of(" \t\r\n", end);
  return next != std::string_view::npos && json[next] == ':';
}

// Cuts valid JSON at each {i} in a string value; digits need no escaping, so joining gives JSON.
// Outside of strings "{i" cannot occur, and member names are not values.
std::vector<std::string> split_values(std::string_view json) {
  std::vector<std::string> pieces(1);
  std::size_t copied = 0;
  const auto copy_to = [&](std::size_t end) {
    pieces.back() += json.substr(copied, end - copied);
    copied = end;
  };
  for (std::size_t at = json.find('"'); at != std::string_view::npos; at = json.find('"', at)) {
    const std::size_t end = string_end(json, at);
    copy_to(is_key(json, end) ? end : at);
    if (copied == at) {
      const auto inner = split_at_index(json.substr(at, end - at));
      pieces.back() += inner.front();
      pieces.insert(pieces.end(), inner.begin() + 1, inner.end());
      copied = end;
    }
    at = end;
  }
  copy_to(json.size());
  return pieces;
}

// --- names and labels --------------------------------------------------------------------------

std::string value_text(const Node& node) {
  const auto text = node.as_string();
  return text ? std::string(*text) : to_json(node);
}

// Fills placeholders from one job's arguments and metadata.
class Filler {
 public:
  Filler(const Node& args, const Node& meta) : args_(args), meta_(meta) {}

  std::string fill(std::string_view text) const {
    std::string filled;
    while (!text.empty()) {
      const auto at = text.find_first_of("{%");
      filled += text.substr(0, at);
      if (at == std::string_view::npos) break;
      text.remove_prefix(at);
      const Found found = find(text);
      filled += found.value ? value_text(*found.value) : std::string(text.substr(0, found.size));
      text.remove_prefix(found.size);
    }
    return filled;
  }

 private:
  struct Found {
    std::size_t size;  // of the placeholder, or of the text that is none
    const Node* value;
  };

  Found find(std::string_view text) const {
    if (text.starts_with("%X{")) return braced(text, 3, [&](auto key) { return meta_.find(key); });
    if (text.starts_with("{meta."))
      return braced(text, 6, [&](auto key) { return meta_.find(key); });
    if (text.front() == '{') return braced(text, 1, [&](auto digits) { return argument(digits); });
    const auto end = std::min(text.size(), text.find_first_not_of("0123456789", 1));
    if (const Node* value = argument(text.substr(1, end - 1))) return {end, value};
    return {1, nullptr};
  }

  template <class LookUp>
  static Found braced(std::string_view text, std::size_t start, const LookUp& look_up) {
    const auto end = text.find('}', start);
    if (end == std::string_view::npos) return {start, nullptr};
    if (const Node* value = look_up(text.substr(start, end - start))) return {end + 1, value};
    return {start, nullptr};
  }

  const Node* argument(std::string_view digits) const {
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (error != std::errc() || end != digits.data() + digits.size()) return nullptr;
    return index < args_.items.size() ? &args_.items[index] : nullptr;
  }

  const Node& args_;
  const Node& meta_;
};

// --- rules -------------------------------------------------------------------------------------

// No database keeps it in a text.
Status check_nul(std::string_view field, std::string_view text) {
  if (text.find('\0') == text.npos) return {};
  return wrong(field, "must not hold the character U+0000");
}

Status check_plain(const JobSpec& spec) {
  for (const auto& [field, text] :
       {std::pair<std::string_view, std::string_view>("kind", spec.kind),
        {"queue", spec.queue},
        {"id", spec.id}}) {
    TRY_VOID(check_nul(field, text));
  }
  if (spec.kind.empty()) return wrong("kind", "must not be empty");
  if (spec.kind.size() > kMaxKindBytes) return wrong("kind", "longer than 255 bytes");
  if (spec.queue.empty()) return wrong("queue", "must not be empty");
  if (spec.queue.size() > kMaxQueueBytes) return wrong("queue", "longer than 128 bytes");
  if (spec.id.size() > kMaxIdBytes) return wrong("id", "longer than 255 bytes");
  if (spec.name.size() > kMaxNameBytes) return wrong("name", "longer than 1024 bytes");
  if (spec.v < 1) return wrong("v", "must be 1 or more");
  if (spec.priority < 0 || spec.priority > kMaxPriority) return wrong("priority", "must be 0 to 9");
  if (spec.retries && (*spec.retries < 0 || *spec.retries > kMostRetries)) {
    return wrong("retries", "must be 0 to 1000");
  }
  if (spec.retries && spec.extra.retry) return wrong("retry", "excludes retries");
  if (spec.max_crashes < 1 || spec.max_crashes > kMostRetries) {
    return wrong("max_crashes", "must be 1 to 1000");
  }
  if (spec.labels.size() > kMaxLabels) return wrong("labels", "more than 3");
  return {};
}

Status check_time(const JobSpec& spec) {
  if (spec.delay && spec.run_at) return wrong("delay", "excludes run_at");
  if (spec.delay && *spec.delay < Duration::zero()) return wrong("delay", "must not be negative");
  return {};
}

Status check_count(const JobSpec& spec) {
  if (!spec.count) return {};
  if (*spec.count < 1 || *spec.count > kMaxCount) return wrong("count", "must be 1 to 1000000");
  if (!spec.id.empty()) return wrong("count", "excludes id");
  return {};
}

Status check_size(const JobSpec& spec) {
  const std::size_t size = spec.args.size() + spec.meta.size();
  if (size <= kMaxPayloadBytes) return {};
  return fail(Code::Exhausted,
              fmt::format("args: payload_too_large: {} bytes, at most {}", size, kMaxPayloadBytes));
}

constexpr DocumentLimits kMemberLimits{.bytes = kMaxPayloadBytes};

Status check_members(const JobSpec& spec) {
  const auto args = check_json(spec.args, kMemberLimits);
  if (!args) return wrong("args", args.error().message);
  if (*args != Node::Kind::Array && *args != Node::Kind::Object)
    return wrong("args", "must be an array or an object");
  if (spec.meta.empty()) return {};
  const auto meta = check_json(spec.meta, kMemberLimits);
  if (!meta) return wrong("meta", meta.error().message);
  return *meta == Node::Kind::Object ? Status() : wrong("meta", "must be an object");
}

// --- what people read of a job -----------------------------------------------------------------

struct Shown {
  std::string name;
  std::vector<std::string> labels;
};

bool has_placeholders(const JobSpec& spec) {
  const auto holds = [](std::string_view text) { return text.find_first_of("{%") != text.npos; };
  return holds(spec.name) || std::ranges::any_of(spec.labels, holds);
}

// With the values of the placeholders.
Result<Shown> shown(const JobSpec& spec) {
  Shown texts{spec.name, spec.labels};
  if (!has_placeholders(spec)) return texts;
  TRY(const Node args, parse_json(spec.args, kMemberLimits));
  TRY(const Node meta, parse_json(spec.meta.empty() ? "{}" : spec.meta, kMemberLimits));
  const Filler filler(args, meta);
  texts.name = filler.fill(spec.name);
  for (std::string& label : texts.labels) label = filler.fill(label);
  return texts;
}

}  // namespace

std::string IndexedText::at(std::int64_t index) const {
  if (pieces_.empty()) return {};
  std::string text = pieces_.front();
  for (std::size_t i = 1; i < pieces_.size(); ++i) text += std::to_string(index) + pieces_[i];
  return text;
}

Result<JobTemplate> JobTemplate::compile(const JobSpec& spec) {
  TRY_VOID(check_plain(spec));
  TRY_VOID(check_time(spec));
  TRY_VOID(check(spec.extra));
  TRY_VOID(check_count(spec));
  TRY_VOID(check_size(spec));
  TRY_VOID(check_members(spec));
  TRY(Shown texts, shown(spec));

  const auto indexed = [&](std::string text) {
    return spec.count ? IndexedText(split_at_index(text)) : IndexedText(std::move(text));
  };
  JobTemplate job;
  job.count_ = spec.count.value_or(1);
  job.name_ = indexed(std::move(texts.name));
  for (std::string& label : texts.labels) job.labels_.push_back(indexed(std::move(label)));
  job.args_ = spec.count ? IndexedText(split_values(spec.args)) : IndexedText(spec.args);

  TRY_VOID(check_nul("name", job.name(0)));  // may come from an argument
  TRY_VOID(job.check_labels(0));
  if (job.count_ > 1) TRY_VOID(job.check_labels(job.count_ - 1));  // the longest
  return job;
}

Status JobTemplate::check_labels(std::int64_t index) const {
  auto texts = labels(index);
  for (const std::string& label : texts) {
    TRY_VOID(check_nul("labels", label));
    if (label.empty()) return wrong("labels", "must not be empty");
    if (characters(label) > kMaxLabelBytes) return wrong("labels", "longer than 45 characters");
    if (label.find('\x1f') != std::string::npos) return wrong("labels", "holds U+001F");
  }
  std::sort(texts.begin(), texts.end());
  if (std::adjacent_find(texts.begin(), texts.end()) != texts.end()) {
    return wrong("labels", "must be distinct");
  }
  return {};
}

std::string JobTemplate::name(std::int64_t index) const {
  return std::string(shortened(name_.at(index), kMaxNameBytes));
}

std::vector<std::string> JobTemplate::labels(std::int64_t index) const {
  std::vector<std::string> texts;
  texts.reserve(labels_.size());
  for (const IndexedText& label : labels_) texts.push_back(label.at(index));
  return texts;
}

}  // namespace jobmill::jobs
