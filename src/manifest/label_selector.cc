// SPDX-License-Identifier: Apache-2.0
#include "manifest/label_selector.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

#include <fmt/format.h>

namespace jobmill::manifest {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::string_view kSymbols = " \t\r\n=!(),<>";

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Fault wrong(std::string text) {
  return fail(Code::InvalidArgument, "label selector: " + std::move(text));
}

std::string text_of(const Node& node, std::string_view key) {
  const Node* found = node.find(key);
  return found != nullptr && found->is_string() ? found->text : std::string();
}

}  // namespace

bool LabelSelector::Requirement::holds(const Texts& labels) const {
  const auto label = labels.find(key);
  const bool there = label != labels.end();
  const bool listed = there && std::ranges::count(values, label->second) > 0;
  switch (op) {
    case Operator::Exists:
      return there;
    case Operator::DoesNotExist:
      return !there;
    case Operator::In:
      return listed;
    case Operator::NotIn:  // an object without the label meets it
      return !listed;
    case Operator::Greater:
    case Operator::Less: {
      const auto value = there ? number(label->second) : std::nullopt;
      const auto bound = number(values.front());
      if (!value || !bound) return false;
      return op == Operator::Greater ? *value > *bound : *value < *bound;
    }
  }
  return false;
}

bool LabelSelector::matches(const Texts& labels) const {
  return std::ranges::all_of(requirements_,
                             [&](const Requirement& one) { return one.holds(labels); });
}

class LabelSelector::Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) { skip(); }

  Result<LabelSelector> read() {
    LabelSelector selector;
    if (rest_.empty()) return selector;
    do {
      TRY(Requirement one, requirement());
      selector.requirements_.push_back(std::move(one));
    } while (take(","));
    if (!rest_.empty()) return wrong("unexpected " + seen());
    return selector;
  }

 private:
  Result<Requirement> requirement() {
    const bool absent = take("!");
    Requirement one{.key = word()};
    if (one.key.empty()) return wrong("expected a label, not " + seen());
    if (absent || rest_.empty() || rest_.front() == ',') {
      one.op = absent ? Operator::DoesNotExist : Operator::Exists;
      return one;
    }
    if (take("!=")) return with(std::move(one), Operator::NotIn);
    if (take("==") || take("=")) return with(std::move(one), Operator::In);
    if (take(">")) return bounded(std::move(one), Operator::Greater);
    if (take("<")) return bounded(std::move(one), Operator::Less);
    return listed(std::move(one));
  }

  Requirement with(Requirement one, Operator op) {
    one.op = op;
    one.values.push_back(word());
    return one;
  }

  Result<Requirement> bounded(Requirement one, Operator op) {
    one = with(std::move(one), op);
    if (!number(one.values.front())) return wrong("expected a number for " + one.key);
    return one;
  }

  Result<Requirement> listed(Requirement one) {
    const std::string op = word();
    if (op != "in" && op != "notin") return wrong("expected an operator after " + one.key);
    one.op = op == "in" ? Operator::In : Operator::NotIn;
    if (!take("(")) return wrong("expected (, not " + seen());
    do one.values.push_back(word());
    while (take(","));
    if (!take(")")) return wrong("expected ), not " + seen());
    return one;
  }

  void skip() { rest_.remove_prefix(std::min(rest_.find_first_not_of(kBlanks), rest_.size())); }

  bool take(std::string_view symbol) {
    if (!rest_.starts_with(symbol)) return false;
    rest_.remove_prefix(symbol.size());
    skip();
    return true;
  }

  std::string word() {
    const auto end = std::min(rest_.find_first_of(kSymbols), rest_.size());
    std::string found(rest_.substr(0, end));
    rest_.remove_prefix(end);
    skip();
    return found;
  }

  std::string seen() const { return rest_.empty() ? "the end" : json_quote(rest_); }

  std::string_view rest_;
};

Result<LabelSelector> LabelSelector::parse(std::string_view text) { return Reader(text).read(); }

Result<LabelSelector> LabelSelector::decode(const Node& node) {
  LabelSelector selector;
  if (const Node* labels = node.find("matchLabels")) {
    for (const Node::Member& label : labels->members)
      selector.requirements_.push_back(
          {.key = label.key, .op = Operator::In, .values = {label.value.text}});
  }
  const Node* expressions = node.find("matchExpressions");
  if (expressions == nullptr) return selector;
  for (const Node& expression : expressions->items) {
    Requirement one{.key = text_of(expression, "key")};
    const std::string op = text_of(expression, "operator");
    if (op == "In")
      one.op = Operator::In;
    else if (op == "NotIn")
      one.op = Operator::NotIn;
    else if (op == "DoesNotExist")
      one.op = Operator::DoesNotExist;
    else if (op != "Exists")
      return wrong(fmt::format("unknown operator: {}; known: In, NotIn, Exists, DoesNotExist", op));
    if (const Node* values = expression.find("values"))
      for (const Node& value : values->items) one.values.push_back(value.text);
    selector.requirements_.push_back(std::move(one));
  }
  return selector;
}

}  // namespace jobmill::manifest
