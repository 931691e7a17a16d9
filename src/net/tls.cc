// SPDX-License-Identifier: Apache-2.0
#include "net/tls.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <mutex>
#include <utility>

#include "net/tls_stream.h"

namespace jobmill::net {
namespace {

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using Context = std::unique_ptr<SSL_CTX, FreeContext>;

Fault tls_fault(const std::string& what) {
  return fail(Code::InvalidArgument, what + ": " + take_tls_error());
}

Result<Context> make_context(const SSL_METHOD* method) {
  Context context(SSL_CTX_new(method));
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1)
    return fail(Code::Internal, "TLS: " + take_tls_error());
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);  // idle connections hold none
  // Clients keep their tickets; a cache here would only grow.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  return context;
}

// OpenSSL would ask at the terminal.
int no_password(char*, int, int, void*) { return -1; }

Result<Context> load(const TlsFiles& files) {
  TRY(Context context, make_context(TLS_server_method()));
  SSL_CTX_set_default_passwd_cb(context.get(), no_password);
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1)
    return tls_fault(files.certificate);
  if (SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return tls_fault(files.key);
  return context;
}

// RFC 6066, 3: addresses are not sent as a server name, but they are verified.
bool expect_host(SSL* ssl, const std::string& host) {
  X509_VERIFY_PARAM* const expected = SSL_get0_param(ssl);
  if (X509_VERIFY_PARAM_set1_ip_asc(expected, host.c_str()) == 1) return true;
  X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return X509_VERIFY_PARAM_set1_host(expected, host.c_str(), host.size()) == 1 &&
         SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
}

}  // namespace

struct TlsContext::Impl {
  Impl(TlsFiles f, Duration timeout) : files(std::move(f)), handshake_timeout(timeout) {}

  const TlsFiles files;
  const Duration handshake_timeout;
  std::mutex mutex;  // guards context
  Context context;
};

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<TlsContext>> TlsContext::open(TlsFiles files, Duration handshake_timeout) {
  std::shared_ptr<TlsContext> context(
      new TlsContext(std::make_unique<Impl>(std::move(files), handshake_timeout)));
  TRY_VOID(context->reload());
  return context;
}

Status TlsContext::reload() {
  TRY(Context fresh, load(impl_->files));
  const std::lock_guard lock(impl_->mutex);
  impl_->context = std::move(fresh);
  return {};
}

std::shared_ptr<Stream> TlsContext::secure(EventLoop& loop, std::shared_ptr<Stream> plain) const {
  Ssl ssl;
  {
    const std::lock_guard lock(impl_->mutex);
    ssl.reset(SSL_new(impl_->context.get()));
  }
  return make_tls_server_stream(loop, std::move(plain), std::move(ssl), impl_->handshake_timeout);
}

struct TlsTrust::Impl {
  Context context;
};

TlsTrust::TlsTrust(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsTrust::~TlsTrust() = default;

Result<std::shared_ptr<TlsTrust>> TlsTrust::open(const std::string& authorities) {
  TRY(Context context, make_context(TLS_client_method()));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  const int loaded = authorities.empty()
                         ? SSL_CTX_set_default_verify_paths(context.get())
                         : SSL_CTX_load_verify_file(context.get(), authorities.c_str());
  if (loaded != 1) return tls_fault(authorities.empty() ? "authorities" : authorities);
  return std::shared_ptr<TlsTrust>(new TlsTrust(std::make_unique<Impl>(Impl{std::move(context)})));
}

void TlsTrust::secure(EventLoop& loop, std::shared_ptr<Stream> plain, const std::string& host,
                      Done done) const {
  Ssl ssl(SSL_new(impl_->context.get()));
  if (!expect_host(ssl.get(), host)) {
    plain->close();
    return done(fail(Code::InvalidArgument, "TLS: no host name: " + host));
  }
  make_tls_client_stream(loop, std::move(plain), std::move(ssl), std::move(done));
}

}  // namespace jobmill::net
