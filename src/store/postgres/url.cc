// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/url.h"

#include <libpq-fe.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace jobmill::postgres {
namespace {

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
struct FreeMemory {
  void operator()(char* text) const { PQfreemem(text); }
};
using Parsed = std::unique_ptr<PQconninfoOption, FreeOptions>;

// libpq's reasons repeat parts of the URL, which may be parts of its password. This one does not.
constexpr std::string_view kHarmlessReason = "invalid URI query parameter";

Fault not_a_url(std::string_view reason) {
  std::string text = "the PostgreSQL URL cannot be read";
  if (reason.starts_with(kHarmlessReason)) {
    text += " (" + std::string(reason.substr(0, reason.find('\n'))) + ')';
  }
  text += "; write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with %XX for special characters";
  return fail(Code::InvalidArgument, std::move(text));
}

std::string milliseconds(Duration time) {
  return std::to_string(std::chrono::ceil<std::chrono::milliseconds>(time).count());
}

std::string seconds(Duration time) {
  return std::to_string(std::chrono::ceil<std::chrono::seconds>(time).count());
}

// Our statements are short and prepared: compiling them or planning them anew for each value would
// cost more than it can save. They find rows by keys; the server cannot know how few a claim takes,
// and would read all jobs that there are to join them by a hash. Nor can it know that a table which
// it has just vacuumed, and found empty, is about to hold a million rows: no scan of it would do.
std::string session_options(const ConnectOptions& options) {
  const std::string plans =
      options.plan_for_values ? "force_custom_plan"
                              : "force_generic_plan -c enable_hashjoin=off -c enable_mergejoin=off"
                                " -c enable_seqscan=off";
  return "-c jit=off -c plan_cache_mode=" + plans +
         " -c TimeZone=UTC -c statement_timeout=" + milliseconds(options.statement_timeout) +
         " -c idle_in_transaction_session_timeout=" +
         milliseconds(options.idle_in_transaction_timeout) +
         (options.rows_in_order ? " -c enable_bitmapscan=off" : "");
}

void set(std::vector<Setting>& settings, std::string_view keyword, std::string value) {
  const auto it = std::ranges::find(settings, keyword, &Setting::keyword);
  if (it != settings.end()) {
    it->value = Secret(std::move(value));
  } else {
    settings.push_back({std::string(keyword), Secret(std::move(value))});
  }
}

}  // namespace

bool Url::is_postgres(std::string_view text) {
  return text.starts_with("postgres://") || text.starts_with("postgresql://");
}

Result<Url> Url::parse(std::string_view text) {
  if (!is_postgres(text)) return not_a_url({});
  char* error = nullptr;
  const Parsed parsed(PQconninfoParse(std::string(text).c_str(), &error));
  const std::unique_ptr<char, FreeMemory> reason(error);
  if (!parsed) return not_a_url(reason ? std::string_view(reason.get()) : std::string_view());
  Url url;
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    url.own_.push_back({option->keyword, Secret(option->val)});
  }
  return url;
}

std::string Url::value_of(std::string_view keyword) const {
  const auto it = std::ranges::find(own_, keyword, &Setting::keyword);
  return it == own_.end() ? std::string() : it->value.reveal();
}

std::string Url::text() const {
  std::string shown = "postgres://";
  if (const std::string name = user(); !name.empty()) shown += name + '@';
  shown += host();
  if (const std::string port = value_of("port"); !port.empty()) shown += ':' + port;
  return shown + '/' + database();
}

std::vector<Setting> Url::settings(const ConnectOptions& options) const {
  std::vector<Setting> all;
  set(all, "application_name", options.application_name);
  set(all, "connect_timeout", seconds(options.connect_timeout));
  set(all, "keepalives_idle", "30");
  set(all, "keepalives_interval", "10");
  set(all, "keepalives_count", "3");
  set(all, "tcp_user_timeout", milliseconds(options.answer_timeout));
  // Of several hosts the one that takes writes; a single one is asked after it is connected.
  if (host().find(',') != std::string::npos) set(all, "target_session_attrs", "read-write");
  for (const Setting& setting : own_) set(all, setting.keyword, setting.value.reveal());
  set(all, "client_encoding", "UTF8");
  // The server takes the last of two equal ones: the user's.
  set(all, "options", session_options(options) + ' ' + value_of("options"));
  return all;
}

}  // namespace jobmill::postgres
