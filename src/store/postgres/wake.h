// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace jobmill::postgres {

// Ends the wait of a thread that waits on a socket. signal() from any thread; a signal stays until
// one wait has taken it.
class Wake {
 public:
  Wake();
  ~Wake();
  Wake(const Wake&) = delete;
  Wake& operator=(const Wake&) = delete;

  void signal() const;
  bool take() const;  // whether there was one
  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace jobmill::postgres
