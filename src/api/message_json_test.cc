// SPDX-License-Identifier: Apache-2.0
#include "api/message_json.h"

#include <doctest/doctest.h>

#include "amqp/message.h"
#include "base/utf8.h"

namespace jobmill::api {
namespace {

const TimePoint kNow = ManualClock().now();

// What a client sends, as the broker has it.
broker::Message stored(std::string_view json) {
  std::vector<FieldError> errors;
  const std::string bytes = read_message_json(*parse_json(json), errors);
  REQUIRE(errors.empty());
  auto message = broker::read_message(bytes, kNow);
  REQUIRE(message);
  return *std::move(message);
}

std::string shown(const broker::Message& message) {
  JsonWriter json;
  write_message(json, message);
  return std::move(json).text();
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("message JSON: what is sent is shown") {
  const auto message = stored(
      R"({"messageId": "m1", "sessionId": "s", "subject": "news", "contentType": "text/plain",
          "correlationId": "c", "to": "there", "replyTo": "here", "body": "grüße",
          "timeToLive": "PT5M", "scheduledEnqueueTime": "2024-01-02T00:00:00Z",
          "applicationProperties": {"text": "t", "whole": 7, "real": 1.5, "flag": true}})");
  CHECK(message.message_id == "m1");
  CHECK(message.session_id == "s");
  const std::string text = shown(message);
  for (const char* part :
       {R"("messageId":"m1")", R"("sessionId":"s")", R"("subject":"news")", R"("to":"there")",
        R"("contentType":"text/plain")", R"("correlationId":"c")", R"("replyTo":"here")",
        R"("text":"t","whole":7,"real":1.5,"flag":true)", R"("size":7)", "grüße",
        R"("scheduledEnqueueTime":"2024-01-02T00:00:00Z")"})
    CHECK_MESSAGE(has(text, part), part << " in " << text);
}

TEST_CASE("message JSON: a body that is no text is base64") {
  const auto message = stored(R"({"bodyBase64": "/wD+"})");
  const std::string text = shown(message);
  CHECK(has(text, R"("size":3,"bodyBase64":"/wD+")"));
  CHECK_FALSE(has(text, R"("body":)"));
}

TEST_CASE("message JSON: a dead letter says why") {
  auto message = stored(
      R"({"body": "x", "applicationProperties":
          {"DeadLetterReason": "Bad", "DeadLetterErrorDescription": "worse"}})");
  message.dead_letter_source = "orders";
  const std::string text = shown(message);
  CHECK(has(text, R"("deadLetterSource":"orders")"));
  CHECK(has(text, R"("deadLetterReason":"Bad","deadLetterErrorDescription":"worse")"));
}

TEST_CASE("message JSON: what cannot be sent is named") {
  std::vector<FieldError> errors;
  (void)read_message_json(*parse_json(R"({"bodyy": "x", "timeToLive": "soon", "bodyBase64": "?"})"),
                          errors);
  REQUIRE(errors.size() == 3);
  CHECK(errors[0].field == "timeToLive");
  CHECK(errors[1].field == "bodyBase64");
  CHECK(errors[2].field == "bodyy");
  CHECK(has(errors[2].reason, "body"));
}

TEST_CASE("message JSON: bodies of every kind of section") {
  const std::string two(
      "\0\x53\x75\xa0\x01"
      "a\0\x53\x75\xa0\x01"
      "b",
      12);
  CHECK(body_bytes(two) == "ab");
  CHECK(body_bytes(std::string("\0\x53\x77\xa1\x02hi", 7)) == "hi");  // amqp-value, a text
  CHECK(body_bytes(std::string("\0\x53\x77\xa0\x02hi", 7)) == "hi");  // amqp-value, binary
  CHECK(body_bytes(std::string("\0\x53\x77\x54\x05", 5)) == "5");     // amqp-value, an int
  CHECK(body_bytes("").empty());
}

TEST_CASE("message JSON: UTF-8 is told from bytes") {
  for (const char* text : {"", "plain", "grüße", "\xe2\x82\xac", "\xf0\x9f\x98\x80"})
    CHECK_MESSAGE(is_utf8(text), text);
  for (const char* bytes :
       {"\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80", "a\x80"})
    CHECK_FALSE(is_utf8(bytes));
}

}  // namespace
}  // namespace jobmill::api
