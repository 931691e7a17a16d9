// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "http/client.h"
#include "k8s/config.h"
#include "k8s/exec_plugin.h"

namespace jobmill::k8s {

// Who we are to the API server at the moment: the fixed part of a Config, a token's file that is
// read again when it changes, and what a plugin gave last. Runs no plugin itself.
class Credentials {
 public:
  explicit Credentials(const Config& config) : config_(config) {}

  // Whether a plugin has to run before the next request.
  bool need_plugin(TimePoint now) const;
  void plugin_gave(ExecCredential credential);

  // Into a request. NotFound: the token's file cannot be read, and there is no earlier token.
  Status add_to(http::ClientRequest& request);

  // Grows with each change. The server refused those of `version`; true: another try may help,
  // since they will be read anew, or have been by now.
  std::uint64_t version() const { return version_; }
  bool refused(std::uint64_t version);

 private:
  struct Stamp {  // of a file: another one was put in its place, or it was written to
    ino_t inode;
    off_t size;
    std::int64_t modified;
    bool operator==(const Stamp&) const = default;
  };
  static std::optional<Stamp> stamp_of(const std::string& path);
  Status read_token();

  const Config& config_;
  std::uint64_t version_ = 0;
  std::optional<Stamp> read_;  // nothing: to be read
  Secret file_token_;
  std::optional<ExecCredential> given_;
};

}  // namespace jobmill::k8s
