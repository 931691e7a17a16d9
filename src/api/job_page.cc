// SPDX-License-Identifier: Apache-2.0
#include "api/job_page.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>

#include "api/job_filter.h"
#include "api/job_json.h"
#include "base/base64.h"
#include "base/document.h"

namespace jobmill::api {
namespace {

using jobs::JobOrder;

struct OrderName {
  std::string_view name;
  JobOrder order;
};
constexpr std::array kOrders{OrderName{"updatedAt", JobOrder::UpdatedAt},
                             OrderName{"createdAt", JobOrder::CreatedAt},
                             OrderName{"scheduledAt", JobOrder::ScheduledAt}};

Fault wrong(std::string_view parameter, std::string_view reason) {
  return fail(Code::InvalidArgument, fmt::format("{}: {}", parameter, reason));
}

struct Order {
  JobOrder by = JobOrder::UpdatedAt;
  bool descending = false;
};

std::optional<Order> order_of(std::string_view text) {
  const auto colon = text.find(':');
  const auto by = std::ranges::find(kOrders, text.substr(0, colon), &OrderName::name);
  if (by == kOrders.end()) return std::nullopt;
  const std::string_view direction =
      colon == std::string_view::npos ? "ASC" : text.substr(colon + 1);
  if (direction != "ASC" && direction != "DESC") return std::nullopt;
  return Order{by->order, direction == "DESC"};
}

// Jobs of the same instant are told apart by their ids, so that one order is enough.
Result<Order> first_order(std::string_view text) {
  const auto order = order_of(text.substr(0, text.find(',')));
  if (order) return *order;
  return wrong("order", "expected updatedAt, createdAt or scheduledAt with :ASC or :DESC");
}

Result<std::string> place_in(std::string_view parameter, const std::string& cursor,
                             const std::string& about) {
  if (cursor.empty()) return std::string();
  auto place = place_of(cursor, about);
  if (!place) return wrong(parameter, "is no cursor of a list with this filter and order");
  return *std::move(place);
}

Status check(const JobPageRequest& request) {
  const bool cursor = !request.after.empty() || !request.before.empty() || request.last;
  if (!request.after.empty() && !request.before.empty()) return wrong("before", "excludes after");
  if (!cursor && request.offset > kFarthestOffset)
    return wrong("offset", fmt::format("is at most {}; go on with after=, the cursor of the page "
                                       "before, or narrow the filter by time",
                                       kFarthestOffset));
  return {};
}

// Clients that count as well as they follow cursors send both: the cursor says where to go on.
std::int64_t offset_of(const JobPageRequest& request) {
  const bool cursor = !request.after.empty() || !request.before.empty() || request.last;
  return cursor ? 0 : request.offset;
}

std::string text_in(const Node& node, std::string_view name) {
  const Node* member = node.find(name);
  return member != nullptr && member->is_string() ? member->text : std::string();
}

std::string hash_of(std::string_view about) {
  return fmt::format("{:016x}", std::hash<std::string_view>{}(about));
}

}  // namespace

Result<jobs::JobExplorer*> explorer_of(const ApiContext& context) {
  if (context.explorer == nullptr) return fail(Code::Unavailable, "jobs cannot be searched here");
  return context.explorer;
}

std::string make_cursor(std::string_view about, std::string_view place) {
  return base64url_encode(hash_of(about) + std::string(place));
}

std::optional<std::string> place_of(std::string_view cursor, std::string_view about) {
  auto text = base64url_decode(cursor);
  const std::string hash = hash_of(about);
  if (!text || !text->starts_with(hash) || text->size() == hash.size()) return std::nullopt;
  return text->substr(hash.size());
}

Result<JobsFound> find_jobs(jobs::JobExplorer& explorer, const JobPageRequest& request) {
  TRY_VOID(check(request));
  TRY(const Order order, first_order(request.order));
  const std::string about =
      fmt::format("{}{} {}", static_cast<int>(order.by), order.descending, to_json(request.filter));
  jobs::JobSliceRequest wanted{.filter = request.filter,
                               .order = order.by,
                               .descending = order.descending,
                               .limit = request.limit,
                               .last = request.last,
                               .offset = offset_of(request)};
  TRY(wanted.after, place_in("after", request.after, about));
  TRY(wanted.before, place_in("before", request.before, about));
  TRY(auto slice, explorer.slice(wanted));
  jobs::JobCount total;
  if (request.counted) {
    TRY(total, explorer.count(request.filter, kCountedExactly));
  }
  return JobsFound{.items = std::move(slice.items),
                   .next = slice.has_after ? make_cursor(about, slice.last) : "",
                   .previous = slice.has_before ? make_cursor(about, slice.first) : "",
                   .total = total};
}

std::optional<JobError> error_of(const std::vector<jobs::JobEvent>& history) {
  if (history.empty() || history.back().state != jobs::JobState::Failed) return std::nullopt;
  const auto data = parse_json(history.back().data);
  if (!data) return std::nullopt;
  JobError error{.type = text_in(*data, "exceptionType"),
                 .message = text_in(*data, "exceptionMessage"),
                 .fingerprint = {}};
  error.fingerprint = jobs::fingerprint_of(error.type, text_in(*data, "stackTrace"), error.message);
  return error;
}

Result<std::vector<std::optional<JobError>>> errors_of(jobs::JobExplorer& explorer,
                                                       const std::vector<jobs::Job>& items) {
  std::vector<std::optional<JobError>> errors(items.size());
  std::vector<std::string> failed;
  for (const jobs::Job& job : items)
    if (job.state == jobs::JobState::Failed) failed.push_back(job.id);
  if (failed.empty()) return errors;
  TRY(const auto histories, explorer.histories(failed));
  auto history = histories.begin();
  for (std::size_t i = 0; i < items.size() && history != histories.end(); ++i)
    if (items[i].state == jobs::JobState::Failed) errors[i] = error_of(*history++);
  return errors;
}

void write_found_job(JsonWriter& json, const jobs::Job& job, const std::optional<JobError>& error) {
  json.object();
  write_job_members(json, job);
  if (error)
    json.key("error")
        .object()
        .member("type", error->type)
        .member("message", error->message)
        .member("fingerprint", error->fingerprint)
        .end();
  json.end();
}

}  // namespace jobmill::api
