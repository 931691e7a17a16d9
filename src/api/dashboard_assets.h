// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/dashboard_files.h"
#include "http/message.h"

namespace jobmill::api {

// What one request's page is told besides its path.
struct DashboardVisit {
  std::string csrf{};  // of the session; none without one
};

// The dashboard as a browser sees it: files that never change, and one page, which shows whatever
// its path says. Three words in web/index.html are filled in, so that no script has to ask before
// it can begin: __THEME__ (nothing flashes), __CSRF__ (the token against forged requests) and
// __BASE__ (what all paths begin with).
//
// Immutable; safe from any thread.
class DashboardAssets {
 public:
  // `context_path` is "" or "/mill": what all paths begin with, as the browser sees them.
  explicit DashboardAssets(std::string context_path = {},
                           std::string_view pack = embedded_dashboard());

  bool built() const { return page_ != nullptr; }

  // A file of the dashboard for /dashboard/<path>; none if there is no such file and the path is
  // one that the page shows. What is missing below assets/ is answered with 404.
  std::optional<http::Response> file(const http::Request& request) const;

  http::Response page(const http::Request& request, const DashboardVisit& visit) const;

  // What a browser that shows everything downloads.
  std::size_t compressed_bytes() const;

 private:
  const DashboardFile* find(std::string_view path) const;

  const std::string context_path_;
  const std::vector<DashboardFile> files_;
  const DashboardFile* page_;  // index.html
};

// Nothing but our own files: no inline script or style, no frame, no other host.
void set_security_headers(http::Response& response, bool tls);

// The value of a cookie; none if the request has no such cookie.
std::optional<std::string_view> cookie(const http::Request& request, std::string_view name);

http::Response redirect(std::string location);  // 302

}  // namespace jobmill::api
