// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace jobmill::net {

// A connected stream of bytes. It belongs to the loop thread: every call and every event is there.
// Events are never delivered from within a call of ours.
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

  virtual void start(std::shared_ptr<Events> events) = 0;

  // Back-pressure towards the peer. While paused its end is not noticed either.
  virtual void pause() = 0;
  virtual void resume() = 0;

  // Sends at once what the peer takes and queues the rest. Look at unsent() before queueing more.
  virtual void write(std::string bytes) = 0;
  virtual std::size_t unsent() const = 0;

  // Ends our direction and drops what the peer still sends, for two seconds at most, so that it
  // can read our last words: a close with unread bytes resets the connection and loses them.
  // No event follows. Call it when nothing is unsent.
  virtual void finish() = 0;

  virtual void close() = 0;  // at once; no event follows
  virtual bool closed() const = 0;

  virtual const std::string& peer() const = 0;  // "127.0.0.1:40312"
};

}  // namespace jobmill::net
