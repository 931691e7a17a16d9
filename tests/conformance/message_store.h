// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "broker/message_store.h"

namespace jobmill::broker {

// One kind of store in its world, empty at first. The test's thread is the broker's thread.
class MessageStoreWorld {
 public:
  virtual ~MessageStoreWorld() = default;
  virtual MessageStore& store() = 0;
  // The store is closed and opened again, as at a restart of the server.
  virtual void reopen() = 0;
  // Lets answers come until it comes true; fails the test when it never does.
  virtual void run_until(const std::function<bool()>& come_true) = 0;
  // What a thief of the data would read; empty when nothing is at rest.
  virtual std::string at_rest() = 0;
};

using MakeMessageStoreWorld = std::function<std::unique_ptr<MessageStoreWorld>()>;

// The contract of MessageStore, as tests. Each implementation calls this from a test case of its
// own.
void exercise_message_store(const MakeMessageStoreWorld& make);

}  // namespace jobmill::broker
