// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/document.h"
#include "base/result.h"
#include "k8s/api_error.h"

namespace jobmill::k8s {

// What a reflector does and tells, in the order given.
struct BeginList {};
struct BeginWatch {
  std::string resource_version;
};
struct EndWatch {};  // drop it: it is silent for too long
struct Listed {
  std::vector<Node> items;
};
struct Put {
  Node object;
};
struct Removed {
  Node object;
};
struct Ill {
  Fault why;
};
struct Well {};
using Step = std::variant<BeginList, BeginWatch, EndWatch, Listed, Put, Removed, Ill, Well>;
using Steps = std::vector<Step>;

// Decides what a reflector does next. It is told what came of a list or a watch, of which there is
// one at a time; what comes of another is not told.
//
// A watch that ends after it was accepted is begun anew at once, where it was. Where its
// resourceVersion is too old, or the server's error is not one that passes, a list comes first.
// What fails is tried again after 1 s, doubling to 30 s; so is what ends as soon as it began, so
// that no server makes us spin.
class WatchState {
 public:
  static constexpr Duration kAccept = std::chrono::seconds(30);  // a watch, or we begin anew
  static constexpr Duration kGrace = std::chrono::seconds(10);   // to end it when its time is over

  // `asked`: a watch, for messages. `timeout`: after which the server ends it.
  WatchState(Asked asked, Duration timeout) : asked_(std::move(asked)), timeout_(timeout) {}

  Steps start();
  Steps list_came(Result<Node> list, TimePoint now);
  Steps watch_begun(TimePoint now);
  Steps line_came(Node line, TimePoint now);
  Steps watch_ended(const Status& status, TimePoint now);

  // When time alone changes something; what does then.
  std::optional<TimePoint> next_change() const { return due_; }
  Steps tick(TimePoint now);

  bool listed() const { return listed_; }

 private:
  enum class Doing { Nothing, Listing, Watching, Waiting };

  Step begin_list();
  Step begin_watch(TimePoint now);
  Steps begin(TimePoint now);  // the list or the watch that is next
  void made_progress();
  Steps wait(TimePoint now);
  Steps fail_with(const Fault& fault, TimePoint now);
  Steps watch_failed(const Fault& why, TimePoint now);
  Steps leave(const Fault& why, TimePoint now);
  Fault error_in(const Node& status) const;

  const Asked asked_;
  const Duration timeout_;
  Doing doing_ = Doing::Nothing;
  std::optional<TimePoint> due_;       // of what waits, or of a watch's end
  std::string resource_version_;       // empty: a list is next
  std::optional<TimePoint> accepted_;  // the watch
  bool listed_ = false;
  bool ill_ = false;
  // Since something came:
  int failures_ = 0;
  bool too_old_ = false;  // a list was begun anew; a server that restarts knows no past
};

}  // namespace jobmill::k8s
