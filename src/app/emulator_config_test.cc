// SPDX-License-Identifier: Apache-2.0
#include "app/emulator_config.h"

#include <doctest/doctest.h>

namespace jobmill::app {
namespace {

using manifest::Problems;

constexpr char kFile[] = R"({
  // what the emulator's own example looks like
  "UserConfig": {
    "Namespaces": [ {
      "Name": "sbemulatorns",
      "Queues": [
        { "Name": "plain" },
        { "Name": "orders", "Properties": {
            "DeadLetteringOnMessageExpiration": true,
            "DefaultMessageTimeToLive": "PT2H", /* longer than there */
            "LockDuration": "PT5S", "MaxDeliveryCount": 2, "ForwardTo": "",
            "RequiresSession": true, "ForwardDeadLetteredMessagesTo": "sb://localhost/dead" } }
      ],
      "Topics": [ { "Name": "news", "Subscriptions": [] } ]
    } ],
    "Logging": { "Type": "File" }
  }
})";

TEST_CASE("emulator file: entities, with the emulator's defaults where it says nothing") {
  Problems problems("Config.json");
  const auto config = read_emulator_config("\xef\xbb\xbf" + std::string(kFile), problems);
  REQUIRE(problems.errors().empty());
  REQUIRE(config.namespaces.size() == 1);
  const auto& queues = config.namespaces[0].queues;
  REQUIRE(queues.size() == 2);
  CHECK(queues[0].max_delivery_count == 3);
  CHECK(queues[0].default_ttl == std::chrono::hours(1));
  CHECK(queues[0].duplicate_window == std::chrono::seconds(20));
  CHECK(queues[1].lock_duration == std::chrono::seconds(5));
  CHECK(queues[1].default_ttl == std::chrono::hours(2));
  CHECK(queues[1].requires_session);
  CHECK(queues[1].dead_letter_on_expiration);
  CHECK(queues[1].forward_to.empty());
  CHECK(queues[1].forward_dead_letters_to == "sb://localhost/dead");
}

TEST_CASE("emulator file: the longest time to live is none") {
  Problems problems("Config.json");
  const auto config = read_emulator_config(R"({"UserConfig": {
    "Namespaces": [{"Name": "n", "Queues": [{"Name": "q", "Properties": {
      "DefaultMessageTimeToLive": "P10675199DT2H48M5.4775807S"}}], "Topics": []}],
    "Logging": {"Type": "File"}}})",
                                           problems);
  REQUIRE(problems.errors().empty());
  CHECK(config.namespaces[0].queues[0].default_ttl == std::nullopt);
}

TEST_CASE("emulator file: what goes beyond the emulator, and what is left out, is said") {
  Problems problems("Config.json");
  (void)read_emulator_config(kFile, problems);
  REQUIRE(problems.notes().size() == 2);
  CHECK(problems.notes()[0].where == "Config.json:10");
  CHECK(problems.notes()[1].text.find("topic 'news'") == 0);
}

TEST_CASE("emulator file: errors name line and path") {
  const auto error_of = [](std::string_view text) {
    Problems problems("Config.json");
    (void)read_emulator_config(text, problems);
    return problems.errors().empty()
               ? std::string()
               : problems.errors()[0].where + ": " + problems.errors()[0].text;
  };
  const std::string unknown = error_of(R"({"UserConfig": {"Namespaces": [{"Name": "n", "Queues": [
    {"Name": "q", "Properties": {"LockDurration": "PT5S"}}], "Topics": []}],
    "Logging": {"Type": "File"}}})");
  CHECK(unknown.find(
            "Config.json:2: UserConfig.Namespaces[0].Queues[0].Properties.LockDurration") == 0);
  CHECK(unknown.ends_with("; did you mean LockDuration?"));
  const std::string bad = error_of(R"({"UserConfig": {"Namespaces": [{"Name": "n", "Queues": [
    {"Name": "q", "Properties": {"LockDuration": "5 s"}}], "Topics": []}],
    "Logging": {"Type": "File"}}})");
  CHECK(bad.find("'5 s' is no duration") != std::string::npos);
  CHECK(error_of("{").find("Config.json") == 0);
}

TEST_CASE("emulator file: a queue that is there twice is a conflict of two named places") {
  Problems problems("Config.json");
  (void)read_emulator_config(R"({"UserConfig": {"Namespaces": [
    {"Name": "one", "Queues": [{"Name": "orders"}], "Topics": []},
    {"Name": "two", "Queues": [{"Name": "other"},
      {"Name": "Orders"}], "Topics": []}],
    "Logging": {"Type": "File"}}})",
                             problems);
  REQUIRE(problems.errors().size() == 1);
  CHECK(problems.errors()[0].where == "Config.json:4");
  CHECK(problems.errors()[0].text.find(
            "'Orders' is the same queue as 'orders' of namespace 'one' on line 2") !=
        std::string::npos);
}

}  // namespace
}  // namespace jobmill::app
