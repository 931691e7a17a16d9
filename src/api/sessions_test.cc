// SPDX-License-Identifier: Apache-2.0
#include "api/sessions.h"

#include <doctest/doctest.h>

#include "access_memory.h"

namespace jobmill::api {
namespace {

using namespace std::chrono_literals;

struct Rig {
  ManualClock clock;
  testing::MemoryAccessStore store;
  Sessions sessions{store, clock};
  std::vector<std::string> ended;

  Rig() {
    sessions.on_end([this](const std::string& id) { ended.push_back(id); });
  }
  std::string login(const std::string& user = "ann") {
    return sessions.begin({.user = user, .role = "viewer", .address = "10.0.0.1"});
  }
};

http::Request asked_at(const std::string& host, const std::string& cookies = {}, bool tls = false) {
  http::Request request{.method = "GET"};
  request.headers.add("Host", host);
  if (!cookies.empty()) request.headers.add("Cookie", cookies);
  request.tls = tls;
  return request;
}

}  // namespace

TEST_CASE("session: it ends after two hours without a request") {
  Rig rig;
  const std::string cookie = rig.login();
  rig.clock.advance(2h - 1s);
  CHECK(rig.sessions.find(cookie) != nullptr);  // and begins to count anew
  rig.clock.advance(2h - 1s);
  CHECK(rig.sessions.find(cookie) != nullptr);
  rig.clock.advance(2h);
  CHECK(rig.sessions.find(cookie) == nullptr);
  CHECK(rig.ended.size() == 1);
  CHECK(rig.store.sessions()->empty());
}

TEST_CASE("session: it ends after twelve hours, whatever is done with it") {
  Rig rig;
  const std::string cookie = rig.login();
  for (int hour = 1; hour < 12; ++hour) {
    rig.clock.advance(1h);
    CHECK(rig.sessions.find(cookie) != nullptr);
  }
  rig.clock.advance(1h);
  rig.sessions.expire();
  CHECK(rig.ended.size() == 1);
  CHECK(rig.sessions.find(cookie) == nullptr);
}

TEST_CASE("session: it outlives a restart, and its cookie is not written down") {
  Rig rig;
  const std::string cookie = rig.login();
  CHECK(rig.store.sessions()->front().key.find(cookie) == std::string::npos);
  Sessions again(rig.store, rig.clock);
  REQUIRE(again.load());
  REQUIRE(again.find(cookie) != nullptr);
  CHECK(again.find(cookie)->user == "ann");
  CHECK(again.find(cookie + "x") == nullptr);
  CHECK(again.find("") == nullptr);
}

TEST_CASE("session: logins of one user end together, and are not too many") {
  Rig rig;
  const std::string first = rig.login("ann");
  const std::string other = rig.login("bob");
  for (std::size_t i = 0; i < Sessions::kMostPerUser; ++i) rig.login("ann");
  CHECK(rig.sessions.find(first) == nullptr);
  CHECK(rig.sessions.list().size() == Sessions::kMostPerUser + 1);
  rig.sessions.end_of_user("ann");
  CHECK(rig.sessions.list().size() == 1);
  CHECK(rig.sessions.find(other) != nullptr);
}

TEST_CASE("session: the token against forged requests is of one session") {
  Rig rig;
  const std::string one = rig.login();
  const std::string two = rig.login();
  CHECK(Sessions::csrf_of(one) == Sessions::csrf_of(one));
  CHECK(Sessions::csrf_of(one) != Sessions::csrf_of(two));
  CHECK(Sessions::csrf_of(one).find(one) == std::string::npos);
}

TEST_CASE("session: its cookie is for this server's pages only") {
  const std::string plain = set_session_cookie(asked_at("127.0.0.1:8000"), "v");
  CHECK(plain == "jobmill-session-8000=v; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict");
  const std::string tls = set_session_cookie(asked_at("jobs.example", "", true), "v");
  CHECK(tls.starts_with("__Host-jobmill-session=v; Path=/;"));
  CHECK(tls.ends_with("; Secure"));
  CHECK(session_cookie(
            asked_at("127.0.0.1:8000", "jobmill-session-9000=a; jobmill-session-8000=b")) == "b");
  CHECK_FALSE(session_cookie(asked_at("127.0.0.1:8000", "jobmill-session=a")));
}

TEST_CASE("token: it is shown once, and works until it expires or is revoked") {
  Rig rig;
  const auto made = rig.sessions.make_token(
      {.name = "ci", .scopes = 3, .queues = {"mail"}, .creator = "ann", .lifetime = 24h});
  rig.sessions.add(made.token, {});
  CHECK(made.text.starts_with("jm_"));
  CHECK(rig.store.tokens()->front().key.find(made.text) == std::string::npos);

  const access::AccessToken* found = rig.sessions.find_token(made.text);
  REQUIRE(found != nullptr);
  CHECK(found->queues == std::vector<std::string>{"mail"});
  CHECK(found->used == rig.clock.now());
  CHECK(rig.sessions.find_token("jm_other") == nullptr);
  CHECK(rig.sessions.find_token(made.token.key) == nullptr);

  rig.clock.advance(24h);
  CHECK(rig.sessions.find_token(made.text) == nullptr);
  const auto other = rig.sessions.make_token({.name = "x", .scopes = 1});
  rig.sessions.add(other.token, {});
  CHECK(rig.sessions.revoke(other.token.id, {}));
  CHECK(rig.sessions.find_token(other.text) == nullptr);
  CHECK_FALSE(rig.sessions.revoke(other.token.id, {}));
}

}  // namespace jobmill::api
