// SPDX-License-Identifier: Apache-2.0
//
// What an application may write, in one program. tests/public/compile.sh compiles it.
#include "jobmill/jobs.h"
#include "jobmill/postgres.h"
#include "jobmill/server.h"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace app {

enum class Color { Red, Green };
struct Line {
  std::string text;
  std::optional<Color> color;
};
struct Opaque {};

int send_mail(jobmill::Context& context, std::string to, int copies) {
  for (int i = 0; i < copies && !context.cancelled(); ++i) {
    if (context.last_attempt()) throw jobmill::fatal("cannot reach " + to);
    context.log("to " + to);
    context.progress(i, copies);
  }
  if (context.traceparent.empty()) context.log(jobmill::Severity::warn, "nobody traces this");
  return copies;
}
void report(jobmill::Context&, int) { throw jobmill::snooze{30s}; }
Opaque look(jobmill::Context&) { return {}; }  // without a codec it is no result
void print(jobmill::Context&, const std::vector<Line>&, const std::map<std::string, double>&,
           std::chrono::seconds, std::chrono::system_clock::time_point, bool) noexcept {}

}  // namespace app

template <>
struct jobmill::EnumNames<app::Color> {
  static constexpr jobmill::EnumName<app::Color> table[] = {{app::Color::Red, "red"},
                                                            {app::Color::Green, "green"}};
};
template <>
struct jobmill::Fields<app::Line> {
  static constexpr auto list = std::tuple(jobmill::field("text", &app::Line::text),
                                          jobmill::field("color", &app::Line::color));
};

inline constexpr jobmill::Job<"mail.send", app::send_mail> SendMail{{.queue = "mail",
                                                                     .priority = 3,
                                                                     .retries = 5,
                                                                     .timeout = 5min,
                                                                     .labels = "tenant:{0}",
                                                                     .name = "to {0}"}};
inline constexpr jobmill::Job<"mail.report", app::report> Report{};
inline constexpr jobmill::Job<"print", app::print, 2> Print{};
inline constexpr jobmill::Job<"look", app::look> Look{};
#ifdef NOT_CODABLE
void opaque(jobmill::Context&, app::Opaque) {}
inline constexpr jobmill::Job<"opaque", opaque> Wrong{};
#endif
#ifdef UNKNOWN_OPTION
inline constexpr jobmill::Job<"mail.again", app::report> Again{{.colour = 3}};
#endif

void order(jobmill::Client& client, pg_conn* connection) {
  client.in(connection).enqueue(SendMail, "bob@example.org", 3);
  client.in(jobmill::InSchema{connection, "jobs"}).bulk().add(Report, 1).commit();
}

int main() try {
  jobmill::Server server({.data = "/tmp/app", .http = "127.0.0.1:0"});
  jobmill::Client client(server.store());
  jobmill::Worker worker(jobmill::connect("http://127.0.0.1:8000"));
  std::stop_source stop;
  worker.handle(SendMail, Report, Print, Look)
      .concurrency(32)
      .tags({"linux"})
      .queues({"mail", "default"})
      .run(stop.get_token());

  const jobmill::JobId id = client.enqueue(SendMail, "bob@example.org", 3);
  client.enqueue(
      {.id = "mail/bob", .traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
      SendMail, "bob@example.org", 3);
  const jobmill::JobResult sent = client.result(id);
  if (sent.available && jobmill::Codec<int>::get(sent.json) != 3) return 1;
  client.schedule(std::chrono::system_clock::now() + 24h, SendMail, "eve@example.org", 1);
  client.recurring("nightly", "0 2 * * *", "Europe/Brussels", jobmill::Missed::run_once, SendMail,
                   "ops@example.org", 2);
  client.recurring({.id = "hourly", .schedule = "PT1H", .max_concurrent = 1}, Report, 1);
  const std::vector<jobmill::JobId> ids =
      client.bulk()
          .add(Report, 1)
          .add({.at = std::chrono::system_clock::now() + 2min, .count = 40}, SendMail,
               "all@example.org", 1)
          .commit();
  client.enqueue(Print, std::vector<app::Line>{{"x", app::Color::Red}},
                 std::map<std::string, double>{}, 5min, std::chrono::system_clock::now(), true);
#ifdef WRONG_ORDER
  client.enqueue(SendMail, 3, "bob");
#endif
#ifdef WRONG_COUNT
  client.enqueue(SendMail, "bob");
#endif
  return client.cancel(id) && client.requeue(ids.front()) ? 0 : 1;
} catch (const jobmill::Error& error) {
  return error.code == "storage_unavailable" ? 75 : 1;
}
