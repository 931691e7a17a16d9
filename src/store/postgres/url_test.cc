// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/url.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace jobmill::postgres {
namespace {

Url parsed(std::string_view text) {
  auto url = Url::parse(text);
  REQUIRE_MESSAGE(url, (url ? "" : url.error().message));
  return *std::move(url);
}

std::string setting(const Url& url, std::string_view keyword, const ConnectOptions& options = {}) {
  const auto all = url.settings(options);
  const auto it = std::ranges::find(all, keyword, &Setting::keyword);
  return it == all.end() ? "(none)" : it->value.reveal();
}

}  // namespace

TEST_CASE("postgres url: its parts are read, and shown without the password") {
  const Url url = parsed("postgresql://bob:s%40cret@db.example:6543/jobs?sslmode=require");
  CHECK(url.user() == "bob");
  CHECK(url.host() == "db.example");
  CHECK(url.database() == "jobs");
  CHECK(url.text() == "postgres://bob@db.example:6543/jobs");
  CHECK(setting(url, "password") == "s@cret");
  CHECK(setting(url, "sslmode") == "require");
  CHECK(parsed("postgres://db/jobs?password=s3cret").text() == "postgres://db/jobs");
}

TEST_CASE("postgres url: connections have our settings unless the URL has its own") {
  const ConnectOptions options{.application_name = "jobmill worker",
                               .connect_timeout = std::chrono::milliseconds(2500),
                               .statement_timeout = std::chrono::seconds(7),
                               .idle_in_transaction_timeout = std::chrono::seconds(9)};
  const Url plain = parsed("postgres://db/jobs");
  CHECK(setting(plain, "application_name", options) == "jobmill worker");
  CHECK(setting(plain, "connect_timeout", options) == "3");  // whole seconds, rounded up
  CHECK(setting(plain, "client_encoding", options) == "UTF8");
  CHECK(setting(plain, "target_session_attrs", options) == "(none)");
  CHECK(setting(plain, "options", options).find("statement_timeout=7000") != std::string::npos);

  const Url own = parsed(
      "postgres://a,b/jobs?connect_timeout=4&client_encoding=LATIN1&options=-cwork_mem%3D1MB");
  CHECK(setting(own, "connect_timeout", options) == "4");
  CHECK(setting(own, "client_encoding", options) == "UTF8");  // this one is ours
  CHECK(setting(own, "options", options).ends_with(" -cwork_mem=1MB"));
  CHECK(setting(own, "target_session_attrs", options) == "read-write");  // of several hosts
}

TEST_CASE("postgres url: what is none is refused without repeating it") {
  for (const char* text : {"", "sqlite:jobs.db", "postgres:/x", "postgres://u:p%zzsecret@h/d",
                           "postgres://u:secret@[::1/d", "postgres://u:secret@h/d?nonsense=1"}) {
    CAPTURE(text);
    const auto url = Url::parse(text);
    REQUIRE_FALSE(url);
    CHECK(url.error().code == Code::InvalidArgument);
    CHECK(url.error().message.find("secret") == std::string::npos);
  }
  CHECK(Url::parse("postgres://h/d?nonsense=1").error().message.find("\"nonsense\"") !=
        std::string::npos);
}

}  // namespace jobmill::postgres
