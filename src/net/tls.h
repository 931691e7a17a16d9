// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "net/event_loop.h"
#include "net/stream.h"

namespace jobmill::net {

// Two PEM files.
struct TlsFiles {
  std::string certificate{};  // the server's, then those of intermediate authorities
  std::string key{};          // not encrypted
};

// What a server shows its clients: TLS 1.2 and 1.3, no client certificates. Shared by the
// listeners that show the same. Safe from any thread.
class TlsContext {
 public:
  // InvalidArgument names the file that cannot be read, is no PEM or does not fit the other one.
  static Result<std::shared_ptr<TlsContext>> open(
      TlsFiles files, Duration handshake_timeout = std::chrono::seconds(15));
  ~TlsContext();

  // Reads the files again. Connections made from now on see the new certificate, the others stay
  // as they are. After an error everything does.
  Status reload();

  // The server's end of TLS over a connected stream. It is a Stream like any other: what is
  // written before the handshake's end waits in unsent(), a peer that does not shake hands in
  // time breaks it, and an end without close_notify is on_broken, not on_end.
  std::shared_ptr<Stream> secure(EventLoop& loop, std::shared_ptr<Stream> plain) const;

 private:
  struct Impl;
  explicit TlsContext(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Whom a client believes. Safe from any thread.
class TlsTrust {
 public:
  using Done = std::function<void(Result<std::shared_ptr<Stream>>)>;

  // A PEM file of authorities; empty: the system's.
  static Result<std::shared_ptr<TlsTrust>> open(const std::string& authorities = {});
  ~TlsTrust();

  // The client's end, for a server called `host` (a name or an address). `done` gets the stream
  // when the server has proved its name, and starts or closes it there. Unavailable: it has not.
  void secure(EventLoop& loop, std::shared_ptr<Stream> plain, const std::string& host,
              Done done) const;

 private:
  struct Impl;
  explicit TlsTrust(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace jobmill::net
