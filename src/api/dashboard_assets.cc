// SPDX-License-Identifier: Apache-2.0
#include "api/dashboard_assets.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "api/html.h"
#include "api/problem.h"
#include "base/text.h"

namespace jobmill::api {
namespace {

constexpr std::string_view kRoot = "/dashboard/";
constexpr std::string_view kAssets = "assets/";
constexpr std::string_view kThemeCookie = "jobmill-theme";

constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'";
constexpr std::string_view kNoFeatures =
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
    "magnetometer=(), microphone=(), midi=(), payment=(), usb=()";

constexpr std::string_view kNotBuilt = R"html(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>jobmill</title></head>
<body><h1>The dashboard was not built</h1>
<p>This program was built without node and npm. Everything else works: the HTTP API and the
command line. To get the dashboard, install node and npm and build again with -DJOBMILL_WEB=ON.</p>
</body></html>
)html";

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// The pieces of "a; b; c".
template <class Each>
void split(std::string_view text, char separator, Each each) {
  while (!text.empty()) {
    const auto end = std::min(text.find(separator), text.size());
    each(trimmed(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// "br;q=0" refuses it (RFC 9110, 12.5.3).
bool is_refused(std::string_view parameters) {
  const auto q = parameters.find("q=");
  if (q == std::string_view::npos) return false;
  const std::string_view weight = trimmed(parameters.substr(q + 2));
  return weight.find_first_not_of("0.") == std::string_view::npos;
}

bool accepts(const http::Request& request, std::string_view coding) {
  bool accepted = false;
  split(request.headers.get("Accept-Encoding").value_or(""), ',', [&](std::string_view item) {
    const auto end = std::min(item.find(';'), item.size());
    if (same_letters(trimmed(item.substr(0, end)), coding))
      accepted = !is_refused(item.substr(end));
  });
  return accepted;
}

// What is sent of a file: the smallest that the browser takes.
struct Variant {
  std::string_view coding;  // "" as it is
  std::string_view bytes;
};

Variant variant_for(const DashboardFile& file, const http::Request& request) {
  Variant best{"", file.plain};
  for (const Variant& other : {Variant{"gzip", file.gzip}, Variant{"br", file.br}})
    if (!other.bytes.empty() && other.bytes.size() < best.bytes.size() &&
        accepts(request, other.coding))
      best = other;
  return best;
}

bool has_tag(const http::Request& request, std::string_view tag) {
  bool found = false;
  split(request.headers.get("If-None-Match").value_or(""), ',', [&](std::string_view item) {
    if (item.starts_with("W/")) item.remove_prefix(2);
    found = found || item == tag;
  });
  return found;
}

http::Response file_response(const DashboardFile& file, const http::Request& request) {
  const Variant variant = variant_for(file, request);
  const std::string tag =
      fmt::format("\"{}{}{}\"", file.hash, variant.coding.empty() ? "" : "-", variant.coding);
  http::Response response;
  // The name of an asset has a hash of its content; other files keep their names.
  response.headers.add("Cache-Control", file.path.starts_with(kAssets)
                                            ? "public, max-age=31536000, immutable"
                                            : "no-cache");
  response.headers.add("ETag", tag);
  response.headers.add("Vary", "Accept-Encoding");
  set_security_headers(response, request.tls);
  if (has_tag(request, tag)) {
    response.status = 304;
    return response;
  }
  response.headers.add("Content-Type", file.type);
  if (!variant.coding.empty())
    response.headers.add("Content-Encoding", std::string(variant.coding));
  response.body = variant.bytes;
  return response;
}

std::string_view theme_of(const http::Request& request) {
  const std::string_view wanted = cookie(request, kThemeCookie).value_or("system");
  for (const std::string_view known : {"light", "dark"})
    if (wanted == known) return known;
  return "system";
}

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

http::Response html(int status, std::string text, bool tls) {
  http::Response response{.status = status, .headers = {}, .body = std::move(text)};
  response.headers.add("Content-Type", "text/html; charset=utf-8");
  response.headers.add("Cache-Control", "no-store");
  set_security_headers(response, tls);
  return response;
}

}  // namespace

DashboardAssets::DashboardAssets(std::string context_path, std::string_view pack)
    : context_path_(std::move(context_path)),
      files_(unpack_dashboard(pack)),
      page_(find("index.html")) {}

const DashboardFile* DashboardAssets::find(std::string_view path) const {
  const auto found = std::ranges::find(files_, path, &DashboardFile::path);
  return found == files_.end() ? nullptr : &*found;
}

std::optional<http::Response> DashboardAssets::file(const http::Request& request) const {
  if (!request.path.starts_with(kRoot)) return std::nullopt;
  const std::string_view path = std::string_view(request.path).substr(kRoot.size());
  const DashboardFile* file = find(path);
  if (file != nullptr && file != page_) return file_response(*file, request);
  if (!path.starts_with(kAssets)) return std::nullopt;
  return to_response(
      Problem{.status = 404, .code = "not_found", .detail = "nothing is at " + request.path});
}

http::Response DashboardAssets::page(const http::Request& request,
                                     const DashboardVisit& visit) const {
  if (!built()) return html(200, std::string(kNotBuilt), request.tls);
  std::string text(page_->plain);
  replace_all(text, "__BASE__", html_escaped(context_path_));
  replace_all(text, "__CSRF__", html_escaped(visit.csrf));
  replace_all(text, "__THEME__", theme_of(request));
  return html(200, std::move(text), request.tls);
}

std::size_t DashboardAssets::compressed_bytes() const {
  std::size_t sum = 0;
  for (const DashboardFile& file : files_)
    sum += std::min({file.plain.size(), file.gzip.size(), file.br.size()});
  return sum;
}

void set_security_headers(http::Response& response, bool tls) {
  response.headers.set("Content-Security-Policy", std::string(kPolicy));
  response.headers.set("X-Content-Type-Options", "nosniff");
  response.headers.set("Referrer-Policy", "no-referrer");
  response.headers.set("Cross-Origin-Opener-Policy", "same-origin");
  response.headers.set("Permissions-Policy", std::string(kNoFeatures));
  if (tls) response.headers.set("Strict-Transport-Security", "max-age=31536000");
}

std::optional<std::string_view> cookie(const http::Request& request, std::string_view name) {
  std::optional<std::string_view> found;
  for (const auto& [field, value] : request.headers.fields()) {
    if (!http::iequals(field, "Cookie")) continue;
    split(value, ';', [&](std::string_view pair) {
      if (!found && pair.starts_with(name) && pair.substr(name.size()).starts_with('='))
        found = pair.substr(name.size() + 1);
    });
  }
  return found;
}

http::Response redirect(std::string location) {
  http::Response response{.status = 302, .headers = {}, .body = {}};
  response.headers.add("Location", std::move(location));
  response.headers.add("Cache-Control", "no-store");
  return response;
}

}  // namespace jobmill::api
