// SPDX-License-Identifier: Apache-2.0
#include "api/audit.h"

#include <utility>

#include <fmt/format.h>

#include "access/login_guard.h"
#include "api/audit_record.h"

namespace jobmill::api {
namespace {

class AuditedSink final : public http::Responder::Sink {
 public:
  AuditedSink(AuditLog& log, std::shared_ptr<AuditDraft> draft, http::Responder inner)
      : log_(log), draft_(std::move(draft)), inner_(std::move(inner)) {}
  ~AuditedSink() override {
    if (auto entry = take(500)) log_.append(*std::move(entry));  // dropped without an answer
  }

  void send(http::Response response) override {
    auto entry = take(response.status);
    if (!entry) return;
    log_.append(*std::move(entry), [inner = inner_, response = std::move(response)]() mutable {
      inner.send(std::move(response));
    });
  }

  std::shared_ptr<http::Body> stream(http::Response head) override {
    if (auto entry = take(head.status)) log_.append(*std::move(entry));
    return inner_.stream(std::move(head));
  }

  void on_gone(std::function<void()> fn) override { inner_.on_gone(std::move(fn)); }

 private:
  // The entry, for the first answer.
  std::optional<access::AuditEntry> take(int status) {
    const std::lock_guard lock(draft_->mutex);
    if (std::exchange(draft_->written, true)) return std::nullopt;
    draft_->entry.at = log_.now();
    draft_->entry.status = status;
    return draft_->entry;
  }

  AuditLog& log_;
  const std::shared_ptr<AuditDraft> draft_;
  const http::Responder inner_;
};

}  // namespace

void AuditLog::append(access::AuditEntry entry, std::function<void()> done) {
  store_.append(entry, [this, done = std::move(done)](const Status& status) {
    if (!status) log_.error("the audit log is incomplete", {{"error", status.error().message}});
    if (done) done();
  });
}

Result<std::vector<access::AuditEntry>> AuditLog::read(const access::AuditQuery& query) const {
  return store_.audit(query);
}

void AuditLog::forget_old() {
  if (const Status status = store_.forget_audit(clock_.now() - kKept); !status)
    log_.error("old entries of the audit log stay", {{"error", status.error().message}});
}

// A producer's jobs are not entered: they say themselves who made them, and may be thousands a
// second. Those that a person makes in the dashboard are.
bool is_audited(const Route& route, const Identity& identity) {
  if (route.method == "GET") return false;
  if (route.scope == Scope::Read || route.scope == Scope::Work) return false;
  return route.pattern != "/v1/jobs" || !identity.session.empty();
}

std::shared_ptr<AuditDraft> draft_of(const Route& route, const http::Request& request,
                                     const Identity& identity) {
  auto draft = std::make_shared<AuditDraft>();
  draft->entry = {.user = identity.name,
                  .address = access::address_of(request.peer),
                  .action = fmt::format("{} {}", route.method, route.pattern),
                  .target = request.path};
  return draft;
}

http::Responder audited(AuditLog& log, std::shared_ptr<AuditDraft> draft, http::Responder inner) {
  return http::Responder(std::make_shared<AuditedSink>(log, std::move(draft), std::move(inner)));
}

void record(ApiContext& context, const Call& call, std::string_view action, std::string_view target,
            std::string_view before, std::string_view after) {
  if (context.audit == nullptr || call.audit == nullptr) return;
  const std::lock_guard lock(call.audit->mutex);
  access::AuditEntry& entry = call.audit->entry;
  entry.action = action;
  entry.target = target;
  entry.before = before;
  entry.after = after;
  if (!call.audit->written) return;
  entry.at = context.audit->now();  // the request was answered before: an entry of its own
  context.audit->append(entry);
}

}  // namespace jobmill::api
