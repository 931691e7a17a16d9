// SPDX-License-Identifier: Apache-2.0
#include "base/seal.h"

#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

#include <openssl/evp.h>

#include "base/key_file.h"
#include "base/random.h"

namespace jobmill {
namespace {

constexpr char kVersion = 1;
constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;
constexpr std::size_t kOverhead = 1 + kNonceBytes + kTagBytes;
constexpr std::size_t kMaxPlain = 1u << 30;  // OpenSSL counts in int

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes(char* text) { return reinterpret_cast<unsigned char*>(text); }

Cipher make_cipher(const Secret& key, std::string_view nonce, std::string_view context,
                   bool encrypt) {
  Cipher cipher(EVP_CIPHER_CTX_new());
  int ignored = 0;
  const bool ok = cipher != nullptr &&
                  EVP_CipherInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes(key.reveal()),
                                    bytes(nonce), encrypt ? 1 : 0) == 1 &&
                  EVP_CipherUpdate(cipher.get(), nullptr, &ignored, bytes(context),
                                   static_cast<int>(context.size())) == 1;
  return ok ? std::move(cipher) : nullptr;
}

bool update(EVP_CIPHER_CTX* cipher, std::string_view in, char* out) {
  int written = 0;
  return EVP_CipherUpdate(cipher, bytes(out), &written, bytes(in), static_cast<int>(in.size())) ==
             1 &&
         EVP_CipherFinal_ex(cipher, bytes(out) + written, &written) == 1;
}

Status check_key(const Secret& key) {
  if (key.reveal().size() != kSealKeyBytes) return fail(Code::Internal, "a key has 32 bytes");
  return {};
}

Secret random_key() {
  std::string text(kSealKeyBytes, '\0');
  fill_random(std::as_writable_bytes(std::span(text)));
  return Secret(std::move(text));
}

}  // namespace

Result<std::string> seal(const Secret& key, std::string_view plain, std::string_view context) {
  TRY_VOID(check_key(key));
  if (plain.size() > kMaxPlain) return fail(Code::Exhausted, "too long to be sealed");
  std::string sealed(kOverhead + plain.size(), kVersion);
  char* nonce = sealed.data() + 1;
  fill_random(std::as_writable_bytes(std::span(nonce, kNonceBytes)));

  const Cipher cipher = make_cipher(key, {nonce, kNonceBytes}, context, true);
  char* body = nonce + kNonceBytes;
  if (!cipher || !update(cipher.get(), plain, body) ||
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, body + plain.size()) != 1)
    return fail(Code::Internal, "sealing failed");
  return sealed;
}

Result<std::string> open_seal(const Secret& key, std::string_view sealed,
                              std::string_view context) {
  TRY_VOID(check_key(key));
  if (sealed.size() < kOverhead || sealed.size() > kOverhead + kMaxPlain || sealed[0] != kVersion)
    return fail(Code::PermissionDenied, "this is not a sealed text");
  const std::string_view nonce = sealed.substr(1, kNonceBytes);
  const std::string_view body = sealed.substr(1 + kNonceBytes, sealed.size() - kOverhead);
  std::string tag(sealed.substr(sealed.size() - kTagBytes));
  std::string plain(body.size(), '\0');

  const Cipher cipher = make_cipher(key, nonce, context, false);
  if (!cipher ||
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) != 1 ||
      !update(cipher.get(), body, plain.data()))
    return fail(Code::PermissionDenied, "the sealed text does not fit this key");
  return plain;
}

Result<Secret> load_or_create_key(const std::string& path) {
  TRY(Secret key, open_key_file(path, random_key));
  if (key.reveal().size() != kSealKeyBytes)
    return fail(Code::Internal, path + ": not a key of 32 bytes");
  return key;
}

}  // namespace jobmill
