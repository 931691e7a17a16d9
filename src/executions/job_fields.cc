// SPDX-License-Identifier: Apache-2.0
#include "executions/job_fields.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>

#include "base/cron.h"
#include "base/duration.h"
#include "base/text.h"
#include "manifest/quantity.h"

namespace jobmill::executions {
namespace {

using manifest::Quantity;

constexpr std::int64_t kMebi = std::int64_t{1} << 20;
constexpr std::int64_t kGibi = std::int64_t{1} << 30;
constexpr double kMostCpus = 1e6;
constexpr double kMostMemory = 1e15;
constexpr double kMostSeconds = std::numeric_limits<std::int32_t>::max();
// As long as history is kept without an age. Not the greatest Duration: it is subtracted from now.
constexpr Duration kForever = std::chrono::hours(24 * 36525);

bool is_scalar(const Node& node) {
  return node.is_string() || node.is(Node::Kind::Integer) || node.is(Node::Kind::Number) ||
         node.is(Node::Kind::Bool);
}

std::optional<Quantity> read_quantity(Fields& fields, std::string_view key, double most) {
  const std::string text = scalar_text(fields, key);
  if (text.empty()) return std::nullopt;
  auto quantity = Quantity::parse(text);
  if (quantity && quantity->to_double() > 0 && quantity->to_double() <= most)
    return *std::move(quantity);
  fields.error(key, quantity ? "must be more than 0 and of a sane size, found " + text
                             : quantity.error().message);
  return std::nullopt;
}

void read_resources(Fields& resources, Container& container) {
  resources.accept({"ephemeralStorage", "gpu"});
  if (const auto cpu = read_quantity(resources, "cpu", kMostCpus))
    container.cpu_milli = cpu->milli();
  const auto memory = read_quantity(resources, "memory", kMostMemory);
  if (!memory) return;
  container.memory_bytes = memory->whole();
  if (*container.memory_bytes < kMebi)
    resources.problems().note(
        *resources.node().find("memory"),
        resources.path_to("memory") + ": less than a mebibyte; is a unit such as Gi missing?");
}

EnvVar read_env_var(Fields& fields) {
  EnvVar variable;
  variable.name = fields.required_text("name");
  variable.value = scalar_text(fields, "value");
  variable.secret = fields.text("secretRef");
  return variable;
}

Container read_container(Fields& fields) {
  Container container;
  container.name = fields.required_text("name");
  container.image = fields.text("image");
  container.command = fields.text_list("command");
  container.args = fields.text_list("args");
  fields.each("env", [&](Fields& f) { container.env.push_back(read_env_var(f)); });
  fields.object("resources", [&](Fields& f) { read_resources(f, container); });
  fields.accept({"volumeMounts", "probes", "imageType"});
  return container;
}

std::optional<int> whole_number(std::string_view text) {
  int value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < 0) return std::nullopt;
  return value;
}

std::optional<Duration> seconds_of(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || !(value >= 0 && value <= kMostSeconds))
    return std::nullopt;
  return std::chrono::round<Duration>(std::chrono::duration<double>(value));
}

std::pair<std::string_view, std::string_view> at_comma(std::string_view text) {
  const std::size_t comma = text.find(',');
  if (comma == text.npos) return {text, {}};
  return {text.substr(0, comma), text.substr(comma + 1)};
}

// "none", "SECONDS" or "SECONDS,MAX".
void read_backoff(Fields& fields, Backoff& backoff) {
  const std::string text = lower(scalar_text(fields, "retryBackoff"));
  if (text.empty()) return;
  if (text == "none") {
    backoff = {Duration::zero(), Duration::zero()};
    return;
  }
  const auto [first_text, longest_text] = at_comma(text);
  const auto first = seconds_of(first_text);
  auto longest = seconds_of(longest_text);
  if (longest_text.empty() && first) longest = std::max(*first, Backoff().longest);
  if (!first || !longest || *longest < *first)
    return fields.error("retryBackoff",
                        "expected none, SECONDS or SECONDS,MAX, found " + json_quote(text));
  backoff = {*first, *longest};
}

// "all", "KEEP", "KEEP,DURATION" or "all,DURATION". Without a duration: however old they are.
void read_history(Fields& fields, History& history) {
  const std::string text = scalar_text(fields, "history");
  if (text.empty()) return;
  const auto [keep_text, age_text] = at_comma(text);
  const bool all = lower(keep_text) == "all";
  const auto keep = whole_number(keep_text);
  auto age = age_text.empty() ? Result<Duration>(kForever) : parse_duration(age_text);
  if ((!all && !keep) || !age)
    return fields.error("history", "expected all or a number, or either with a duration as in " +
                                       json_quote("1000,P30D") + ", found " + json_quote(text));
  history.keep = all ? std::nullopt : keep;
  history.age = *age;
}

int words_in(std::string_view text) {
  int words = 0;
  bool inside = false;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\t';
    if (!blank && !inside) ++words;
    inside = !blank;
  }
  return words;
}

Node seconds_document(Duration duration) {
  if (duration % std::chrono::seconds(1) == Duration::zero())
    return Node::integer(std::chrono::duration_cast<std::chrono::seconds>(duration).count());
  return Node::number(std::chrono::duration<double>(duration).count());
}

std::string backoff_text(const Backoff& backoff) {
  if (backoff.longest == Duration::zero()) return "none";
  return seconds_document(backoff.first).text + "," + seconds_document(backoff.longest).text;
}

std::string history_text(const History& history) {
  const std::string keep = history.keep ? std::to_string(*history.keep) : "all";
  return history.age == kForever ? keep : keep + "," + format_iso(history.age);
}

// As people write it: "0.5Gi". Eighths are exact in three decimals.
std::string memory_text(std::int64_t bytes) {
  if (bytes % kGibi == 0) return std::to_string(bytes / kGibi) + "Gi";
  if (bytes % (kGibi / 8) == 0)
    return Node::number(static_cast<double>(bytes) / static_cast<double>(kGibi)).text + "Gi";
  if (bytes % kMebi == 0) return std::to_string(bytes / kMebi) + "Mi";
  return std::to_string(bytes);
}

Node cpu_document(std::int64_t milli) {
  if (milli % 1000 == 0) return Node::integer(milli / 1000);
  return Node::number(static_cast<double>(milli) / 1000);
}

Node variable_document(const EnvVar& variable) {
  Node node = Node::object();
  node.set("name", Node::string(variable.name));
  if (variable.secret.empty()) node.set("value", Node::string(variable.value));
  set_text(node, "secretRef", variable.secret);
  return node;
}

Node auth_document(const ScaleRule::Auth& auth) {
  Node node = Node::object();
  node.set("secretRef", Node::string(auth.secret));
  node.set("triggerParameter", Node::string(auth.parameter));
  return node;
}

Node resources_document(const Container& container) {
  Node node = Node::object();
  if (container.cpu_milli) node.set("cpu", cpu_document(*container.cpu_milli));
  if (container.memory_bytes)
    node.set("memory", Node::string(memory_text(*container.memory_bytes)));
  return node;
}

Node container_document(const Container& container) {
  Node node = Node::object();
  node.set("name", Node::string(container.name));
  node.set("image", Node::string(container.image));
  if (!container.command.empty()) node.set("command", text_list(container.command));
  if (!container.args.empty()) node.set("args", text_list(container.args));
  if (!container.env.empty()) node.set("env", list_document(container.env, variable_document));
  if (container.cpu_milli || container.memory_bytes)
    node.set("resources", resources_document(container));
  return node;
}

}  // namespace

std::string scalar_text(Fields& fields, std::string_view key) {
  const Node* node = fields.any(key);
  if (!node || is_scalar(*node)) return node ? node->text : std::string();
  fields.error(
      key, "expected a string or a number, found " + std::string(jobmill::to_string(node->kind)));
  return {};
}

Texts scalar_texts(Fields& fields, std::string_view key) {
  Texts texts;
  fields.object(key, [&](Fields& members) {
    for (const Node::Member& member : members.node().members)
      texts.emplace(member.key, scalar_text(members, member.key));
  });
  return texts;
}

std::optional<std::size_t> any_case_word(Fields& fields, std::string_view key,
                                         std::span<const std::string_view> words) {
  const std::string text = lower(fields.text(key));
  if (text.empty()) return std::nullopt;
  std::string known;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (lower(words[i]) == text) return i;
    known += (known.empty() ? "" : ", ") + std::string(words[i]);
  }
  fields.error(key, "expected one of " + known + ", found " + json_quote(fields.text(key)));
  return std::nullopt;
}

std::optional<Duration> read_seconds(Fields& fields, std::string_view key) {
  const Node* node = fields.any(key);
  if (!node) return std::nullopt;
  const bool number = node->is(Node::Kind::Integer) || node->is(Node::Kind::Number);
  const auto duration = number ? seconds_of(node->text) : std::nullopt;
  if (!duration) fields.error(key, "expected seconds, found " + to_json(*node));
  return duration;
}

std::string read_cron(Fields& fields, std::string_view key) {
  const std::string cron = fields.text(key);
  if (cron.empty()) return cron;
  if (words_in(cron) != 5) {
    fields.error(key,
                 "expected five fields (minute hour day month weekday), found " + json_quote(cron));
  } else if (const auto parsed = Cron::parse(cron); !parsed) {
    fields.error(key, parsed.error().message);
  }
  return cron;
}

Template read_template(Fields& fields, const CheckContainer& check) {
  Template pod;
  const auto read_into = [&](std::vector<Container>& containers) {
    return [&](Fields& f) {
      containers.push_back(read_container(f));
      if (check) check(f, containers.back());
    };
  };
  fields.each("containers", read_into(pod.containers));
  fields.each("initContainers", read_into(pod.init_containers));
  fields.accept({"volumes"});
  return pod;
}

ScaleRule read_rule(Fields& fields) {
  ScaleRule rule;
  rule.name = fields.text("name");
  rule.type = lower(fields.text("type"));
  rule.metadata = scalar_texts(fields, "metadata");
  fields.each("auth", [&](Fields& f) {
    rule.auth.push_back({f.required_text("secretRef"), f.required_text("triggerParameter")});
  });
  rule.identity = lower(fields.text("identity"));
  return rule;
}

AssignedIdentities read_identity(Fields& fields) {
  AssignedIdentities identity;
  fields.object("userAssignedIdentities", [&](Fields& users) {
    for (const Node::Member& member : users.node().members) {
      users.accept({member.key});
      identity.user.push_back(lower(member.key));
    }
  });
  fields.accept({"principalId", "clientId", "tenantId"});
  std::string type = lower(fields.text("type"));
  std::erase(type, ' ');
  const bool both = type == "systemassigned,userassigned";
  const bool user = both || type == "userassigned";
  identity.system = both || type == "systemassigned";
  if (!identity.system && !user && !type.empty() && type != "none")
    fields.error("type",
                 "expected None, SystemAssigned, UserAssigned or \"SystemAssigned, UserAssigned\"");
  if (!user) identity.user.clear();
  return identity;
}

JobOptions read_options(Fields& fields) {
  JobOptions options;
  if (const auto runner = any_case_word(fields, "runner", kRunners))
    options.runner = RunnerKind(*runner);
  options.workdir = fields.text("workdir");
  if (const auto semantics = any_case_word(fields, "semantics", kSemantics))
    options.semantics = Semantics(*semantics);
  options.supervisor_locks = fields.boolean("supervisorLocks").value_or(true);
  options.stop_grace = read_seconds(fields, "stopGrace").value_or(options.stop_grace);
  read_backoff(fields, options.backoff);
  options.stalled_after = read_seconds(fields, "stalledAfter");
  read_history(fields, options.history);
  options.schedule = read_cron(fields, "schedule");
  options.pending_limit = fields.integer("pendingLimit", {.least = 1});
  options.suspended = fields.boolean("suspended").value_or(false);
  return options;
}

Node to_document(const Template& pod) {
  Node node = Node::object();
  node.set("containers", list_document(pod.containers, container_document));
  if (!pod.init_containers.empty())
    node.set("initContainers", list_document(pod.init_containers, container_document));
  return node;
}

Node rule_document(const ScaleRule& rule) {
  Node node = Node::object();
  node.set("name", Node::string(rule.name));
  node.set("type", Node::string(rule.type));
  Node metadata = Node::object();
  for (const auto& [key, value] : rule.metadata) metadata.set(key, Node::string(value));
  node.set("metadata", std::move(metadata));
  if (!rule.auth.empty()) node.set("auth", list_document(rule.auth, auth_document));
  set_text(node, "identity", rule.identity);
  return node;
}

Node identity_document(const AssignedIdentities& identity) {
  const bool user = !identity.user.empty();
  Node node = Node::object();
  node.set("type", Node::string(identity.system && user ? "SystemAssigned, UserAssigned"
                                : identity.system       ? "SystemAssigned"
                                : user                  ? "UserAssigned"
                                                        : "None"));
  if (!user) return node;
  Node& ids = node.set("userAssignedIdentities", Node::object());
  for (const std::string& id : identity.user) ids.set(id, Node::object());
  return node;
}

Node options_document(const JobOptions& options) {
  Node node = Node::object();
  node.set("runner", Node::string(kRunners[static_cast<std::size_t>(options.runner)]));
  set_text(node, "workdir", options.workdir);
  if (options.semantics) node.set("semantics", Node::string(to_string(*options.semantics)));
  node.set("supervisorLocks", Node::boolean(options.supervisor_locks));
  node.set("stopGrace", seconds_document(options.stop_grace));
  node.set("retryBackoff", Node::string(backoff_text(options.backoff)));
  if (options.stalled_after) node.set("stalledAfter", seconds_document(*options.stalled_after));
  node.set("history", Node::string(history_text(options.history)));
  set_text(node, "schedule", options.schedule);
  if (options.pending_limit) node.set("pendingLimit", Node::integer(*options.pending_limit));
  node.set("suspended", Node::boolean(options.suspended));
  return node;
}

void set_text(Node& object, std::string key, std::string_view text) {
  if (!text.empty()) object.set(std::move(key), Node::string(text));
}

void set_instant(Node& object, std::string key, const std::optional<TimePoint>& at) {
  if (at) object.set(std::move(key), Node::string(format_instant(*at)));
}

Node text_list(const std::vector<std::string>& texts) {
  Node list = Node::array();
  for (const std::string& text : texts) list.push(Node::string(text));
  return list;
}

}  // namespace jobmill::executions
