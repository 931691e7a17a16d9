// SPDX-License-Identifier: Apache-2.0
#include "api/auth.h"

#include <doctest/doctest.h>

#include <thread>

#include "access_memory.h"
#include "api/route.h"

namespace jobmill::api {
namespace {

using namespace std::chrono_literals;
using Kind = Verdict::Kind;

// bcrypt of "U*U", with the least cost
constexpr char kHash[] = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

struct Rig {
  ManualClock clock;
  net::EventLoop loop;
  ThreadPool pool{2};
  testing::MemoryAccessStore store;
  Sessions sessions{store, clock};
  Authenticator auth{
      {.worker_key = "key", .pool = pool, .loop = loop, .clock = clock, .sessions = &sessions}};

  Rig() {
    auto hash = access::Password::hashed(kHash);
    REQUIRE(hash);
    auth.set_users(
        {{"ann", access::Password::plain("secret"), "admin"}, {"eve", *std::move(hash), "viewer"}});
  }

  Verdict ask(const std::string& authorization, const std::string& cookie = {},
              const std::string& peer = "10.0.0.1:4711") {
    http::Request request{.method = "GET", .peer = peer};
    if (!authorization.empty()) request.headers.add("Authorization", authorization);
    if (!cookie.empty()) request.headers.add("Cookie", cookie);
    std::optional<Verdict> verdict;
    std::stop_source done;
    auth.identify(request, [&](Verdict judged) {
      verdict = std::move(judged);
      done.request_stop();
    });
    if (!verdict) loop.run(done.get_token());  // a password is being hashed
    return *verdict;
  }
  Verdict ask_as(const std::string& user, const std::string& password) {
    return ask(http::basic_authorization(user, password));
  }
};

}  // namespace

TEST_CASE("auth: a user has the scopes of the role, whether the password is hashed or not") {
  Rig rig;
  CHECK(rig.ask_as("ann", "secret").identity.may(Scope::Admin));
  const Verdict eve = rig.ask_as("eve", "U*U");
  CHECK(eve.kind == Kind::Known);
  CHECK(eve.identity.may(Scope::Read));
  CHECK_FALSE(eve.identity.may(Scope::Operate));
  CHECK(rig.ask_as("eve", "U*U").kind == Kind::Known);  // from memory
  CHECK(rig.ask_as("eve", "U*V").kind == Kind::Wrong);
  CHECK(rig.ask_as("nobody", "secret").kind == Kind::Wrong);
  CHECK(rig.ask("Digest x").kind == Kind::Wrong);
  CHECK(rig.ask("").kind == Kind::Nobody);
}

TEST_CASE("auth: five wrong passwords and the address has to wait, with a right one too") {
  Rig rig;
  for (int i = 0; i < 5; ++i) CHECK(rig.ask_as("ann", "guess").kind == Kind::Wrong);
  const Verdict blocked = rig.ask_as("ann", "secret");
  CHECK(blocked.kind == Kind::Blocked);
  CHECK(blocked.wait == 60s);
  CHECK(rig.ask(http::basic_authorization("ann", "secret"), {}, "10.0.0.2:1").kind == Kind::Known);
  CHECK(too_many_failures(blocked.wait).headers.get("Retry-After") == "60");
  rig.clock.advance(60s);
  CHECK(rig.ask_as("ann", "secret").kind == Kind::Known);
}

TEST_CASE("auth: a password that was changed is not remembered, and its logins end") {
  Rig rig;
  CHECK(rig.ask_as("eve", "U*U").kind == Kind::Known);
  const std::string cookie =
      "jobmill-session=" + rig.sessions.begin({.user = "eve", .role = "viewer", .address = "a"});
  CHECK(rig.ask("", cookie).kind == Kind::Known);
  rig.auth.set_users({{"eve", access::Password::plain("new"), "operator"}});
  std::stop_source done;
  rig.loop.post([&] { done.request_stop(); });  // after what set_users posted
  rig.loop.run(done.get_token());
  CHECK(rig.ask_as("eve", "U*U").kind == Kind::Wrong);
  CHECK(rig.ask("", cookie).kind == Kind::Nobody);
}

TEST_CASE("auth: a session has the role that its user has now") {
  Rig rig;
  const std::string cookie =
      "jobmill-session=" + rig.sessions.begin({.user = "ann", .role = "admin", .address = "a"});
  const Verdict known = rig.ask("", cookie);
  CHECK(known.identity.name == "ann");
  CHECK_FALSE(known.identity.session.empty());
  CHECK_FALSE(known.csrf.empty());
  rig.auth.set_users({{"ann", access::Password::plain("secret"), "viewer"}});
  CHECK_FALSE(rig.ask("", cookie).identity.may(Scope::Operate));
}

TEST_CASE("auth: tokens have their scopes and queues, on every path") {
  Rig rig;
  const auto made = rig.sessions.make_token(
      {.name = "ci", .scopes = static_cast<unsigned>(Scope::Produce), .queues = {"mail"}});
  rig.sessions.add(made.token, {});
  const Verdict verdict = rig.ask("Bearer " + made.text);
  CHECK(verdict.identity.name == "token:ci");
  CHECK(verdict.identity.may(Scope::Produce));
  CHECK_FALSE(verdict.identity.may(Scope::Read));
  CHECK(verdict.identity.queues == std::vector<std::string>{"mail"});
  CHECK(rig.ask("Bearer jm_guess").kind == Kind::Wrong);
  CHECK(rig.ask("Bearer " + rig.auth.mint_replica_token("web-1")).identity.may(Scope::Work));
}

TEST_CASE("auth: a program is asked for a password, a page's script is not") {
  http::Request program{.method = "GET"};
  CHECK(unauthenticated(program)
            .headers.get("WWW-Authenticate")
            ->starts_with("Basic realm=\"jobmill\""));
  http::Request script{.method = "GET"};
  script.headers.add("Sec-Fetch-Mode", "cors");
  CHECK_FALSE(unauthenticated(script).headers.get("WWW-Authenticate")->starts_with("Basic"));
}

TEST_CASE("auth: a viewer may do nothing that changes something") {
  const Identity viewer{.scopes = scopes_of_role("viewer")};
  const Identity operator_{.scopes = scopes_of_role("operator")};
  for (const Route& route : all_routes()) {
    CAPTURE(route.method);
    CAPTURE(route.pattern);
    if (route.method == "GET") {
      const bool page = route.pattern.starts_with("/api/") || route.pattern.starts_with("/sse/");
      if (page) CHECK((route.scope == Scope::None || viewer.may(route.scope)));
      continue;
    }
    // Logging in and out is for everybody; these are questions with a body.
    const bool question = route.pattern == "/api/jobs/search" ||
                          route.pattern == "/v1/schedules/preview" ||
                          route.pattern.ends_with("/deadletter/preview");
    const bool login = route.pattern == "/api/login" || route.pattern == "/api/logout";
    CHECK((question || login || !viewer.may(route.scope)));
    CHECK((!login) == (route.scope != Scope::None));
    if (route.pattern.starts_with("/api/tokens") || route.pattern.starts_with("/api/sessions"))
      CHECK_FALSE(operator_.may(route.scope));
  }
}

}  // namespace jobmill::api
