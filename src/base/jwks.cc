// SPDX-License-Identifier: Apache-2.0
#include "base/jwks.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/base64.h"
#include "base/free.h"

namespace jobmill {
namespace {

constexpr std::size_t kLongest = 32u << 10;
constexpr int kNumberBytes = 32;  // of P-256
constexpr int kLeastRsaBits = 2048;

using PublicKey = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX_free>>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, Free<OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, Free<OSSL_PARAM_free>>;
using Number = std::unique_ptr<BIGNUM, Free<BN_free>>;
using Digest = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>>;
using Signature = std::unique_ptr<ECDSA_SIG, Free<ECDSA_SIG_free>>;

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string text_of(const Node& node, std::string_view name) {
  const Node* member = node.find(name);
  return member != nullptr && member->is_string() ? member->text : std::string();
}

std::string decoded(const Node& node, std::string_view name) {
  return base64url_decode(text_of(node, name)).value_or("");
}

Number number_of(const std::string& text) {
  return Number(BN_bin2bn(bytes(text), static_cast<int>(text.size()), nullptr));
}

PublicKey made(const char* type, OSSL_PARAM_BLD* builder) {
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  const bool ok =
      parameters && context && EVP_PKEY_fromdata_init(context.get()) == 1 &&
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) == 1;
  return PublicKey(ok ? key : nullptr);
}

PublicKey rsa_key(const Node& jwk) {
  const Number n = number_of(decoded(jwk, "n"));
  const Number e = number_of(decoded(jwk, "e"));
  const Builder builder(OSSL_PARAM_BLD_new());
  if (!n || !e || !builder || BN_num_bits(n.get()) < kLeastRsaBits) return nullptr;
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get());
  return made("RSA", builder.get());
}

PublicKey p256_key(const Node& jwk) {
  const std::string x = decoded(jwk, "x");
  const std::string y = decoded(jwk, "y");
  const Builder builder(OSSL_PARAM_BLD_new());
  if (text_of(jwk, "crv") != "P-256" || x.size() != kNumberBytes || y.size() != kNumberBytes ||
      !builder)
    return nullptr;
  const std::string point = "\x04" + x + y;  // uncompressed
  OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                   point.size());
  return made("EC", builder.get());
}

// A token has the two numbers of a signature as they are; OpenSSL wants them as DER.
std::string der_of(std::string_view raw) {
  if (raw.size() != 2 * kNumberBytes) return {};
  Number r(BN_bin2bn(bytes(raw), kNumberBytes, nullptr));
  Number s(BN_bin2bn(bytes(raw) + kNumberBytes, kNumberBytes, nullptr));
  const Signature signature(ECDSA_SIG_new());
  if (!r || !s || !signature || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) return {};
  (void)r.release();  // they are the signature's now
  (void)s.release();
  std::string der(static_cast<std::size_t>(std::max(0, i2d_ECDSA_SIG(signature.get(), nullptr))),
                  '\0');
  auto* at = reinterpret_cast<unsigned char*>(der.data());
  i2d_ECDSA_SIG(signature.get(), &at);
  return der;
}

bool is_signed(EVP_PKEY* key, std::string_view text, std::string_view signature) {
  const Digest digest(EVP_MD_CTX_new());
  return digest && EVP_DigestVerifyInit(digest.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
         EVP_DigestVerify(digest.get(), bytes(signature), signature.size(), bytes(text),
                          text.size()) == 1;
}

Fault denied(std::string why) { return fail(Code::PermissionDenied, std::move(why)); }

Result<Node> read_part(std::string_view part) {
  const auto text = base64url_decode(part);
  if (!text) return denied("the token is not well formed");
  auto node = parse_json(*text, {.bytes = kLongest, .depth = 20, .nodes = 10'000});
  if (!node || !node->is_object()) return denied("the token is not well formed");
  return node;
}

}  // namespace

// A key is for one algorithm only: a token cannot choose how it is checked.
struct KeySet::Key {
  std::string id;
  std::string algorithm;
  PublicKey key;
};

Result<KeySet> KeySet::parse(std::string_view json) {
  TRY(const Node document, parse_json(json, {.bytes = 1u << 20, .depth = 20, .nodes = 10'000}));
  const Node* list = document.find("keys");
  if (list == nullptr || !list->is_array())
    return fail(Code::InvalidArgument, "keys: expected a list");
  std::vector<std::shared_ptr<const Key>> keys;
  for (const Node& jwk : list->items) {
    const std::string use = text_of(jwk, "use");
    if (!use.empty() && use != "sig") continue;
    const bool rsa = text_of(jwk, "kty") == "RSA";
    const bool ec = text_of(jwk, "kty") == "EC";
    PublicKey key = rsa ? rsa_key(jwk) : ec ? p256_key(jwk) : nullptr;
    if (key)
      keys.push_back(std::make_shared<const Key>(
          Key{text_of(jwk, "kid"), rsa ? "RS256" : "ES256", std::move(key)}));
  }
  return KeySet(std::move(keys));
}

Result<Node> KeySet::verify(std::string_view token) const {
  const std::size_t first = token.find('.');
  const std::size_t last = token.rfind('.');
  if (token.size() > kLongest || first == token.npos || first == last)
    return denied("the token is not well formed");
  TRY(const Node header, read_part(token.substr(0, first)));
  const std::string algorithm = text_of(header, "alg");
  if (algorithm != "RS256" && algorithm != "ES256")
    return denied("the token is signed with '" + algorithm + "', not with RS256 or ES256");
  const auto raw = base64url_decode(token.substr(last + 1));
  if (!raw) return denied("the token is not well formed");
  const std::string signature = algorithm == "ES256" ? der_of(*raw) : *raw;

  // A token without an id of its key may be of any.
  const std::string id = text_of(header, "kid");
  bool known = false;
  for (const auto& key : keys_) {
    if (key->algorithm != algorithm || (!id.empty() && key->id != id)) continue;
    known = true;
    if (is_signed(key->key.get(), token.substr(0, last), signature))
      return read_part(token.substr(first + 1, last - first - 1));
  }
  if (!known) return fail(Code::NotFound, "no key of the issuer signed the token");
  return denied("the signature of the token is wrong");
}

}  // namespace jobmill
