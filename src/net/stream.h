// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace jobmill::net {

// A connected stream of bytes: TCP, TLS over TCP, the payload of a WebSocket. It belongs to the
// loop thread: every call and every event is there. Events are never delivered from within a call
// of ours.
//
// Memory: what arrives is handed on, never kept, and while paused the peer is held back by its own
// socket. What we write waits here without limit, so a writer looks at unsent() and stops until
// on_drained().
class Stream {
 public:
  // Who reads from a stream. The stream keeps it alive until the stream is closed or broken.
  struct Events {
    virtual ~Events() = default;
    virtual void on_bytes(std::string_view bytes) = 0;  // valid during the call only
    virtual void on_end() = 0;      // the peer sends no more; we may still write
    virtual void on_drained() = 0;  // all that had to wait in write() was sent
    virtual void on_broken() = 0;   // closed, but not by us; the last event
  };

  virtual ~Stream() = default;

  // Again to hand the stream to another reader.
  virtual void start(std::shared_ptr<Events> events) = 0;

  // Back-pressure towards the peer. While paused its end is not noticed either.
  virtual void pause() = 0;
  virtual void resume() = 0;

  // Sends at once what the peer takes and queues the rest. Look at unsent() before queueing more.
  virtual void write(std::string bytes) = 0;
  virtual std::size_t unsent() const = 0;

  // Ends our direction after what is unsent and drops what the peer still sends, for two seconds at
  // most, so that it can read our last words: a close with unread bytes resets the connection and
  // loses them. No event follows.
  virtual void finish() = 0;

  virtual void close() = 0;  // at once; no event follows
  virtual bool closed() const = 0;

  virtual const std::string& peer() const = 0;  // "127.0.0.1:40312"

  // Why on_broken came, for a log: "Connection reset by peer", "TLS: tlsv1 alert unknown ca".
  virtual std::string failure() const { return {}; }
};

}  // namespace jobmill::net
