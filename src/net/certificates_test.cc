// SPDX-License-Identifier: Apache-2.0
#include "net/certificates.h"

#include <doctest/doctest.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include "temporary_folder.h"

using namespace jobmill;
using namespace jobmill::net;
using jobmill::testing::TemporaryFolder;

namespace {

constexpr std::chrono::days kDay{1};

struct FreeX509 {
  void operator()(X509* thing) const { X509_free(thing); }
};
using Certificate = std::unique_ptr<X509, FreeX509>;

std::string read(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

Certificate certificate(const std::string& path) {
  const std::string text = read(path);
  BIO* memory = BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
  Certificate made(PEM_read_bio_X509(memory, nullptr, nullptr, nullptr));
  BIO_free(memory);
  REQUIRE(made);
  return made;
}

// As a strict client does: the chain, its extensions, its times, the purpose and the name.
std::string verify(const DevelopmentCertificates& made, const std::string& authorities,
                   const std::string& name, TimePoint now) {
  const Certificate server = certificate(made.server.certificate);
  X509_STORE* store = X509_STORE_new();
  REQUIRE(X509_STORE_load_file(store, authorities.c_str()) == 1);
  X509_STORE_CTX* context = X509_STORE_CTX_new();
  X509_STORE_CTX_init(context, store, server.get(), nullptr);
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
  X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
  X509_VERIFY_PARAM_set_time(
      param, std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
  if (X509_VERIFY_PARAM_set1_ip_asc(param, name.c_str()) != 1)
    X509_VERIFY_PARAM_set1_host(param, name.c_str(), name.size());
  const bool good = X509_verify_cert(context) == 1;
  const std::string why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context));
  X509_STORE_CTX_free(context);
  X509_STORE_free(store);
  return good ? "ok" : why;
}

DevelopmentCertificates ensure(const std::string& folder, const std::vector<std::string>& names,
                               TimePoint now) {
  auto made = ensure_development_certificates(folder, names, now);
  REQUIRE(made);
  return *made;
}

}  // namespace

TEST_CASE("certificates: the server proves each of its names to whom the authority convinces") {
  const TemporaryFolder folder;
  const TimePoint now = ManualClock().now();
  const auto made = ensure(folder.path() + "/tls",
                           {"sb.servicebus.windows.net", "*.example.test", "10.1.2.3"}, now);
  CHECK(made.issued);
  std::array<char, 256> host{};
  REQUIRE(gethostname(host.data(), host.size() - 1) == 0);
  for (const std::string& name :
       {std::string("localhost"), std::string("127.0.0.1"), std::string("::1"),
        std::string(host.data()), std::string("sb.servicebus.windows.net"),
        std::string("queue.example.test"), std::string("10.1.2.3")}) {
    CAPTURE(name);
    CHECK(verify(made, made.authority, name, now) == "ok");
    CHECK(verify(made, made.bundle, name, now) == "ok");
  }
  CHECK(verify(made, made.authority, "other.servicebus.windows.net", now) == "hostname mismatch");
  CHECK(verify(made, made.authority, "10.1.2.4", now) == "IP address mismatch");
  CHECK(verify(made, made.authority, "localhost", now + 826 * kDay) == "certificate has expired");
}

TEST_CASE("certificates: only the owner may read the keys") {
  const TemporaryFolder folder;
  const auto made = ensure(folder.path(), {}, ManualClock().now());
  for (const std::string& key : {made.server.key, folder.path() + "/ca.key"}) {
    struct stat info {};
    REQUIRE(stat(key.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
  }
}

TEST_CASE("certificates: nothing is made again while it serves") {
  const TemporaryFolder folder;
  const TimePoint now = ManualClock().now();
  const auto first = ensure(folder.path(), {"a.test", "b.test"}, now);
  const std::string server = read(first.server.certificate);
  const std::string bundle = read(first.bundle);
  const auto second = ensure(folder.path(), {"b.test"}, now + 700 * kDay);
  CHECK_FALSE(second.issued);
  CHECK(read(second.server.certificate) == server);
  CHECK(read(second.bundle) == bundle);
}

TEST_CASE(
    "certificates: a new name and a near end issue the server's again, by the same authority") {
  const TemporaryFolder folder;
  const TimePoint now = ManualClock().now();
  const auto first = ensure(folder.path(), {"a.test"}, now);
  const std::string authority = read(first.authority);
  const std::string key = read(first.server.key);

  const auto named = ensure(folder.path(), {"a.test", "b.test"}, now);
  CHECK(named.issued);
  CHECK(verify(named, named.authority, "b.test", now) == "ok");

  const TimePoint later = now + 800 * kDay;
  const auto renewed = ensure(folder.path(), {"a.test", "b.test"}, later);
  CHECK(renewed.issued);
  CHECK(verify(renewed, renewed.authority, "a.test", later + 800 * kDay) == "ok");
  CHECK(read(renewed.authority) == authority);
  CHECK(read(renewed.server.key) == key);
}

TEST_CASE("certificates: an authority near its end is renewed with its key") {
  const TemporaryFolder folder;
  const TimePoint now = ManualClock().now();
  const auto first = ensure(folder.path(), {}, now);
  const std::string key = read(folder.path() + "/ca.key");
  const TimePoint later = now + 3630 * kDay;
  const auto renewed = ensure(folder.path(), {}, later);
  CHECK(read(folder.path() + "/ca.key") == key);
  CHECK(verify(renewed, renewed.authority, "localhost", later + 100 * kDay) == "ok");
}

TEST_CASE("certificates: what a crash left half done is completed") {
  const TemporaryFolder folder;
  const TimePoint now = ManualClock().now();
  const auto first = ensure(folder.path(), {}, now);
  for (const std::string& file :
       {first.server.certificate, first.server.key, first.bundle, first.authority}) {
    CAPTURE(file);
    std::filesystem::remove(file);
    std::ofstream(file + ".new") << "half";
    const auto again = ensure(folder.path(), {}, now);
    CHECK(verify(again, again.authority, "localhost", now) == "ok");
    CHECK(verify(again, again.bundle, "localhost", now) == "ok");
    CHECK_FALSE(std::filesystem::exists(file + ".new"));
  }
}

TEST_CASE("certificates: an authority that clients may know is never replaced by another") {
  const TemporaryFolder folder;
  const TimePoint now = ManualClock().now();
  const auto made = ensure(folder.path(), {}, now);
  const std::string authority = read(made.authority);
  const std::string key = folder.path() + "/ca.key";
  SUBCASE("its key is gone") { std::filesystem::remove(key); }
  SUBCASE("its key is damaged") { std::ofstream(key) << "no key"; }
  SUBCASE("its key is another one") {
    std::filesystem::copy_file(made.server.key, key,
                               std::filesystem::copy_options::overwrite_existing);
  }
  const auto refused = ensure_development_certificates(folder.path(), {}, now);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::Conflict);
  CHECK(refused.error().message.find(folder.path()) != std::string::npos);
  CHECK(read(made.authority) == authority);
}

TEST_CASE("certificates: what is no name is refused by name") {
  const TemporaryFolder folder;
  for (const char* name : {"", "a b", "a..b", ".a", "a,DNS:evil.test", "*", "a\n"}) {
    CAPTURE(name);
    const auto refused =
        ensure_development_certificates(folder.path(), {name}, ManualClock().now());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::InvalidArgument);
    CHECK(refused.error().message.find(name) != std::string::npos);
  }
}
