// SPDX-License-Identifier: Apache-2.0
#include "base/jwt.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <utility>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/base64.h"
#include "base/free.h"
#include "base/key_file.h"

namespace jobmill {
namespace {

constexpr char kHeader[] = R"({"alg":"ES256","typ":"JWT"})";
constexpr int kNumberBytes = 32;  // of r and of s, of which a signature consists
constexpr std::size_t kLongest = 16 * 1024;

using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Memory = std::unique_ptr<BIO, Free<BIO_free_all>>;
using Digest = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>>;
using Signature = std::unique_ptr<ECDSA_SIG, Free<ECDSA_SIG_free>>;
using Number = std::unique_ptr<BIGNUM, Free<BN_free>>;

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

// OpenSSL's way to give out an encoding: asked for its length first.
template <class Encode>
std::string encoded(Encode encode) {
  std::string out(static_cast<std::size_t>(std::max(0, encode(nullptr))), '\0');
  unsigned char* at = bytes(out);
  encode(&at);
  return out;
}

std::string to_pem(EVP_PKEY* key) {
  const Memory memory(BIO_new(BIO_s_mem()));
  char* data = nullptr;
  const bool written = memory && PEM_write_bio_PKCS8PrivateKey(memory.get(), key, nullptr, nullptr,
                                                               0, nullptr, nullptr) == 1;
  const long size = written ? BIO_get_mem_data(memory.get(), &data) : 0;
  return {data, static_cast<std::size_t>(size)};
}

Key from_pem(const std::string& text) {
  const Memory memory(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  // A key with a password must not make us ask for it.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  return Key(memory ? PEM_read_bio_PrivateKey(memory.get(), nullptr, no_password, nullptr)
                    : nullptr);
}

bool on_p256(EVP_PKEY* key) {
  std::array<char, 32> group{};
  return EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) == 1 &&
         std::string_view(group.data()) == "prime256v1";
}

// The two numbers of a signature, 32 bytes each, as tokens have them; OpenSSL has them as DER.
std::string raw_of(const std::string& der) {
  const unsigned char* at = bytes(std::string_view(der));
  const Signature signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  std::string raw(2 * kNumberBytes, '\0');
  BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), bytes(raw), kNumberBytes);
  BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), bytes(raw) + kNumberBytes, kNumberBytes);
  return raw;
}

std::optional<std::string> der_of(std::string_view raw) {
  if (raw.size() != 2 * kNumberBytes) return std::nullopt;
  Number r(BN_bin2bn(bytes(raw), kNumberBytes, nullptr));
  Number s(BN_bin2bn(bytes(raw) + kNumberBytes, kNumberBytes, nullptr));
  const Signature signature(ECDSA_SIG_new());
  if (!r || !s || !signature) return std::nullopt;
  if (ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) return std::nullopt;
  (void)r.release();  // they are the signature's now
  (void)s.release();
  return encoded([&](unsigned char** out) { return i2d_ECDSA_SIG(signature.get(), out); });
}

Fault denied(std::string why) { return fail(Code::PermissionDenied, std::move(why)); }

Result<Node> read_part(std::string_view part) {
  const auto text = base64url_decode(part);
  if (!text) return denied("the token is not well formed");
  auto node = parse_json(*text, {.bytes = kLongest, .depth = 10, .nodes = 1000});
  if (!node || !node->is_object()) return denied("the token is not well formed");
  return node;
}

}  // namespace

struct JwtKey::Impl {
  Key key;
};

JwtKey JwtKey::random() {
  Key key(EVP_EC_gen("P-256"));
  if (!key) std::abort();  // only without memory, or without random numbers
  return JwtKey(std::make_shared<const Impl>(Impl{std::move(key)}));
}

Result<JwtKey> JwtKey::open(const std::string& path) {
  TRY(const Secret text,
      open_key_file(path, [] { return Secret(to_pem(random().impl_->key.get())); }));
  Key key = from_pem(text.reveal());
  if (!key || !on_p256(key.get()))
    return fail(Code::InvalidArgument, path + ": not a private key on the curve P-256, as PEM");
  return JwtKey(std::make_shared<const Impl>(Impl{std::move(key)}));
}

std::string JwtKey::sign(const Node& claims) const {
  std::string token = base64url_encode(kHeader) + "." + base64url_encode(to_json(claims));
  const Digest digest(EVP_MD_CTX_new());
  std::string der(static_cast<std::size_t>(EVP_PKEY_get_size(impl_->key.get())), '\0');
  std::size_t size = der.size();
  const bool ok =
      digest &&
      EVP_DigestSignInit(digest.get(), nullptr, EVP_sha256(), nullptr, impl_->key.get()) == 1 &&
      EVP_DigestSign(digest.get(), bytes(der), &size, bytes(std::string_view(token)),
                     token.size()) == 1;
  if (!ok) std::abort();  // as above
  der.resize(size);
  return token + "." + base64url_encode(raw_of(der));
}

Result<Node> JwtKey::verify(std::string_view token) const {
  const std::size_t first = token.find('.');
  const std::size_t last = token.rfind('.');
  if (token.size() > kLongest || first == token.npos || first == last)
    return denied("the token is not well formed");
  const std::string_view text = token.substr(0, last);
  TRY(const Node header, read_part(token.substr(0, first)));
  const Node* algorithm = header.find("alg");
  if (algorithm == nullptr || algorithm->as_string() != "ES256")
    return denied("the token is not signed with ES256");

  const auto raw = base64url_decode(token.substr(last + 1));
  const auto der = raw ? der_of(*raw) : std::nullopt;
  const Digest digest(EVP_MD_CTX_new());
  const bool good =
      der && digest &&
      EVP_DigestVerifyInit(digest.get(), nullptr, EVP_sha256(), nullptr, impl_->key.get()) == 1 &&
      EVP_DigestVerify(digest.get(), bytes(*der), der->size(), bytes(text), text.size()) == 1;
  if (!good) return denied("the signature of the token is not ours");
  return read_part(token.substr(first + 1, last - first - 1));
}

}  // namespace jobmill
