// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/document.h"
#include "base/result.h"

namespace jobmill::api {

struct Route;

// What the HTTP requests about scaling over time need: what there is to scale, the decisions that
// were kept, numbers over time, and a hand on the wheel. The app implements it on the control
// thread. Every call returns at once and answers later, from any thread.
//
// A target is named "mail", or "shop/mail" in another namespace than `default`: a ScaledObject,
// else a ScaledJob, else a job of Container Apps, whose namespace is its group.
// "ScaledJob/shop/mail" says which. NotFound: there is none.
class Insight {
 public:
  template <class T>
  using Done = std::function<void(Result<T>)>;

  virtual ~Insight() = default;

  virtual void targets(Done<Node> done) = 0;  // array of what target_item gives
  virtual void target_item(std::string target, Done<Node> done) = 0;
  // The same with text, manifest and decision.
  virtual void target(std::string target, Done<Node> done) = 0;

  // Whose target has other numbers, another decision or other conditions: its name is that of
  // target_item. Called on the control thread. Set once, before the server starts.
  virtual void on_change(std::function<void(std::string target)> listener) = 0;

  struct Range {
    std::optional<TimePoint> from{};  // an hour ago
    std::optional<TimePoint> to{};    // now
    std::optional<Duration> step{};   // not finer than this
    std::vector<std::string> tracks{};
  };
  // JSON: {from, to, step, tracks, gaps, decisions}.
  virtual void target_series(std::string target, Range range, Done<std::string> done) = 0;
  // Of `jobs` or `queue:<name>`: {from, to, step, tracks, gaps}.
  virtual void series(std::string name, Range range, Done<std::string> done) = 0;

  struct Page {
    std::optional<TimePoint> from{};
    std::optional<TimePoint> to{};
    std::string before{};  // id; from `next` of the page before
    int limit = 50;
  };
  // JSON: {items: [record], next?}, newest first.
  virtual void decisions(std::string target, Page page, Done<std::string> done) = 0;
  virtual void decision(std::string target, std::string id, Done<std::string> done) = 0;
  // {at, replicas, rule, sentence, decision?}: the one rule that held the number then. With `text`
  // also what `scale explain` would have printed.
  virtual void why_not(std::string target, TimePoint at, Done<Node> done) = 0;

  // Durable before they answer. Conflict: the target knows no such thing.
  virtual void pause(std::string target, std::optional<int> replicas, Done<void> done) = 0;
  virtual void resume(std::string target, Done<void> done) = 0;
  // Once, within the bounds of the target; its rules go on from there.
  virtual void set(std::string target, int replicas, Done<void> done) = 0;
};

std::span<const Route> insight_routes();  // /api/autoscaling, /api/series

}  // namespace jobmill::api
