// SPDX-License-Identifier: Apache-2.0
#include "scalers/cluster_pods.h"

#include <utility>

#include <fmt/core.h>

#include "scalers/pending_read.h"

namespace jobmill::scalers {
namespace {

using Look = std::function<Result<scale::Sample>(const std::vector<ClusterPod>&)>;

// What outlives the scaler while its question is still on its way.
struct Question {
  PendingRead pending;
  Look look;
};

class PodsScaler final : public scale::Scaler {
 public:
  PodsScaler(scale::MetricSpec metric, std::function<void(ClusterSource::Done)> ask, Look look)
      : metric_(std::move(metric)), ask_(std::move(ask)), question_(std::make_shared<Question>()) {
    question_->look = std::move(look);
  }
  ~PodsScaler() override { question_->pending.close(); }

  const scale::MetricSpec& metric() const override { return metric_; }

  void read(Done done) override {
    question_->pending.begin(std::move(done));
    ask_([question = question_](Result<std::vector<ClusterPod>> pods) {
      question->pending.finish_with([&]() -> std::optional<Result<scale::Sample>> {
        if (!pods) return pods.error();
        return question->look(*pods);
      });
    });
  }

 private:
  const scale::MetricSpec metric_;
  const std::function<void(ClusterSource::Done)> ask_;
  const std::shared_ptr<Question> question_;
};

}  // namespace

Fault needs_cluster(std::string_view trigger_type) {
  return fail(Code::Unsupported,
              fmt::format("trigger type {} looks at the pods of a cluster, which this server has "
                          "none of: it needs --target kubernetes",
                          trigger_type));
}

std::unique_ptr<scale::Scaler> make_pods_scaler(scale::MetricSpec metric,
                                                std::function<void(ClusterSource::Done)> ask,
                                                Look look) {
  return std::make_unique<PodsScaler>(std::move(metric), std::move(ask), std::move(look));
}

}  // namespace jobmill::scalers
