// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/wake.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace jobmill::postgres {

Wake::Wake() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

Wake::~Wake() { ::close(fd_); }

void Wake::signal() const {
  const std::uint64_t one = 1;
  // It fails only when the counter is full: then it is signalled.
  (void)!::write(fd_, &one, sizeof(one));
}

bool Wake::take() const {
  std::uint64_t count = 0;
  return ::read(fd_, &count, sizeof(count)) == static_cast<ssize_t>(sizeof(count));
}

}  // namespace jobmill::postgres
