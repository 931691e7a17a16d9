// SPDX-License-Identifier: Apache-2.0
#include "net/certificates.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/free.h"
#include "base/random.h"

namespace fs = std::filesystem;

namespace jobmill::net {
namespace {

constexpr auto kAuthorityLife = std::chrono::days(3650);
constexpr auto kServerLife = std::chrono::days(825);  // the most that Apple's clients accept
constexpr auto kNearEnd = std::chrono::days(30);
constexpr auto kClockSkew = std::chrono::hours(1);  // a client's clock may be behind ours
constexpr std::array kSystemBundles{
    "/etc/ssl/certs/ca-certificates.crt",  // Debian, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",    // Fedora
};

using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Memory = std::unique_ptr<BIO, Free<BIO_free_all>>;
using Extension = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;

// --- files ---------------------------------------------------------------------------------

Fault system_fault(const fs::path& path) {
  return fail(Code::Internal, path.string() + ": " + std::generic_category().message(errno));
}

std::optional<std::string> read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

Status write_new(const fs::path& path, std::string_view text, mode_t mode) {
  ::unlink(path.c_str());  // of a process that died here
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return system_fault(path);
  Status done;
  while (done && !text.empty()) {
    const ssize_t size = ::write(fd, text.data(), text.size());
    if (size < 0) done = system_fault(path);
    if (size > 0) text.remove_prefix(static_cast<std::size_t>(size));
  }
  if (done && ::fsync(fd) != 0) done = system_fault(path);
  ::close(fd);
  return done;
}

// Whole or not at all, also after a crash.
Status write_file(const fs::path& path, std::string_view text, mode_t mode) {
  const fs::path aside = path.string() + ".new";
  TRY_VOID(write_new(aside, text, mode));
  if (::rename(aside.c_str(), path.c_str()) != 0) return system_fault(path);
  return {};
}

// --- PEM -----------------------------------------------------------------------------------

Fault openssl_fault(std::string_view what) {
  ERR_clear_error();
  return fail(Code::Internal, fmt::format("certificates: {} failed", what));
}

int no_password(char*, int, int, void*) { return -1; }

Memory memory_of(std::string_view text) {
  return Memory(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string text_of(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return {data, static_cast<std::size_t>(size)};
}

// Null when there is no such file or none that can be read as one.
Key read_key(const fs::path& path) {
  const auto text = read_file(path);
  if (!text) return nullptr;
  Key key(PEM_read_bio_PrivateKey(memory_of(*text).get(), nullptr, no_password, nullptr));
  ERR_clear_error();
  return key;
}

Certificate read_certificate(const fs::path& path) {
  const auto text = read_file(path);
  if (!text) return nullptr;
  Certificate certificate(PEM_read_bio_X509(memory_of(*text).get(), nullptr, no_password, nullptr));
  ERR_clear_error();
  return certificate;
}

Status write_key(const fs::path& path, EVP_PKEY* key) {
  const Memory memory(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PrivateKey(memory.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return openssl_fault("writing a key");
  return write_file(path, text_of(memory.get()), 0600);
}

Status write_certificate(const fs::path& path, X509* certificate) {
  const Memory memory(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(memory.get(), certificate) != 1)
    return openssl_fault("writing a certificate");
  return write_file(path, text_of(memory.get()), 0644);
}

Result<Key> make_key(const fs::path& path) {
  Key key(EVP_EC_gen("P-256"));
  if (!key) return openssl_fault("making a key");
  TRY_VOID(write_key(path, key.get()));
  return key;
}

// --- names ---------------------------------------------------------------------------------

bool is_address(const std::string& name) {
  ASN1_OCTET_STRING* const address = a2i_IPADDRESS(name.c_str());
  ASN1_OCTET_STRING_free(address);
  ERR_clear_error();
  return address != nullptr;
}

// Letters, digits, hyphens; underscores too, which people do use.
bool is_dns_name(std::string_view name) {
  if (name.starts_with("*.")) name.remove_prefix(2);
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !name.empty() && name.size() <= 253 && name.front() != '.' && name.back() != '.' &&
         name.find("..") == std::string_view::npos &&
         std::all_of(name.begin(), name.end(), allowed);
}

Result<std::vector<std::string>> all_names(const std::vector<std::string>& wanted) {
  std::vector<std::string> names{"localhost", "127.0.0.1", "::1"};
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) == 0 && is_dns_name(host.data()))
    names.emplace_back(host.data());
  for (const std::string& name : wanted) {
    if (!is_address(name) && !is_dns_name(name))
      return fail(Code::InvalidArgument, "a certificate cannot name " + name);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

bool covers(X509* certificate, const std::string& name) {
  if (is_address(name)) return X509_check_ip_asc(certificate, name.c_str(), 0) == 1;
  return X509_check_host(certificate, name.c_str(), name.size(), 0, nullptr) == 1;
}

Names to_general_names(const std::vector<std::string>& names) {
  Names all(sk_GENERAL_NAME_new_null());
  for (const std::string& text : names) {
    GENERAL_NAME* const name = GENERAL_NAME_new();
    if (ASN1_OCTET_STRING* const address = a2i_IPADDRESS(text.c_str())) {
      GENERAL_NAME_set0_value(name, GEN_IPADD, address);
    } else {
      ASN1_IA5STRING* const dns = ASN1_IA5STRING_new();
      ASN1_STRING_set(dns, text.data(), static_cast<int>(text.size()));
      GENERAL_NAME_set0_value(name, GEN_DNS, dns);
    }
    sk_GENERAL_NAME_push(all.get(), name);
  }
  ERR_clear_error();
  return all;
}

// --- certificates --------------------------------------------------------------------------

struct Authority {
  Key key;
  Certificate certificate;
};

struct ExtensionText {
  int id;
  const char* value;
};

// RFC 5280, 4.2.1: strict clients (Python's from 3.13) insist on all of these, and on which of them
// are critical.
constexpr std::array kAuthorityExtensions{
    ExtensionText{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
    ExtensionText{NID_key_usage, "critical,keyCertSign,cRLSign"},
    ExtensionText{NID_subject_key_identifier, "hash"},
};
constexpr std::array kServerExtensions{
    ExtensionText{NID_basic_constraints, "critical,CA:FALSE"},
    ExtensionText{NID_key_usage, "critical,digitalSignature"},
    ExtensionText{NID_ext_key_usage, "serverAuth"},
    ExtensionText{NID_subject_key_identifier, "hash"},
    ExtensionText{NID_authority_key_identifier, "keyid:always"},
};

bool extend(X509* certificate, X509* issuer, std::span<const ExtensionText> extensions) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  for (const auto& [id, value] : extensions) {
    const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, id, value));
    if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) return false;
  }
  return true;
}

// 128 random bits and positive, so that no two are ever the same (RFC 5280, 4.1.2.2).
bool set_serial(X509* certificate) {
  std::array<unsigned char, 16> bytes{};
  fill_random(std::as_writable_bytes(std::span(bytes)));
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);
  BIGNUM* const number = BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr);
  const bool set =
      number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  return set;
}

std::time_t seconds_of(TimePoint at) {
  return std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count();
}

Certificate make_certificate(EVP_PKEY* key, const char* subject, TimePoint now, Duration life) {
  Certificate made(X509_new());
  X509_NAME* const name = made ? X509_get_subject_name(made.get()) : nullptr;
  const bool done =
      name && X509_set_version(made.get(), X509_VERSION_3) == 1 && set_serial(made.get()) &&
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(subject), -1, -1, 0) == 1 &&
      ASN1_TIME_set(X509_getm_notBefore(made.get()), seconds_of(now - kClockSkew)) &&
      ASN1_TIME_set(X509_getm_notAfter(made.get()), seconds_of(now + life)) &&
      X509_set_pubkey(made.get(), key) == 1;
  return done ? std::move(made) : nullptr;
}

bool ends_after(X509* certificate, TimePoint at) {
  std::time_t seconds = seconds_of(at);
  return X509_cmp_time(X509_get0_notAfter(certificate), &seconds) > 0;
}

Result<Certificate> issue_authority(EVP_PKEY* key, TimePoint now) {
  Certificate made = make_certificate(key, "jobmill development CA", now, kAuthorityLife);
  if (!made || X509_set_issuer_name(made.get(), X509_get_subject_name(made.get())) != 1 ||
      !extend(made.get(), made.get(), kAuthorityExtensions) ||
      X509_sign(made.get(), key, EVP_sha256()) == 0)
    return openssl_fault("making the authority");
  return made;
}

Result<Certificate> issue_server(const Authority& authority, EVP_PKEY* key,
                                 const std::vector<std::string>& names, TimePoint now) {
  X509* const issuer = authority.certificate.get();
  Certificate made = make_certificate(key, "jobmill", now, kServerLife);
  const Names general = to_general_names(names);
  if (!made || X509_set_issuer_name(made.get(), X509_get_subject_name(issuer)) != 1 ||
      !extend(made.get(), issuer, kServerExtensions) ||
      X509_add1_ext_i2d(made.get(), NID_subject_alt_name, general.get(), 0, X509V3_ADD_DEFAULT) !=
          1 ||
      X509_sign(made.get(), authority.key.get(), EVP_sha256()) == 0)
    return openssl_fault("making the server certificate");
  return made;
}

// --- the folder ----------------------------------------------------------------------------

// The key is written first. A key alone is given its certificate again, which old copies of that
// certificate still agree with; a certificate alone can sign nothing, and a new authority would be
// one that no client knows.
Result<Authority> ensure_authority(const fs::path& folder, TimePoint now) {
  const fs::path key_file = folder / "ca.key";
  const fs::path file = folder / "ca.pem";
  std::error_code ignored;  // what cannot be looked at cannot be read either
  const bool known = fs::exists(file, ignored);
  Authority authority{.key = read_key(key_file), .certificate = read_certificate(file)};

  if (!authority.key) {
    if (known || fs::exists(key_file, ignored))
      return fail(Code::Conflict, key_file.string() +
                                      ": the authority's key is missing or damaged; restore it, or "
                                      "delete " +
                                      folder.string() + " for a new authority");
    TRY(authority.key, make_key(key_file));
  }
  if (known && !(authority.certificate &&
                 X509_check_private_key(authority.certificate.get(), authority.key.get()) == 1))
    return fail(Code::Conflict, file.string() + ": does not fit " + key_file.string() +
                                    "; restore it, or delete " + folder.string() +
                                    " for a new authority");
  // Its end cannot be moved without a new certificate; the key stays, and so do its children.
  if (!authority.certificate || !ends_after(authority.certificate.get(), now + kNearEnd)) {
    TRY(authority.certificate, issue_authority(authority.key.get(), now));
    TRY_VOID(write_certificate(file, authority.certificate.get()));
  }
  return authority;
}

bool serves(X509* certificate, EVP_PKEY* key, const Authority& authority,
            const std::vector<std::string>& names, TimePoint now) {
  return certificate && X509_check_private_key(certificate, key) == 1 &&
         X509_verify(certificate, authority.key.get()) == 1 &&
         ends_after(certificate, now + kNearEnd) &&
         std::all_of(names.begin(), names.end(),
                     [certificate](const std::string& name) { return covers(certificate, name); });
}

// True: issued.
Result<bool> ensure_server(const Authority& authority, const TlsFiles& files,
                           const std::vector<std::string>& names, TimePoint now) {
  Key key = read_key(files.key);
  if (!key) {
    TRY(key, make_key(files.key));
  }
  const Certificate present = read_certificate(files.certificate);
  const bool enough = serves(present.get(), key.get(), authority, names, now);
  ERR_clear_error();
  if (enough) return false;
  TRY(const Certificate made, issue_server(authority, key.get(), names, now));
  TRY_VOID(write_certificate(files.certificate, made.get()));
  return true;
}

// Written when the system's authorities have changed, not at every start.
Status ensure_bundle(const fs::path& bundle, const fs::path& authority) {
  std::string text;
  for (const char* system : kSystemBundles) {
    if (auto found = read_file(system)) {
      text = *std::move(found) + '\n';
      break;
    }
  }
  text += read_file(authority).value_or("");
  if (read_file(bundle) == text) return {};
  return write_file(bundle, text, 0644);
}

}  // namespace

Result<DevelopmentCertificates> ensure_development_certificates(
    const std::string& folder, const std::vector<std::string>& names, TimePoint now) {
  TRY(const auto covered, all_names(names));
  const fs::path place(folder);
  std::error_code error;
  fs::create_directories(place, error);
  if (error) return fail(Code::Internal, folder + ": " + error.message());

  DevelopmentCertificates made{
      .authority = (place / "ca.pem").string(),
      .bundle = (place / "bundle.pem").string(),
      .server = {.certificate = (place / "server.pem").string(),
                 .key = (place / "server.key").string()},
  };
  TRY(const Authority authority, ensure_authority(place, now));
  TRY(made.issued, ensure_server(authority, made.server, covered, now));
  TRY_VOID(ensure_bundle(made.bundle, made.authority));
  return made;
}

}  // namespace jobmill::net
