// SPDX-License-Identifier: Apache-2.0
#include "access/login_guard.h"

namespace jobmill::access {
namespace {

constexpr std::size_t kManyAddresses = 10'000;

}  // namespace

Duration LoginGuard::attempt(const std::string& address, TimePoint now) {
  if (failures_.size() > kManyAddresses) forget_old(now);
  std::deque<TimePoint>& times = failures_[address];
  while (!times.empty() && times.front() + kWindow <= now) times.pop_front();
  if (times.size() >= kMost) return times.front() + kWindow - now;
  times.push_back(now);
  return Duration::zero();
}

void LoginGuard::succeeded(const std::string& address) {
  const auto found = failures_.find(address);
  if (found == failures_.end()) return;
  if (!found->second.empty()) found->second.pop_back();
  if (found->second.empty()) failures_.erase(found);
}

void LoginGuard::forget_old(TimePoint now) {
  std::erase_if(failures_, [now](const auto& entry) {
    return entry.second.empty() || entry.second.back() + kWindow <= now;
  });
}

std::string address_of(std::string_view peer) {
  if (peer.starts_with('[')) return std::string(peer.substr(1, peer.find(']') - 1));
  return std::string(peer.substr(0, peer.rfind(':')));
}

}  // namespace jobmill::access
