// SPDX-License-Identifier: Apache-2.0
#include "http/guard.h"

#include <doctest/doctest.h>

using namespace jobmill;
using namespace jobmill::http;

namespace {

struct Sent {
  const char* host;
  const char* origin = "";
  const char* site = "";
};

bool passes(const Sent& sent, const GuardRules& rules) {
  CAPTURE(sent.host);
  CAPTURE(sent.origin);
  CAPTURE(sent.site);
  Request request;
  if (*sent.host) request.headers.add("Host", sent.host);
  if (*sent.origin) request.headers.add("Origin", sent.origin);
  if (*sent.site) request.headers.add("Sec-Fetch-Site", sent.site);
  const Status status = check_origin(request, rules);
  if (!status) CHECK(status.error().code == Code::PermissionDenied);
  return bool(status);
}

const GuardRules kLoopback{.loopback = true, .hosts = {"jobs.example", "web.default"}};

}  // namespace

TEST_CASE("guard: programs and our own pages pass") {
  for (const Sent sent : {
           Sent{"127.0.0.1:8000"},
           Sent{"localhost:8000"},
           Sent{"[::1]:8000"},
           Sent{"LOCALHOST"},
           Sent{"app.localhost:8000"},
           Sent{""},  // HTTP/1.0, or a call without a socket
           Sent{"jobs.example"},
           Sent{"Web.Default:8080"},
           Sent{"127.0.0.1:8000", "http://127.0.0.1:8000", "same-origin"},
           Sent{"localhost:8000", "", "none"},  // typed into the address line
           Sent{"jobs.example", "https://jobs.example"},
       }) {
    CHECK(passes(sent, kLoopback));
  }
}

TEST_CASE("guard: pages of others do not") {
  for (const Sent sent : {
           Sent{"127.0.0.1:8000", "https://evil.example"},
           Sent{"127.0.0.1:8000", "null"},
           Sent{"127.0.0.1:8000", "http://127.0.0.1:3000"},  // another program's page
           Sent{"127.0.0.1:8000", "http://localhost:8000"},
           Sent{"127.0.0.1:8000", "127.0.0.1:8000"},
           Sent{"", "https://evil.example"},
           Sent{"127.0.0.1:8000", "", "cross-site"},
           Sent{"127.0.0.1:8000", "http://127.0.0.1:8000", "cross-site"},
       }) {
    CHECK_FALSE(passes(sent, kLoopback));
    CHECK_FALSE(passes(sent, {.loopback = false}));
  }
}

TEST_CASE("guard: on loopback a name that is not ours is a rebound one") {
  for (const Sent sent :
       {Sent{"evil.example:8000"}, Sent{"evil.example:8000", "http://evil.example:8000"},
        Sent{"10.0.0.1"}, Sent{"127.0.0.1.evil.example"}, Sent{"[::2]:80"}, Sent{"["},
        Sent{":8000"}, Sent{"web"}}) {
    CHECK_FALSE(passes(sent, kLoopback));
    if (sent.host[0] != ':') CHECK(passes(sent, {.loopback = false}));
  }
}

TEST_CASE("guard: a person may follow a link of another site to a page, and nothing else") {
  Request link;
  for (const auto& [name, value] :
       {std::pair("Host", "127.0.0.1:8000"), std::pair("Sec-Fetch-Site", "cross-site"),
        std::pair("Sec-Fetch-Mode", "navigate"), std::pair("Sec-Fetch-Dest", "document")})
    link.headers.add(name, value);
  GuardRules pages = kLoopback;
  pages.links = true;
  CHECK(check_origin(link, pages));
  CHECK_FALSE(check_origin(link, kLoopback));  // not where changes are made

  Request frame = link;
  frame.headers.set("Sec-Fetch-Dest", "iframe");
  CHECK_FALSE(check_origin(frame, pages));
  Request script = link;
  script.headers.set("Sec-Fetch-Mode", "no-cors");
  CHECK_FALSE(check_origin(script, pages));
  Request rebound = link;
  rebound.headers.set("Host", "evil.example");
  CHECK_FALSE(check_origin(rebound, pages));
}
