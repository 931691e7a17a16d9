// SPDX-License-Identifier: Apache-2.0
#include "k8s/credentials.h"

#include <sys/stat.h>

#include <utility>

#include "base/text_file.h"

namespace jobmill::k8s {

bool Credentials::need_plugin(TimePoint now) const {
  if (config_.exec.command.empty()) return false;
  return !given_ || (given_->expires && *given_->expires <= now);
}

void Credentials::plugin_gave(ExecCredential credential) {
  given_ = std::move(credential);
  ++version_;
}

std::optional<Credentials::Stamp> Credentials::stamp_of(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return std::nullopt;
  return Stamp{found.st_ino, found.st_size,
               found.st_mtim.tv_sec * 1'000'000'000 + found.st_mtim.tv_nsec};
}

// While the kubelet puts a new token in its place, the old one still serves.
Status Credentials::read_token() {
  const auto stamp = stamp_of(config_.token_file);
  if (read_ && stamp == read_) return {};
  auto text = read_text_file(config_.token_file);
  if (!text) return file_token_.empty() ? Status(std::move(text).error()) : Status();
  text->resize(text->find_last_not_of(" \t\r\n") + 1);
  file_token_ = Secret(*std::move(text));
  read_ = stamp;
  ++version_;
  return {};
}

Status Credentials::add_to(http::ClientRequest& request) {
  if (!config_.token_file.empty()) TRY_VOID(read_token());
  request.tls_cert =
      given_ && !given_->client_cert.empty() ? given_->client_cert : config_.client_cert;
  request.tls_key = given_ && !given_->client_cert.empty() ? given_->client_key.reveal()
                                                           : config_.client_key.reveal();
  const Secret& token = !config_.token_file.empty()        ? file_token_
                        : given_ && !given_->token.empty() ? given_->token
                                                           : config_.token;
  if (!token.empty()) {
    request.headers.set("Authorization", "Bearer " + token.reveal());
  } else if (!config_.username.empty()) {
    request.headers.set("Authorization",
                        http::basic_authorization(config_.username, config_.password.reveal()));
  }
  return {};
}

bool Credentials::refused(std::uint64_t version) {
  if (config_.token_file.empty() && config_.exec.command.empty()) return false;
  if (version == version_) {
    read_.reset();
    given_.reset();
  }
  return true;
}

}  // namespace jobmill::k8s
