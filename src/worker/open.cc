// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <string>

#include "store/postgres/lazy_job_store.h"
#include "wire/codec.h"
#include "wire/remote_job_store.h"
#include "worker/store.h"

namespace jobmill {
namespace {

constexpr std::string_view kDefaultUrl = "http://127.0.0.1:8000";

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::string url_of_environment() {
  for (const char* name : {"JOBMILL_URL", "DATABASE_URL"})
    if (std::string url = environment(name); !url.empty()) return url;
  return std::string(kDefaultUrl);
}

// Without its password, which may stand between scheme and host.
std::string shown(const std::string& url) {
  const auto scheme = url.find("://");
  const auto at = url.rfind('@');
  if (scheme == std::string::npos || at == std::string::npos || at < scheme) return url;
  return url.substr(0, scheme + 3) + "…" + url.substr(at);
}

Error cannot_connect(const std::string& url) {
  Error error("cannot keep jobs in " + shown(url) +
              ": expected the http:// or https:// address of a control server, or postgres://");
  error.code = "configuration";
  return error;
}

const Clock& system_clock_of_process() {
  static const SystemClock clock;
  return clock;
}

// Jobs in a database that control servers look after: this process does no chores.
std::shared_ptr<jobs::JobStore> in_postgres(const std::string& address) {
  const auto url = postgres::Url::parse(address);
  if (!url) {
    Error error(url.error().message);
    error.code = "configuration";
    throw error;
  }
  postgres::JobStoreOptions options;
  options.leads = false;
  return postgres::lazy_job_store(*url, std::move(options));
}

}  // namespace

std::shared_ptr<Store> connect(std::string_view url) {
  const std::string address = url.empty() ? url_of_environment() : std::string(url);
  if (postgres::Url::is_postgres(address))
    return worker::make_store(in_postgres(address), system_clock_of_process());
  if (!address.starts_with("http://") && !address.starts_with("https://"))
    throw cannot_connect(address);
  wire::RemoteOptions options;
  options.url = address;
  options.token = Secret(environment("JOBMILL_TOKEN"));
  options.user = environment("JOBMILL_USER");
  options.password = Secret(environment("JOBMILL_PASSWORD"));
  const Clock& clock = system_clock_of_process();
  return worker::make_store(std::make_shared<wire::RemoteJobStore>(options, clock), clock);
}

namespace worker {

std::shared_ptr<Store> make_store(std::shared_ptr<jobs::JobStore> jobs, const Clock& clock) {
  return std::make_shared<Store>(std::move(jobs), clock);
}

Error to_error(const Fault& fault) {
  Error error(fault.message);
  error.code = wire::problem_name(fault.code);
  return error;
}

}  // namespace worker
}  // namespace jobmill
