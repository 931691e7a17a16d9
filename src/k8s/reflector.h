// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "k8s/client.h"

namespace jobmill::k8s {

// Keeps a picture of one kind: a list, then a watch from its resourceVersion with bookmarks, for
// as long as it lives. A watch that ends is begun anew where it was; 410 (also as an ERROR object)
// means a new list; one that is silent for longer than the server may be is ended by us; errors
// are waited for, 1 s doubling to 30 s, and told once. Lives on the client's thread.
class Reflector {
 public:
  struct What {
    Resource resource;
    std::string ns{};  // empty: all
    std::string label_selector{};
    std::string field_selector{};
  };
  struct Events {  // those that are not set are not told
    // A whole list: all that there is now. Also after 410.
    std::function<void(std::vector<Node> items)> listed{};
    std::function<void(Node object)> put{};      // added or modified
    std::function<void(Node object)> removed{};  // as it was last
    // It cannot be read, since the first such error; `well` when it can again.
    std::function<void(const Fault&)> ill{};
    std::function<void()> well{};
  };

  Reflector(Client& client, World world, What what, Events events);
  ~Reflector();  // silent from then on

  bool listed() const;  // at least once

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace jobmill::k8s
