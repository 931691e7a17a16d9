// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "amqp/codec.h"
#include "amqp/value.h"
#include "base/result.h"

// Inside the engine: composite types (part 1, section 1.4), described lists whose items are fields.
// Each type lists its fields once, for reading and for writing:
//
//   template <>
//   struct Composite<End> {
//     static constexpr std::uint64_t kDescriptor = 0x17;
//     static constexpr const char* kName = "end";
//     static auto fields(auto& end, auto&& each) { return each(end.error); }
//   };
//
// Written, all fields are there. Read, a field that is null or missing keeps its default, and one
// that is `required` is an error.
namespace jobmill::amqp {

template <class T>
struct Composite;

template <class T>
concept IsComposite = requires {
  Composite<std::remove_const_t<T>>::kDescriptor;
};

// What a field is on the wire where the type of the member does not say it.
template <class Field>
struct Required {
  Field field;
};
template <class Text>
struct SymbolField {
  Text& text;
};
template <class Bytes>
struct BinaryField {
  Bytes& bytes;
};
template <class Number>
struct TimestampField {
  Number& ms;
};
template <class Field>
Required<Field> required(Field&& field) {
  return {std::forward<Field>(field)};
}
template <class Text>
SymbolField<Text> symbol(Text& text) {
  return {text};
}
template <class Bytes>
BinaryField<Bytes> binary(Bytes& bytes) {
  return {bytes};
}
template <class Number>
TimestampField<Number> timestamp(Number& ms) {
  return {ms};
}

// Reading and writing of one field that is not null: a Field<T> for every T.
template <class T>
struct Field;

// --- composites --------------------------------------------------------------------------------

class FieldReader {
 public:
  FieldReader(Reader::Items items, const char* name)
      : in_(items.bytes), left_(items.count), name_(name) {}

  template <class... Fields>
  Status operator()(Fields&&... fields) {
    Status status;
    (void)((status = next(fields)) && ...);
    return status ? finish() : std::move(status);
  }

 private:
  bool take_absent() {
    ++number_;
    if (left_ == 0) return true;
    --left_;
    return in_.take_null();
  }

  template <class T>
  Status next(Required<T>& field) {
    if (take_absent()) return missing();
    return Field<std::remove_reference_t<T>>::read(in_, field.field);
  }

  template <class T>
  Status next(T& field) {
    if (take_absent()) return {};
    return Field<T>::read(in_, field);
  }

  // Fields that a later revision may add are passed over.
  Status finish() {
    for (; left_ > 0; --left_) TRY_VOID(in_.skip());
    if (!in_.at_end()) return fail(Code::InvalidArgument, "a list is larger than its items");
    return {};
  }

  Fault missing() const {
    return fail(Code::InvalidArgument, std::string(name_) + ": mandatory field " +
                                           std::to_string(number_) + " is missing");
  }

  Reader in_;
  std::uint32_t left_;
  const char* name_;
  int number_ = 0;
};

// The list that follows the descriptor.
template <IsComposite T>
Status read_fields(Reader& in, T& composite) {
  TRY(const Reader::Items items, in.list_items());
  return Composite<T>::fields(composite, FieldReader(items, Composite<T>::kName));
}

template <IsComposite T>
Status read_composite(Reader& in, T& composite) {
  TRY(const std::uint64_t code, in.descriptor());
  if (code != Composite<T>::kDescriptor)
    return fail(Code::InvalidArgument, std::string("not an AMQP ") + Composite<T>::kName);
  return read_fields(in, composite);
}

template <class T>
void write_field(Writer& out, const T& field) {
  Field<T>::write(out, field);
}

template <IsComposite T>
void write_composite(Writer& out, const T& composite) {
  out.descriptor(Composite<T>::kDescriptor);
  Composite<T>::fields(composite, [&out](const auto&... fields) {
    const Writer::Mark mark = out.begin_list(sizeof...(fields));
    (write_field(out, fields), ...);
    out.end_shortest(mark);
  });
}

// --- fields ------------------------------------------------------------------------------------

inline Fault null_field() { return fail(Code::InvalidArgument, "an AMQP field is null"); }

template <class T>
requires std::is_unsigned_v<T>
struct Field<T> {
  static Status read(Reader& in, T& field) {
    TRY(const auto number, in.unsigned_integer());
    if (!number) return null_field();
    if (!std::in_range<T>(*number))
      return fail(Code::InvalidArgument, "an AMQP number is too large for its field");
    field = static_cast<T>(*number);
    return {};
  }
  static void write(Writer& out, T field) {
    if constexpr (sizeof(T) == 1) out.ubyte(field);
    if constexpr (sizeof(T) == 2) out.ushort(field);
    if constexpr (sizeof(T) == 4) out.uint(field);
    if constexpr (sizeof(T) == 8) out.ulong(field);
  }
};

template <>
struct Field<bool> {
  static Status read(Reader& in, bool& field) {
    TRY(const auto flag, in.boolean());
    if (!flag) return null_field();
    field = *flag;
    return {};
  }
  static void write(Writer& out, bool field) { out.boolean(field); }
};

template <class T>
requires std::is_same_v<T, std::string> || std::is_same_v<T, std::string_view>
struct Field<T> {
  static Status read(Reader& in, T& field) {
    TRY(const auto text, in.text());
    if (!text) return null_field();
    field = *text;
    return {};
  }
  static void write(Writer& out, const T& field) { out.string(field); }
};

template <>
struct Field<Value> {
  static Status read(Reader& in, Value& field) {
    TRY(field, in.value());
    return {};
  }
  static void write(Writer& out, const Value& field) { out.value(field); }
};

// Empty maps are written as null.
template <>
struct Field<Map> {
  static Status read(Reader& in, Map& field) {
    TRY(Value value, in.value());
    Map* map = value.as<Map>();
    if (!map) return fail(Code::InvalidArgument, "an AMQP map is expected");
    field = std::move(*map);
    return {};
  }
  static void write(Writer& out, const Map& field) {
    if (field.empty())
      out.null();
    else
      out.map(field);
  }
};

template <class T>
struct Field<std::optional<T>> {
  static Status read(Reader& in, std::optional<T>& field) {
    return Field<T>::read(in, field.emplace());
  }
  static void write(Writer& out, const std::optional<T>& field) {
    if (field)
      Field<T>::write(out, *field);
    else
      out.null();
  }
};

template <class T>
struct Field<Required<T>> {
  static void write(Writer& out, const Required<T>& field) { write_field(out, field.field); }
};

template <IsComposite T>
struct Field<T> {
  static Status read(Reader& in, T& field) { return read_composite(in, field); }
  static void write(Writer& out, const T& field) { write_composite(out, field); }
};

// Members of wrapped fields are optional or not; null is written for the empty ones.
template <class T>
void assign(T& member, std::string_view bytes) {
  member = bytes;
}
template <class T>
void assign(std::optional<T>& member, std::string_view bytes) {
  member.emplace(bytes);
}
template <class T, class Write>
void write_present(Writer&, const T& member, Write write) {
  write(member);
}
template <class T, class Write>
void write_present(Writer& out, const std::optional<T>& member, Write write) {
  if (member)
    write(*member);
  else
    out.null();
}

template <class T>
struct Field<SymbolField<T>> {
  static Status read(Reader& in, const SymbolField<T>& field) {
    return Field<T>::read(in, field.text);
  }
  static void write(Writer& out, const SymbolField<T>& field) {
    write_present(out, field.text, [&](std::string_view text) { out.symbol(text); });
  }
};

template <class T>
struct Field<BinaryField<T>> {
  static Status read(Reader& in, const BinaryField<T>& field) {
    TRY(const auto bytes, in.binary());
    if (!bytes) return null_field();
    assign(field.bytes, *bytes);
    return {};
  }
  static void write(Writer& out, const BinaryField<T>& field) {
    write_present(out, field.bytes, [&](std::string_view bytes) { out.binary(bytes); });
  }
};

template <class T>
struct Field<TimestampField<T>> {
  static Status read(Reader& in, const TimestampField<T>& field) {
    TRY(const auto ms, in.integer());
    if (!ms) return null_field();
    field.ms = *ms;
    return {};
  }
  static void write(Writer& out, const TimestampField<T>& field) {
    write_present(out, field.ms, [&](std::int64_t ms) { out.timestamp(ms); });
  }
};

}  // namespace jobmill::amqp
