// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "amqp/value.h"
#include "api/problem.h"
#include "base/document.h"
#include "base/json_writer.h"
#include "broker/message.h"

namespace jobmill::api {

enum class Bodies { Shown, Hidden };  // hidden: only their size is told

// A message for people: broker properties, application properties, and the body as text where it is
// valid UTF-8, else in base64.
void write_message(JsonWriter& json, const broker::Message& message, Bodies bodies = Bodies::Shown);

// A value of an application property as JSON has it: numbers, booleans and texts as such, the rest
// as a text.
void write_value(JsonWriter& json, const amqp::Value& value);

// The other way round: an encoded message from the object that a client sent. What is wrong with it
// goes to `errors`.
std::string read_message_json(const Node& node, std::vector<FieldError>& errors);

// The bytes of a body: its data sections together, or the text or binary of its value.
std::string body_bytes(std::string_view body_sections);

}  // namespace jobmill::api
