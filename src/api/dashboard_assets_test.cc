// SPDX-License-Identifier: Apache-2.0
#include "api/dashboard_assets.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

namespace jobmill::api {
namespace {

// A pack of one page, one script with three variants, and an icon.
std::string pack() {
  const std::string page =
      "<html data-theme=\"__THEME__\"><head><meta name=\"csrf\" content=\"__CSRF__\">"
      "<script type=\"module\" src=\"__BASE__/dashboard/assets/a-1.js\"></script></head></html>";
  const std::string script = "console.log(1)";
  std::string bytes = page + script + "GZIPPED" + "BROTLI" + "<svg/>";
  const auto at = page.size();
  return fmt::format(R"([{{"path":"assets/a-1.js","type":"text/javascript","hash":"h1",)"
                     R"("plain":[{},14],"gzip":[{},7],"br":[{},6]}},)"
                     R"({{"path":"icon.svg","type":"image/svg+xml","hash":"h2","plain":[{},6],)"
                     R"("gzip":[0,9],"br":[0,9]}},)"
                     R"({{"path":"index.html","type":"text/html","hash":"h3","plain":[0,{}],)"
                     R"("gzip":[0,9],"br":[0,9]}}])",
                     at, at + 14, at + 21, at + 27, page.size()) +
         "\n" + bytes;
}

http::Request get(const std::string& path,
                  std::vector<std::pair<std::string, std::string>> headers = {}) {
  http::Request request{.method = "GET", .target = path, .path = path};
  for (auto& [name, value] : headers) request.headers.add(name, value);
  return request;
}

std::string header(const http::Response& response, std::string_view name) {
  return std::string(response.headers.get(name).value_or("none"));
}

}  // namespace

TEST_CASE("dashboard: an asset goes out as small as the browser takes it, and for ever") {
  const std::string bytes = pack();
  const DashboardAssets assets("", bytes);
  const auto coding = [&](const std::string& accepted) {
    const auto answer =
        assets.file(get("/dashboard/assets/a-1.js", {{"Accept-Encoding", accepted}}));
    return header(*answer, "Content-Encoding") + " " + answer->body;
  };
  CHECK(coding("gzip, deflate, br") == "br BROTLI");
  CHECK(coding("gzip;q=0.5") == "gzip GZIPPED");
  CHECK(coding("br;q=0, GZIP") == "gzip GZIPPED");
  CHECK(coding("identity") == "none console.log(1)");

  const auto answer = assets.file(get("/dashboard/assets/a-1.js"));
  CHECK(header(*answer, "Cache-Control").find("immutable") != std::string::npos);
  CHECK(header(*answer, "Vary") == "Accept-Encoding");
  const auto again = assets.file(
      get("/dashboard/assets/a-1.js", {{"If-None-Match", "\"x\", " + header(*answer, "ETag")}}));
  CHECK(again->status == 304);
  CHECK(again->body.empty());
}

TEST_CASE("dashboard: what is no file is a page, but below assets/ it is missing") {
  const std::string bytes = pack();
  const DashboardAssets assets("", bytes);
  CHECK_FALSE(assets.file(get("/dashboard/jobs/assets/a-1.js")));
  CHECK_FALSE(assets.file(get("/dashboard/index.html")));
  CHECK(assets.file(get("/dashboard/assets/a-2.js"))->status == 404);
  CHECK(header(*assets.file(get("/dashboard/icon.svg")), "Cache-Control") == "no-cache");
}

TEST_CASE("dashboard: the page knows its theme, its token and its path before any script runs") {
  const std::string bytes = pack();
  const DashboardAssets assets("/mill", bytes);
  const auto page = assets.page(get("/dashboard/jobs", {{"Cookie", "a=b; jobmill-theme=dark"}}),
                                {.csrf = "t\"<"});
  CHECK(page.body.find("<html data-theme=\"dark\"") != std::string::npos);
  CHECK(page.body.find("name=\"csrf\" content=\"t&quot;&lt;\"") != std::string::npos);
  CHECK(page.body.find("src=\"/mill/dashboard/assets/a-1.js\"") != std::string::npos);
  CHECK(header(page, "Cache-Control") == "no-store");

  const auto forged = assets.page(get("/dashboard/jobs", {{"Cookie", "jobmill-theme=\"><b>"}}), {});
  CHECK(forged.body.find("data-theme=\"system\"") != std::string::npos);
}

TEST_CASE("dashboard: every answer forbids what is not ours") {
  const std::string bytes = pack();
  const DashboardAssets assets("", bytes);
  for (const auto& answer :
       {assets.page(get("/dashboard/jobs"), {}), *assets.file(get("/dashboard/assets/a-1.js"))}) {
    CHECK(header(answer, "Content-Security-Policy") ==
          "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
          "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
          "frame-ancestors 'none'");
    CHECK(header(answer, "X-Content-Type-Options") == "nosniff");
    CHECK(header(answer, "Referrer-Policy") == "no-referrer");
    CHECK(header(answer, "Cross-Origin-Opener-Policy") == "same-origin");
    CHECK(header(answer, "Permissions-Policy").find("camera=()") != std::string::npos);
    CHECK(header(answer, "Strict-Transport-Security") == "none");
  }
  http::Request secure = get("/dashboard/jobs");
  secure.tls = true;
  CHECK(header(assets.page(secure, {}), "Strict-Transport-Security") != "none");
}

TEST_CASE("dashboard: a program without it says so") {
  const DashboardAssets assets("", "[]\n");
  CHECK_FALSE(assets.built());
  CHECK(assets.page(get("/dashboard/overview"), {}).body.find("was not built") !=
        std::string::npos);
}

// A build without node has none, and passes.
TEST_CASE("dashboard: what a browser downloads is small, and has nothing inline") {
  const DashboardAssets assets;
  CHECK(assets.compressed_bytes() <= 150u << 10);
  if (!assets.built()) return;
  const std::string page = assets.page(get("/dashboard/overview"), {}).body;
  CHECK(page.find("<style") == std::string::npos);
  CHECK(page.find(" style=") == std::string::npos);
  CHECK(page.find("<script>") == std::string::npos);
  CHECK(page.find("\"/dashboard/assets/") != std::string::npos);
}

}  // namespace jobmill::api
