// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <array>
#include <memory>
#include <utility>

#include "api/csv.h"
#include "api/job_filter.h"
#include "api/job_json.h"
#include "api/job_page.h"
#include "api/problem.h"
#include "api/query_reader.h"
#include "api/route.h"
#include "base/duration.h"
#include "base/json_writer.h"

// Jobs as a file: all that match, page by page.
namespace jobmill::api {
namespace {

constexpr std::int64_t kMostRows = 1'000'000;
constexpr int kPage = 1000;

using Line = std::string (*)(const jobs::Job& job, const std::optional<JobError>& error);

std::string text_of(const std::optional<TimePoint>& at) { return at ? format_instant(*at) : ""; }

std::string csv_of(const jobs::Job& job, const std::optional<JobError>& error) {
  return csv_line({job.id, job.name, job.kind, job.queue, to_string(job.state),
                   std::to_string(job.priority), std::to_string(job.attempt),
                   std::to_string(job.crashes), fmt::format("{}", fmt::join(job.labels, " ")),
                   job.recurring_id, format_instant(job.created_at), format_instant(job.updated_at),
                   text_of(job.run_at), error ? error->type : "", error ? error->message : "",
                   job.args});
}

std::string csv_head() {
  return csv_line({"id", "name", "kind", "queue", "state", "priority", "attempt", "crashes",
                   "labels", "recurring_id", "created_at", "updated_at", "run_at", "error_type",
                   "error_message", "args"});
}

std::string json_of(const jobs::Job& job, const std::optional<JobError>& error) {
  JsonWriter json;
  write_found_job(json, job, error);
  return std::move(json).text() + "\n";
}

struct Form {
  std::string_view name;
  std::string_view type;
  Line line;
  std::string (*head)();
};
constexpr std::array kForms{
    Form{"csv", "text/csv; charset=utf-8", csv_of, csv_head},
    Form{"jsonl", "application/jsonl", json_of, [] { return std::string(); }},
};

http::Response head_of(const Form& form) {
  http::Response head;
  head.headers.set("Content-Type", std::string(form.type));
  head.headers.set("Content-Disposition",
                   fmt::format("attachment; filename=\"jobs.{}\"", form.name));
  head.headers.set("Cache-Control", "no-store");
  head.headers.set("X-Content-Type-Options", "nosniff");
  return head;
}

// One export on its way. Its pages are read on the pool, the next one when the client has taken the
// one before, so that a slow client holds a page and no thread.
class Export : public std::enable_shared_from_this<Export> {
 public:
  Export(ApiContext& context, const Form& form, jobs::JobSliceRequest request, std::int64_t rows)
      : context_(context), form_(form), request_(std::move(request)), left_(rows) {}

  void start(const http::Responder& responder) {
    auto first = page();
    if (!first) return responder.send(to_response(first.error()));
    body_ = responder.stream(head_of(form_));
    if (body_ != nullptr) return write(form_.head() + *first);
    responder.send(whole(*std::move(first)));
  }

 private:
  // For who can take no body in parts.
  http::Response whole(std::string text) {
    while (left_ > 0) {
      auto next = page();
      if (!next) return to_response(next.error());
      text += *next;
    }
    http::Response response = head_of(form_);
    response.body = form_.head() + text;
    return response;
  }

  Result<std::string> page() {
    request_.limit = static_cast<int>(std::min<std::int64_t>(kPage, left_));
    TRY(auto* explorer, explorer_of(context_));
    TRY(const auto slice, explorer->slice(request_));
    TRY(const auto errors, errors_of(*explorer, slice.items));
    std::string text;
    for (std::size_t i = 0; i < slice.items.size(); ++i)
      text += form_.line(slice.items[i], errors[i]);
    left_ -= std::ssize(slice.items);
    request_.after = slice.last;
    if (!slice.has_after) left_ = 0;
    return text;
  }

  // A page that cannot be read ends the connection without the end of the body, so that nobody
  // takes a part for the whole.
  void go_on() {
    if (auto next = page()) return write(*std::move(next));
    body_.reset();
  }

  void write(std::string text) {
    if (left_ == 0) {
      body_->write(std::move(text));
      return body_->end();
    }
    body_->write(std::move(text), [self = shared_from_this()](bool alive) {
      if (alive) self->context_.pool.post([self] { self->go_on(); });
    });
  }

  ApiContext& context_;
  const Form& form_;
  jobs::JobSliceRequest request_;
  std::int64_t left_;
  std::shared_ptr<http::Body> body_;
};

void export_jobs(ApiContext& context, Call call) {
  std::string format = "csv";
  std::int64_t rows = kMostRows;
  jobs::JobSliceRequest request;
  QueryReader in(call.request);
  in.text("format", format);
  in.integer("limit", rows, 1, kMostRows);
  read_filter(in, request.filter);
  const auto form = std::ranges::find(kForms, format, &Form::name);
  if (form == kForms.end()) in.wrong("format", "expected csv or jsonl");
  if (auto problem = in.close()) return call.responder.send(to_response(*problem));
  auto work = std::make_shared<Export>(context, *form, std::move(request), rows);
  context.pool.post([work, responder = call.responder] { work->start(responder); });
}

constexpr std::array kRoutes{Route{"GET", "/api/export/jobs", Scope::Read, export_jobs}};

}  // namespace

std::span<const Route> export_routes() { return kRoutes; }

}  // namespace jobmill::api
