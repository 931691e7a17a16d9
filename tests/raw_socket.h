// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace jobmill::testing {

// A blocking TCP connection without any protocol, for tests that mind every byte. A call that
// waits a minute in vain fails the test.
class RawSocket {
 public:
  explicit RawSocket(const std::string& address);  // connects to "127.0.0.1:8000"
  ~RawSocket();
  RawSocket(RawSocket&& other) noexcept;
  RawSocket& operator=(RawSocket&&) = delete;

  void send(std::string_view bytes) const;
  void end() const;  // our direction: the peer reads end of file
  void reset();      // closes so that the peer gets a connection reset
  std::string receive_until(std::string_view text);  // up to and including it
  std::string receive(std::size_t size);
  std::string receive_all();  // up to the peer's end

 private:
  friend class RawListener;
  explicit RawSocket(int socket);
  bool receive_more();  // false: the end

  int socket_;
  std::string buffer_;
};

// Accepts on a free loopback port.
class RawListener {
 public:
  RawListener();
  ~RawListener();
  RawListener(const RawListener&) = delete;
  RawListener& operator=(const RawListener&) = delete;

  const std::string& address() const { return address_; }
  RawSocket accept() const;

 private:
  int socket_;
  std::string address_;
};

}  // namespace jobmill::testing
