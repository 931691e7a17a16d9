// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "access/access_store.h"
#include "api/route.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/server.h"

namespace jobmill::api {

// Who changed what: one entry for every request that changes something, whether it was carried out
// or refused. The route makes it, so no handler can forget it; a handler may say more with
// record(). An answer waits until its entry is durable, so nothing is confirmed that the log does
// not know. What workers report of their jobs is no change of anybody's.
//
// Safe from any thread.
class AuditLog {
 public:
  static constexpr Duration kKept = std::chrono::hours(24) * 400;

  AuditLog(access::AccessStore& store, const Clock& clock, Log& log)
      : store_(store), clock_(clock), log_(log) {}

  // `done` is called, on any thread, when the entry is durable; also when it cannot be written,
  // which the server's own log says.
  void append(access::AuditEntry entry, std::function<void()> done = {});
  Result<std::vector<access::AuditEntry>> read(const access::AuditQuery& query) const;  // blocks
  void forget_old();                                                                    // blocks

  TimePoint now() const { return clock_.now(); }

 private:
  access::AccessStore& store_;
  const Clock& clock_;
  Log& log_;
};

// The entry of a request that is not answered yet.
struct AuditDraft {
  std::mutex mutex;  // guards the rest
  access::AuditEntry entry;
  bool written = false;
};

// Whether requests of this route are entered.
bool is_audited(const Route& route, const Identity& identity);

// What is known of a request before its handler.
std::shared_ptr<AuditDraft> draft_of(const Route& route, const http::Request& request,
                                     const Identity& identity);

// Answers like `inner`, once the entry with the answer's status is written.
http::Responder audited(AuditLog& log, std::shared_ptr<AuditDraft> draft, http::Responder inner);

}  // namespace jobmill::api
