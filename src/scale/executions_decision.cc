// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "scale/executions.h"

namespace jobmill::scale {
namespace {

constexpr std::int64_t kDefaultMax = 100;
constexpr std::int64_t kNoBound = 1'000'000'000'000;

std::int64_t rounded_up(double value) {
  if (std::isnan(value)) return 0;
  const auto most = static_cast<double>(kNoBound);
  return static_cast<std::int64_t>(std::ceil(std::clamp(value, -most, most)));
}

void add(ExecutionsDecision& decision, int rule, std::int64_t count) {
  if (count <= 0) return;
  const int number =
      static_cast<int>(std::min<std::int64_t>(count, std::numeric_limits<int>::max()));
  for (ExecutionsDecision::Create& one : decision.create) {
    if (one.rule != rule) continue;
    one.count += number;
    return;
  }
  decision.create.push_back({rule, number});
}

void append(std::string& text, const std::string& more) {
  text += text.empty() ? more : "; " + more;
}

// --- as KEDA counts -----------------------------------------------------------------------------

struct Plan {
  JobBounds bounds;
  JobDemand demand;
  std::int64_t max_scale = 0;
  std::int64_t scale_to = 0;
  std::int64_t running = 0;  // beyond min
  StrategyResult result;
  std::int64_t create = 0;
  bool below_min = false;
};

struct PlanInput {
  const ExecutionsInput& in;
  const std::vector<JobTrigger>& triggers;
  JobCombination combination;
  JobStrategy strategy;
};

Plan plan(const PlanInput& what) {
  const ExecutionsInput& in = what.in;
  Plan out;
  out.bounds = job_bounds(in.min, in.max);
  out.demand = combine(what.combination, what.triggers, out.bounds);
  out.max_scale = rounded_up(out.demand.max_scale);
  out.scale_to = rounded_up(out.demand.queue_length);
  out.running = in.unfinished - out.bounds.min;
  out.below_min = out.running < 0;
  out.result = out.below_min ? StrategyResult{-out.running, -out.running}
                             : apply_strategy({.strategy = what.strategy,
                                               .max_scale = out.max_scale,
                                               .running = out.running,
                                               .pending = in.pending,
                                               .max = out.bounds.max,
                                               .scale_to = out.scale_to,
                                               .deduction = in.deduction,
                                               .percentage = in.percentage});
  const std::int64_t effective = std::max<std::int64_t>(out.result.effective, 0);
  if (out.demand.active)
    out.create = std::max<std::int64_t>(std::min(out.result.scale_to, effective), 0);
  return out;
}

std::int64_t unbounded(const ExecutionsInput& in, const Plan& plan) {
  const JobBounds none{plan.bounds.min, kNoBound};
  return rounded_up(combine(in.combination, in.triggers, none).max_scale);
}

const JobTrigger* failed(const ExecutionsInput& in) {
  const auto it =
      std::ranges::find_if(in.triggers, [](const auto& one) { return !one.error.empty(); });
  return it == in.triggers.end() ? nullptr : &*it;
}

bool any_waiting(const ExecutionsInput& in) {
  return std::ranges::any_of(in.triggers, [](const auto& one) { return one.queue_length > 0; });
}

JobLimit keda_limit(const ExecutionsInput& in, const Plan& plan, std::int64_t wanted) {
  if (in.suspended) return JobLimit::Suspended;
  if (!plan.below_min && wanted > plan.bounds.max && plan.create < wanted)
    return JobLimit::MaxExecutions;
  if (failed(in)) return JobLimit::Stale;
  if (plan.create > 0) return JobLimit::None;
  if (plan.demand.queue_length > 0 && wanted > 0) return JobLimit::Reserved;
  return any_waiting(in) && plan.demand.chosen < 0 ? JobLimit::Activation : JobLimit::None;
}

std::string keda_sentence(const ExecutionsDecision& decision, const Plan& plan) {
  const ExecutionsInput& in = decision.input;
  const std::int64_t waiting = plan.scale_to;
  switch (decision.limit) {
    case JobLimit::Suspended:
      return "suspended";
    case JobLimit::MaxExecutions:
      return fmt::format("max-executions ({} of {} running); {} in the queue",
                         in.unfinished + decision.total(), plan.bounds.min + plan.bounds.max,
                         waiting);
    case JobLimit::Stale:
      return fmt::format("stale ({}: {}); nothing starts on its account", failed(in)->name,
                         failed(in)->error);
    case JobLimit::Reserved:
      return fmt::format("reserved (the {} running are counted against the {} in the queue)",
                         in.unfinished, waiting);
    case JobLimit::Activation:
      return "activation (what is in the queue is not more than the activation value)";
    default:
      break;
  }
  if (decision.total() > 0)
    return fmt::format("{} started, as many as are wanted", decision.total());
  return "nothing is in the queue";
}

std::string strategy_text(const ExecutionsInput& in, const Plan& plan) {
  const std::int64_t m = plan.max_scale;
  const std::int64_t r = plan.running;
  const std::int64_t max = plan.bounds.max;
  const std::int64_t effective = plan.result.effective;
  switch (in.strategy) {
    case JobStrategy::Custom:
      if (in.percentage.empty()) break;
      return fmt::format("custom: {} - {} - share {} of {} running, max {} = {}", m,
                         in.deduction.value_or(0), in.percentage, r, max, effective);
    case JobStrategy::Accurate:
      return m + r - in.pending > max
                 ? fmt::format("accurate: max {} - {} running = {}", max, r, effective)
                 : fmt::format("accurate: {} - {} pending = {}", m, in.pending, effective);
    case JobStrategy::Eager:
      return fmt::format("eager: min({} - {} running - {} pending, {}) = {}", max, r, in.pending, m,
                         effective);
    case JobStrategy::Default:
      break;
  }
  return fmt::format("{} - {} running = {}", m, r, effective);
}

std::string demand_text(const ExecutionsInput& in, const Plan& plan) {
  const JobDemand& demand = plan.demand;
  if (demand.chosen < 0)
    return fmt::format("queue {:.10g}, scale min({:.10g}, {}) rounded up = {}", demand.queue_length,
                       demand.max_scale, plan.bounds.max, plan.max_scale);
  const JobTrigger& trigger = in.triggers[static_cast<std::size_t>(demand.chosen)];
  const std::string name = in.triggers.size() > 1 ? trigger.name + ": " : "";
  if (trigger.target == 0) return fmt::format("{}no target per execution, scale 0", name);
  return fmt::format("{}min({:.10g} / {:.10g}, {}) rounded up = {}", name, trigger.queue_length,
                     trigger.target, plan.bounds.max, plan.max_scale);
}

std::string keda_formula(const ExecutionsInput& in, const Plan& plan) {
  if (plan.below_min)
    return fmt::format("min {} - {} unfinished = {}", plan.bounds.min, in.unfinished, plan.create);
  if (!plan.demand.active) return "no trigger is active: 0";
  return fmt::format("{}; {}; {} in the queue: {}", demand_text(in, plan), strategy_text(in, plan),
                     plan.scale_to, plan.create);
}

void decide_keda(ExecutionsDecision& decision) {
  const ExecutionsInput& in = decision.input;
  const Plan made = plan({in, in.triggers, in.combination, in.strategy});
  decision.wanted = made.below_min ? made.create : unbounded(in, made);
  const int rule = made.below_min ? -1 : made.demand.chosen;
  if (!in.suspended) add(decision, rule, made.create);
  decision.limit = keda_limit(in, made, decision.wanted);
  decision.sentence = keda_sentence(decision, made);
  decision.formula = keda_formula(in, made);
  decision.keda_would_create = plan({in, in.triggers, in.combination, JobStrategy::Default}).create;
}

// --- bound to messages --------------------------------------------------------------------------

struct Term {
  const BoundRule& rule;
  std::int64_t messages = 1;
  std::int64_t free = 0;  // ready and nobody's
  std::int64_t wanted = 0;
  bool gated = false;
};

Term term_of(const BoundRule& rule) {
  Term term{rule, std::max<std::int64_t>(rule.messages, 1), 0, 0, false};
  if (!rule.error.empty() || !rule.receivable) return term;
  term.free = std::max<std::int64_t>(rule.ready - rule.reserved, 0);
  term.gated = rule.ready + rule.locked <= rule.activation;
  if (!term.gated) term.wanted = term.free / term.messages + (term.free % term.messages != 0);
  return term;
}

struct Sums {
  std::vector<Term> terms;
  std::int64_t messages = 0;  // executions wanted for messages
  std::int64_t min = 0;       // that count; 0 when they are not looked at
  std::int64_t missing = 0;   // of them
  std::int64_t max = kDefaultMax;
  std::int64_t room = 0;
  bool several() const { return terms.size() > 1; }
};

Sums sums_of(const ExecutionsInput& in) {
  Sums sums;
  for (const BoundRule& rule : in.bound) {
    sums.terms.push_back(term_of(rule));
    sums.messages += sums.terms.back().wanted;
  }
  sums.max = in.max.value_or(kDefaultMax);
  sums.min = in.keep_min ? std::min(in.min.value_or(0), sums.max) : 0;
  sums.missing = std::max<std::int64_t>(sums.min - in.unfinished, 0);
  sums.room = sums.max - in.unfinished;
  return sums;
}

int first_readable(const Sums& sums) {
  for (std::size_t i = 0; i < sums.terms.size(); ++i)
    if (sums.terms[i].rule.error.empty() && sums.terms[i].rule.receivable)
      return static_cast<int>(i);
  return -1;
}

void hand_out(ExecutionsDecision& decision, const Sums& sums, std::int64_t total) {
  for (std::size_t i = 0; i < sums.terms.size(); ++i) {
    const std::int64_t count = std::min(sums.terms[i].wanted, total);
    add(decision, static_cast<int>(i), count);
    total -= count;
  }
  add(decision, first_readable(sums), total);
}

// Why this rule starts nothing although there is something in its queue.
JobLimit limit_of(const Term& term) {
  const BoundRule& rule = term.rule;
  if (rule.ready == 0) return rule.sessions ? JobLimit::SessionsLocked : JobLimit::Locked;
  if (term.gated) return JobLimit::Activation;
  const bool without = rule.reserved - rule.backing_off < rule.ready;
  return without && rule.backing_off > 0 ? JobLimit::BackOff : JobLimit::Reserved;
}

struct Reason {
  JobLimit limit = JobLimit::None;
  const Term* term = nullptr;
};

template <class Pick>
const Term* first(const Sums& sums, Pick pick) {
  const auto it = std::ranges::find_if(sums.terms, pick);
  return it == sums.terms.end() ? nullptr : &*it;
}

// A message that could be received says more than one that is in somebody's hands.
const Term* first_with_backlog(const Sums& sums) {
  if (const Term* ready = first(sums, [](const Term& one) { return one.rule.ready > 0; }))
    return ready;
  return first(sums, [](const Term& one) { return one.rule.locked > 0; });
}

Reason bound_reason(const ExecutionsDecision& decision, const Sums& sums) {
  if (decision.input.suspended) return {JobLimit::Suspended};
  if (decision.wanted > decision.total()) return {JobLimit::MaxExecutions};
  if (const Term* bad = first(sums, [](const Term& one) { return !one.rule.error.empty(); }))
    return {JobLimit::Stale, bad};
  if (const Term* off = first(sums, [](const Term& one) { return !one.rule.receivable; }))
    return {JobLimit::Disabled, off};
  if (decision.total() > 0) return {};
  const Term* term = first_with_backlog(sums);
  return term ? Reason{limit_of(*term), term} : Reason{};
}

// Messages that are ready, for which nothing was started.
std::int64_t left(const ExecutionsDecision& decision, const Sums& sums) {
  std::int64_t all = 0;
  for (std::size_t i = 0; i < sums.terms.size(); ++i) {
    std::int64_t rest = sums.terms[i].free;
    for (const auto& one : decision.create)
      if (one.rule == static_cast<int>(i)) rest -= one.count * sums.terms[i].messages;
    all += std::max<std::int64_t>(rest, 0);
  }
  return all;
}

std::string plain_sentence(const ExecutionsDecision& decision, const Sums& sums) {
  if (decision.total() == 0) return "nothing is ready";
  const bool kept = sums.missing > sums.messages;
  return fmt::format("{} started, as many as are {}", decision.total(),
                     kept ? "to be kept" : "wanted");
}

std::string bound_sentence(const ExecutionsDecision& decision, const Sums& sums,
                           const Reason& reason) {
  if (reason.limit == JobLimit::None) return plain_sentence(decision, sums);
  if (reason.limit == JobLimit::Suspended)
    return fmt::format("suspended; {} ready", left(decision, sums));
  if (reason.limit == JobLimit::MaxExecutions)
    return fmt::format("max-executions ({} of {} running); {} ready",
                       decision.input.unfinished + decision.total(), sums.max,
                       left(decision, sums));

  const BoundRule& rule = reason.term->rule;
  const std::string name = sums.several() ? rule.name + ": " : "";
  switch (reason.limit) {
    case JobLimit::Stale:
      return fmt::format("stale ({}: {}); nothing starts on its account", rule.name, rule.error);
    case JobLimit::Disabled:
      return fmt::format("disabled entity ({}); nothing starts on its account", rule.name);
    case JobLimit::Activation:
      return fmt::format("activation ({}{} are not more than {}); {} ready", name,
                         rule.ready + rule.locked, rule.activation, rule.ready);
    case JobLimit::BackOff:
      return fmt::format("back-off ({}{} reserved for executions that wait to try again); {} ready",
                         name, rule.backing_off, rule.ready);
    case JobLimit::Reserved:
      return fmt::format("reserved ({}{} of {} ready); executions were started for them", name,
                         std::min(rule.reserved, rule.ready), rule.ready);
    case JobLimit::SessionsLocked:
      return fmt::format("sessions locked ({}{}); no other session is ready", name, rule.locked);
    default:
      return fmt::format("locked ({}{}); none ready", name, rule.locked);
  }
}

std::string term_text(const Term& term) {
  const BoundRule& rule = term.rule;
  if (!rule.error.empty()) return "not known: 0";
  if (!rule.receivable) return "disabled: 0";
  if (term.gated)
    return fmt::format("0 while {} ready + {} locked <= activation {}", rule.ready, rule.locked,
                       rule.activation);
  return fmt::format("ceil(({} ready - {} reserved) / {}) = {}", rule.ready, rule.reserved,
                     term.messages, term.wanted);
}

std::string bound_formula(const ExecutionsInput& in, const Sums& sums) {
  std::string text;
  for (const Term& term : sums.terms)
    append(text, (sums.several() ? term.rule.name + ": " : "") + term_text(term));
  if (sums.several()) append(text, fmt::format("sum {}", sums.messages));
  if (sums.min > 0)
    append(text, fmt::format("min {} - {} unfinished = {}", sums.min, in.unfinished, sums.missing));
  append(text, fmt::format("max {} - {} unfinished = {}", sums.max, in.unfinished, sums.room));
  return text;
}

// KEDA sees locked messages as waiting, and not what is reserved.
std::vector<JobTrigger> as_keda_sees(const std::vector<BoundRule>& rules) {
  std::vector<JobTrigger> triggers;
  for (const BoundRule& rule : rules) {
    const auto length = static_cast<double>(rule.ready + rule.locked);
    triggers.push_back({rule.name, rule.type, length, static_cast<double>(rule.messages),
                        rule.ready + rule.locked > rule.activation, rule.error});
  }
  return triggers;
}

void decide_bound(ExecutionsDecision& decision) {
  const ExecutionsInput& in = decision.input;
  const Sums sums = sums_of(in);
  decision.wanted = std::max(sums.messages, sums.missing);
  if (!in.suspended) hand_out(decision, sums, std::min(decision.wanted, sums.room));
  const Reason reason = bound_reason(decision, sums);
  decision.limit = reason.limit;
  decision.sentence = bound_sentence(decision, sums, reason);
  decision.formula = bound_formula(in, sums);
  decision.keda_would_create =
      plan({in, as_keda_sees(in.bound), JobCombination::Max, JobStrategy::Default}).create;
}

}  // namespace

ExecutionsDecision decide_executions(const ExecutionsInput& input) {
  ExecutionsDecision decision;
  decision.input = input;
  input.semantics == JobSemantics::Bound ? decide_bound(decision) : decide_keda(decision);
  return decision;
}

std::string_view to_string(JobLimit limit) {
  switch (limit) {
    case JobLimit::None:
      return "none";
    case JobLimit::MaxExecutions:
      return "max-executions";
    case JobLimit::Reserved:
      return "reserved";
    case JobLimit::Locked:
      return "locked";
    case JobLimit::Activation:
      return "activation";
    case JobLimit::Suspended:
      return "suspended";
    case JobLimit::Stale:
      return "stale";
    case JobLimit::Disabled:
      return "disabled entity";
    case JobLimit::SessionsLocked:
      return "sessions locked";
    case JobLimit::BackOff:
      break;
  }
  return "back-off";
}

}  // namespace jobmill::scale
