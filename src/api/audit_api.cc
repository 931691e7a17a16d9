// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <memory>

#include <fmt/format.h>

#include "api/access_api.h"
#include "api/audit.h"
#include "api/csv.h"
#include "api/problem.h"
#include "api/query_reader.h"
#include "base/duration.h"
#include "base/json_writer.h"

// The audit log, by page or as a file.
namespace jobmill::api {
namespace {

using access::AuditEntry;
using access::AuditQuery;

constexpr std::size_t kExportPage = 1000;

void write_entry(JsonWriter& json, const AuditEntry& entry) {
  json.object()
      .member("id", std::to_string(entry.id))
      .member("at", format_instant(entry.at))
      .member("user", entry.user)
      .member("address", entry.address)
      .member("action", entry.action)
      .member("target", entry.target);
  if (!entry.before.empty()) json.raw_member("before", entry.before);
  if (!entry.after.empty()) json.raw_member("after", entry.after);
  json.member("status", entry.status).end();
}

std::string jsonl_of(const AuditEntry& entry) {
  JsonWriter json;
  write_entry(json, entry);
  return std::move(json).text() + "\n";
}

std::string csv_of(const AuditEntry& entry) {
  return csv_line({std::to_string(entry.id), format_instant(entry.at), entry.user, entry.address,
                   entry.action, entry.target, entry.before, entry.after,
                   std::to_string(entry.status)});
}

std::string page_json(const std::vector<AuditEntry>& entries, std::size_t limit) {
  JsonWriter json;
  json.object().key("items").array();
  for (const AuditEntry& entry : entries) write_entry(json, entry);
  json.end();
  if (entries.size() == limit) json.member("next", std::to_string(entries.back().id));
  return std::move(json.end()).text();
}

struct Form {
  std::string_view name;
  std::string_view type;
  std::string (*line)(const AuditEntry& entry);
  std::string head;
};

const Form* form_of(std::string_view name) {
  static const std::array forms{Form{"csv", "text/csv; charset=utf-8", csv_of,
                                     csv_line({"id", "at", "user", "address", "action", "target",
                                               "before", "after", "status"})},
                                Form{"jsonl", "application/jsonl", jsonl_of, ""}};
  for (const Form& form : forms)
    if (form.name == name) return &form;
  return nullptr;
}

// One export on its way: the next page is read when the client has taken the one before.
class AuditExport : public std::enable_shared_from_this<AuditExport> {
 public:
  AuditExport(ApiContext& context, const Form& form, AuditQuery query)
      : context_(context), form_(form), query_(std::move(query)) {
    query_.limit = kExportPage;
  }

  // On the pool, as all that reads.
  void start(const http::Responder& responder) {
    const auto first = page();
    if (!first) return responder.send(to_response(first.error()));
    http::Response head;
    head.headers.set("Content-Type", std::string(form_.type));
    head.headers.set("Content-Disposition",
                     fmt::format("attachment; filename=\"audit.{}\"", form_.name));
    head.headers.set("Cache-Control", "no-store");
    body_ = responder.stream(std::move(head));
    if (body_ == nullptr) return responder.send(no_stream());
    write(form_.head + *first);
  }

 private:
  static http::Response no_stream() {
    return to_response(fail(Code::Unsupported, "this client takes no answer of unknown length"));
  }

  Result<std::string> page() {
    TRY(const auto entries, context_.audit->read(query_));
    std::string text;
    for (const AuditEntry& entry : entries) text += form_.line(entry);
    ended_ = entries.size() < kExportPage;
    if (!entries.empty()) query_.before_id = entries.back().id;
    return text;
  }

  void write(std::string text) {
    if (ended_) {
      body_->write(std::move(text));
      return body_->end();
    }
    body_->write(std::move(text), [self = shared_from_this()](bool alive) {
      if (alive) self->context_.pool.post([self] { self->go_on(); });
    });
  }

  void go_on() {
    if (auto next = page()) return write(*std::move(next));
    body_.reset();  // breaks off: the client sees that the end is missing
  }

  ApiContext& context_;
  const Form& form_;
  AuditQuery query_;
  bool ended_ = false;
  std::shared_ptr<http::Body> body_;
};

void get_audit(ApiContext& context, Call call) {
  if (context.audit == nullptr)
    return call.responder.send(to_response(fail(Code::NotFound, "this server has no audit log")));
  AuditQuery query;
  std::string format;
  QueryReader in(call.request);
  in.text("user", query.user);
  in.text("action", query.action);
  in.text("target", query.target);
  in.instant("from", query.from);
  in.instant("to", query.to);
  in.integer("after", query.before_id, 1);  // the cursor: older ones come after newer ones
  in.integer("limit", query.limit, 1, 1000);
  in.text("format", format);
  const Form* form = form_of(format);
  if (!format.empty() && form == nullptr) in.wrong("format", "expected csv or jsonl");
  if (auto problem = in.close()) return call.responder.send(to_response(*problem));

  if (form != nullptr) {
    const auto file = std::make_shared<AuditExport>(context, *form, std::move(query));
    return context.pool.post([file, responder = call.responder] { file->start(responder); });
  }
  answer(context, call.responder, [&context, query] {
    const auto entries = context.audit->read(query);
    if (!entries) return to_response(entries.error());
    return json_response(200, page_json(*entries, query.limit));
  });
}

constexpr std::array kRoutes{Route{"GET", "/api/audit", Scope::Read, get_audit}};

}  // namespace

std::span<const Route> audit_routes() { return kRoutes; }

}  // namespace jobmill::api
