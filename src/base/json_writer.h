// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <concepts>
#include <string>
#include <string_view>
#include <utility>

#include "base/document.h"  // json_quote

namespace jobmill {

// Writes JSON in one pass, without building a tree first:
//
//   JsonWriter json;
//   json.object().member("id", id).key("labels").array();
//   for (const auto& label : labels) json.value(label);
//   return std::move(json.end().end()).text();
class JsonWriter {
 public:
  JsonWriter& object() { return open('{', '}'); }
  JsonWriter& array() { return open('[', ']'); }
  JsonWriter& end() {
    text_ += closers_.back();
    closers_.pop_back();
    return *this;
  }

  // `name` is one of ours: nothing in it has to be escaped.
  JsonWriter& key(std::string_view name) {
    separate();
    text_ += '"';
    text_ += name;
    text_ += "\":";
    return *this;
  }

  // A name from outside.
  JsonWriter& key_text(std::string_view name) {
    separate();
    text_ += json_quote(name);
    text_ += ':';
    return *this;
  }

  JsonWriter& value(std::string_view text) {
    if (!is_plain(text)) return raw(json_quote(text));
    separate();
    text_ += '"';
    text_ += text;
    text_ += '"';
    return *this;
  }
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(std::same_as<bool> auto flag) { return raw(flag ? "true" : "false"); }
  template <std::integral T>
  requires(!std::same_as<T, bool>) JsonWriter& value(T number) {
    return raw(std::to_string(number));
  }

  // JSON that was written elsewhere. The caller vouches for it.
  JsonWriter& raw(std::string_view json) {
    separate();
    text_ += json;
    return *this;
  }

  template <class T>
  JsonWriter& member(std::string_view name, const T& v) {
    return key(name).value(v);
  }
  JsonWriter& raw_member(std::string_view name, std::string_view json) {
    return key(name).raw(json);
  }

  std::string text() && { return std::move(text_); }

 private:
  // Most texts are, and need no second look.
  static bool is_plain(std::string_view text) {
    return std::ranges::all_of(
        text, [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
  }

  JsonWriter& open(char opener, char closer) {
    separate();
    text_ += opener;
    closers_ += closer;
    return *this;
  }

  // A comma, unless this is the first value of its container or follows its key.
  void separate() {
    if (text_.empty()) return;
    const char last = text_.back();
    if (last != '{' && last != '[' && last != ':') text_ += ',';
  }

  std::string text_;
  std::string closers_;  // of the open containers, the innermost last
};

}  // namespace jobmill
