// SPDX-License-Identifier: Apache-2.0
#include "base/seal.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <utility>

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

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

// --- the key file --------------------------------------------------------------------------

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_;
};

Fault file_error(const std::string& path, std::string_view what) {
  return fail(Code::Internal, path + ": " + std::string(what));
}

Fault system_error(const std::string& path) {
  return file_error(path, std::generic_category().message(errno));
}

Result<Secret> read_key(const std::string& path) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return system_error(path);
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) return system_error(path);
  if ((info.st_mode & 077) != 0)
    return fail(Code::PermissionDenied, path + ": others may read this key; chmod 600 it");
  std::string text(kSealKeyBytes + 1, '\0');
  const ssize_t size = ::read(file.fd(), text.data(), text.size());
  if (size < 0) return system_error(path);
  if (size != static_cast<ssize_t>(kSealKeyBytes)) return file_error(path, "not a key of 32 bytes");
  text.resize(kSealKeyBytes);
  return Secret(std::move(text));
}

Status write_new(const std::string& path, const Secret& key) {
  const File file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.is_open()) return system_error(path);
  const std::string& text = key.reveal();
  const ssize_t written = ::write(file.fd(), text.data(), text.size());
  if (written != static_cast<ssize_t>(text.size()) || ::fsync(file.fd()) != 0)
    return system_error(path);
  return {};
}

Status sync_folder(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  const File file(
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file.is_open() || ::fsync(file.fd()) != 0) return system_error(path);
  return {};
}

Secret random_key() {
  std::string text(kSealKeyBytes, '\0');
  fill_random(std::as_writable_bytes(std::span(text)));
  return Secret(std::move(text));
}

// Written aside and linked into place, so that the name never shows half a key: not to a process
// that starts at the same time, not after a crash. Whoever links first wins.
Status create_key(const std::string& path) {
  const std::string aside = path + ".new." + std::to_string(::getpid());
  ::unlink(aside.c_str());  // of a dead process that had our id
  auto done = write_new(aside, random_key());
  if (done && ::link(aside.c_str(), path.c_str()) != 0 && errno != EEXIST)
    done = system_error(path);
  ::unlink(aside.c_str());
  if (!done) return done;
  return sync_folder(path);
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
  if (::access(path.c_str(), F_OK) != 0) TRY_VOID(create_key(path));
  return read_key(path);
}

}  // namespace jobmill
