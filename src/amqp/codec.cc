// SPDX-License-Identifier: Apache-2.0
#include "amqp/codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>

#include "base/utf8.h"

namespace jobmill::amqp {
namespace {

// The constructors of part 1, section 1.6.
enum Format : std::uint8_t {
  kDescribed = 0x00,
  kNull = 0x40,
  kTrue = 0x41,
  kFalse = 0x42,
  kUint0 = 0x43,
  kUlong0 = 0x44,
  kList0 = 0x45,
  kUbyte = 0x50,
  kByte = 0x51,
  kSmallUint = 0x52,
  kSmallUlong = 0x53,
  kSmallInt = 0x54,
  kSmallLong = 0x55,
  kBoolean = 0x56,
  kUshort = 0x60,
  kShort = 0x61,
  kUint = 0x70,
  kInt = 0x71,
  kFloat = 0x72,
  kChar = 0x73,
  kDecimal32 = 0x74,
  kUlong = 0x80,
  kLong = 0x81,
  kDouble = 0x82,
  kTimestamp = 0x83,
  kDecimal64 = 0x84,
  kDecimal128 = 0x94,
  kUuid = 0x98,
  kBinary8 = 0xa0,
  kString8 = 0xa1,
  kSymbol8 = 0xa3,
  kBinary32 = 0xb0,
  kString32 = 0xb1,
  kSymbol32 = 0xb3,
  kList8 = 0xc0,
  kMap8 = 0xc1,
  kList32 = 0xd0,
  kMap32 = 0xd1,
  kArray8 = 0xe0,
  kArray32 = 0xf0,
};

// How the bytes behind a constructor are laid out: a fixed number, or a size of `prefix` bytes and
// that many more.
struct Layout {
  bool known = false;
  std::uint8_t fixed = 0;
  std::uint8_t prefix = 0;
};

constexpr std::array<Layout, 256> make_layouts() {
  std::array<Layout, 256> layouts{};
  for (const Format format : {kNull, kTrue, kFalse, kUint0, kUlong0, kList0})
    layouts[format] = {.known = true};
  for (const Format format :
       {kUbyte, kByte, kSmallUint, kSmallUlong, kSmallInt, kSmallLong, kBoolean})
    layouts[format] = {.known = true, .fixed = 1};
  for (const Format format : {kUshort, kShort}) layouts[format] = {.known = true, .fixed = 2};
  for (const Format format : {kUint, kInt, kFloat, kChar, kDecimal32})
    layouts[format] = {.known = true, .fixed = 4};
  for (const Format format : {kUlong, kLong, kDouble, kTimestamp, kDecimal64})
    layouts[format] = {.known = true, .fixed = 8};
  for (const Format format : {kDecimal128, kUuid}) layouts[format] = {.known = true, .fixed = 16};
  for (const Format format : {kBinary8, kString8, kSymbol8, kList8, kMap8, kArray8})
    layouts[format] = {.known = true, .prefix = 1};
  for (const Format format : {kBinary32, kString32, kSymbol32, kList32, kMap32, kArray32})
    layouts[format] = {.known = true, .prefix = 4};
  return layouts;
}
constexpr std::array<Layout, 256> kLayouts = make_layouts();

// Some array items have no bytes of their own (null, true, list0), so that a few bytes could claim
// four thousand million of them; one value has at most this many.
constexpr std::uint32_t kMaxEmptyItems = 4096;
// The descriptor of an array's items is copied to each of them.
constexpr std::size_t kMaxItemDescriptor = 64;
// A count is only a claim until the items are there.
constexpr std::uint32_t kMaxReserved = 32;

Fault malformed(const char* what) { return fail(Code::InvalidArgument, what); }
Fault cut_off() { return malformed("an AMQP value is cut off"); }
Fault unknown_format() { return malformed("unknown AMQP format code"); }

template <class T>
T number(std::string_view bytes) {
  T value = 0;
  for (const char byte : bytes.substr(0, sizeof(T)))
    value =
        static_cast<T>((static_cast<std::uint64_t>(value) << 8) | static_cast<std::uint8_t>(byte));
  return value;
}

std::uint8_t byte_of(std::string_view bytes) { return static_cast<std::uint8_t>(bytes[0]); }

Result<std::uint8_t> take_format(std::string_view& in) {
  if (in.empty()) return cut_off();
  const std::uint8_t format = byte_of(in);
  in.remove_prefix(1);
  return format;
}

// The bytes of a value behind its constructor, without the size in front of them.
Result<std::string_view> take_content(std::string_view& in, std::uint8_t format) {
  const Layout layout = kLayouts[format];
  if (!layout.known) return unknown_format();
  std::size_t size = layout.fixed;
  if (layout.prefix != 0) {
    if (in.size() < layout.prefix) return cut_off();
    size = layout.prefix == 1 ? byte_of(in) : number<std::uint32_t>(in);
    in.remove_prefix(layout.prefix);
  }
  if (size > in.size()) return cut_off();
  const std::string_view content = in.substr(0, size);
  in.remove_prefix(size);
  return content;
}

struct Encoded {
  std::uint8_t format = kNull;
  std::string_view content{};
};

Result<Encoded> take(std::string_view& in) {
  if (!in.empty()) {  // at once where no size has to be read: most fields are numbers or null
    const std::uint8_t format = byte_of(in);
    const Layout layout = kLayouts[format];
    if (layout.known && layout.prefix == 0 && in.size() > layout.fixed) {
      const std::string_view content = in.substr(1, layout.fixed);
      in.remove_prefix(1 + std::size_t{layout.fixed});
      return Encoded{format, content};
    }
  }
  TRY(const std::uint8_t format, take_format(in));
  TRY(const std::string_view content, take_content(in, format));
  return Encoded{format, content};
}

// The count in front of a compound's items. Items have at least one byte each, except in arrays.
Result<Reader::Items> items_of(Encoded compound) {
  if (compound.format == kList0) return Reader::Items{};
  const std::size_t width = kLayouts[compound.format].prefix;
  if (compound.content.size() < width) return cut_off();
  const std::uint32_t count =
      width == 1 ? byte_of(compound.content) : number<std::uint32_t>(compound.content);
  return Reader::Items{count, compound.content.substr(width)};
}

bool is_list(std::uint8_t format) {
  return format == kList0 || format == kList8 || format == kList32;
}
bool is_map(std::uint8_t format) { return format == kMap8 || format == kMap32; }

Result<Reader::Items> list_items_of(Encoded encoded) {
  if (!is_list(encoded.format)) return malformed("an AMQP list is expected");
  TRY(const Reader::Items items, items_of(encoded));
  if (items.count > items.bytes.size()) return malformed("a list counts more items than it has");
  return items;
}

Result<Reader::Items> map_items_of(Encoded encoded) {
  if (!is_map(encoded.format)) return malformed("an AMQP map is expected");
  TRY(const Reader::Items items, items_of(encoded));
  if (items.count > items.bytes.size()) return malformed("a map counts more items than it has");
  if (items.count % 2 != 0) return malformed("a map has a key without a value");
  return items;
}

Result<bool> boolean_of(Encoded encoded) {
  if (encoded.format == kTrue) return true;
  if (encoded.format == kFalse) return false;
  if (encoded.format != kBoolean) return malformed("an AMQP boolean is expected");
  const std::uint8_t byte = byte_of(encoded.content);
  if (byte > 1) return malformed("an AMQP boolean is neither 0 nor 1");
  return byte == 1;
}

Result<std::uint64_t> unsigned_of(Encoded encoded) {
  switch (encoded.format) {
    case kUint0:
    case kUlong0:
      return std::uint64_t{0};
    case kUbyte:
    case kSmallUint:
    case kSmallUlong:
      return std::uint64_t{byte_of(encoded.content)};
    case kUshort:
      return std::uint64_t{number<std::uint16_t>(encoded.content)};
    case kUint:
      return std::uint64_t{number<std::uint32_t>(encoded.content)};
    case kUlong:
      return number<std::uint64_t>(encoded.content);
    default:
      return malformed("an AMQP unsigned integer is expected");
  }
}

Result<std::int64_t> integer_of(Encoded encoded) {
  switch (encoded.format) {
    case kByte:
    case kSmallInt:
    case kSmallLong:
      return std::int64_t{number<std::int8_t>(encoded.content)};
    case kShort:
      return std::int64_t{number<std::int16_t>(encoded.content)};
    case kInt:
      return std::int64_t{number<std::int32_t>(encoded.content)};
    case kLong:
    case kTimestamp:
      return number<std::int64_t>(encoded.content);
    default:
      break;
  }
  TRY(const std::uint64_t positive, unsigned_of(encoded));
  if (!std::in_range<std::int64_t>(positive)) return malformed("an AMQP integer is too large");
  return static_cast<std::int64_t>(positive);
}

Result<std::string_view> string_of(std::string_view content) {
  if (!is_utf8(content)) return malformed("an AMQP string is not UTF-8");
  return content;
}

Result<std::string_view> symbol_of(std::string_view content) {
  if (!is_ascii(content)) return malformed("an AMQP symbol is not ASCII");
  return content;
}

Result<std::string_view> text_of(Encoded encoded) {
  if (encoded.format == kString8 || encoded.format == kString32) return string_of(encoded.content);
  if (encoded.format == kSymbol8 || encoded.format == kSymbol32) return symbol_of(encoded.content);
  return malformed("an AMQP string or symbol is expected");
}

// Any value may be a descriptor, but all that are not ulong or symbol are reserved (part 1,
// section 1.2), and nesting would have no bound of its own.
Result<Value> take_descriptor(std::string_view& in) {
  TRY(const Encoded encoded, take(in));
  if (encoded.format == kSymbol8 || encoded.format == kSymbol32) {
    TRY(const std::string_view symbol, symbol_of(encoded.content));
    return Value(Symbol{std::string(symbol)});
  }
  if (encoded.format != kUlong0 && encoded.format != kSmallUlong && encoded.format != kUlong)
    return malformed("an AMQP descriptor is neither a ulong nor a symbol");
  TRY(const std::uint64_t code, unsigned_of(encoded));
  return Value(code);
}

// Builds values. `depth` is that of the value at hand; the outermost has 0.
class Builder {
 public:
  Result<Value> next(std::string_view& in, int depth) {
    if (depth > kMaxDepth) return malformed("AMQP values are nested too deeply");
    if (!in.empty() && byte_of(in) == kDescribed) return described(in, depth);
    TRY(const Encoded encoded, take(in));
    return build(encoded, depth);
  }

 private:
  Result<Value> described(std::string_view& in, int depth) {
    in.remove_prefix(1);
    TRY(Value descriptor, take_descriptor(in));
    TRY(Value value, next(in, depth + 1));
    return Value(Described{std::move(descriptor), std::move(value)});
  }

  Result<Value> build(Encoded encoded, int depth) {
    const std::string_view content = encoded.content;
    switch (encoded.format) {
      case kNull:
        return Value();
      case kTrue:
      case kFalse:
      case kBoolean:
        return value_of(boolean_of(encoded));
      case kUbyte:
        return Value(byte_of(content));
      case kUshort:
        return Value(number<std::uint16_t>(content));
      case kUint0:
      case kSmallUint:
      case kUint:
        return Value(number<std::uint32_t>(content));
      case kUlong0:
      case kSmallUlong:
      case kUlong:
        return Value(number<std::uint64_t>(content));
      case kByte:
        return Value(number<std::int8_t>(content));
      case kShort:
        return Value(number<std::int16_t>(content));
      case kSmallInt:
        return Value(std::int32_t{number<std::int8_t>(content)});
      case kInt:
        return Value(number<std::int32_t>(content));
      case kSmallLong:
        return Value(std::int64_t{number<std::int8_t>(content)});
      case kLong:
        return Value(number<std::int64_t>(content));
      case kFloat:
        return Value(std::bit_cast<float>(number<std::uint32_t>(content)));
      case kDouble:
        return Value(std::bit_cast<double>(number<std::uint64_t>(content)));
      case kDecimal32:
      case kDecimal64:
      case kDecimal128:
        return Value(Decimal{std::string(content)});
      case kChar:
        return Value(Char{static_cast<char32_t>(number<std::uint32_t>(content))});
      case kTimestamp:
        return Value(Timestamp{number<std::int64_t>(content)});
      case kUuid:
        return uuid(content);
      case kBinary8:
      case kBinary32:
        return Value(Binary{std::string(content)});
      case kString8:
      case kString32:
        return value_of(string_of(content));
      case kSymbol8:
      case kSymbol32:
        return symbol(content);
      case kList0:
      case kList8:
      case kList32:
        return list(encoded, depth);
      case kMap8:
      case kMap32:
        return map(encoded, depth);
      case kArray8:
      case kArray32:
        return array(encoded, depth);
      default:
        return unknown_format();
    }
  }

  template <class T>
  static Result<Value> value_of(Result<T> data) {
    if (!data) return std::move(data).error();
    return Value(*data);
  }

  static Result<Value> uuid(std::string_view content) {
    Uuid uuid;
    std::memcpy(uuid.bytes.data(), content.data(), uuid.bytes.size());
    return Value(uuid);
  }

  static Result<Value> symbol(std::string_view content) {
    TRY(const std::string_view text, symbol_of(content));
    return Value(Symbol{std::string(text)});
  }

  Result<Value> list(Encoded encoded, int depth) {
    TRY(Reader::Items items, list_items_of(encoded));
    List list;
    list.reserve(std::min(items.count, kMaxReserved));
    for (std::uint32_t i = 0; i < items.count; ++i) {
      TRY(Value item, next(items.bytes, depth + 1));
      list.push_back(std::move(item));
    }
    if (!items.bytes.empty()) return malformed("a list is larger than its items");
    return Value(std::move(list));
  }

  Result<Value> map(Encoded encoded, int depth) {
    TRY(Reader::Items items, map_items_of(encoded));
    Map map;
    map.reserve(std::min(items.count / 2, kMaxReserved));
    for (std::uint32_t i = 0; i < items.count; i += 2) {
      TRY(Value key, next(items.bytes, depth + 1));
      TRY(Value value, next(items.bytes, depth + 1));
      map.push_back({std::move(key), std::move(value)});
    }
    if (!items.bytes.empty()) return malformed("a map is larger than its items");
    return Value(std::move(map));
  }

  Result<Value> array(Encoded encoded, int depth) {
    if (depth + 1 > kMaxDepth) return malformed("AMQP values are nested too deeply");
    TRY(Reader::Items items, items_of(encoded));
    TRY(const ItemConstructor constructor, item_constructor(items.bytes));
    TRY_VOID(check_count(items, constructor.format));
    Array array;
    array.items.reserve(std::min(items.count, kMaxReserved));
    for (std::uint32_t i = 0; i < items.count; ++i) {
      TRY(const std::string_view content, take_content(items.bytes, constructor.format));
      TRY(Value item, build({constructor.format, content}, depth + 1));
      if (!constructor.descriptor.null()) item = Described{constructor.descriptor, std::move(item)};
      array.items.push_back(std::move(item));
    }
    if (!items.bytes.empty()) return malformed("an array is larger than its items");
    if (array.items.empty()) array.constructor = constructor.format;
    return Value(std::move(array));
  }

  struct ItemConstructor {
    Value descriptor{};  // null: items are not described
    std::uint8_t format = kNull;
  };

  static Result<ItemConstructor> item_constructor(std::string_view& in) {
    ItemConstructor constructor;
    TRY(constructor.format, take_format(in));
    if (constructor.format == kDescribed) {
      TRY(constructor.descriptor, take_descriptor(in));
      const auto symbol = constructor.descriptor.text();
      if (symbol && symbol->size() > kMaxItemDescriptor)
        return malformed("the descriptor of an array's items is too long");
      TRY(constructor.format, take_format(in));
    }
    if (!kLayouts[constructor.format].known) return unknown_format();
    return constructor;
  }

  Status check_count(const Reader::Items& items, std::uint8_t format) {
    const std::size_t width = kLayouts[format].fixed + std::size_t{kLayouts[format].prefix};
    if (width > 0) {
      if (items.count > items.bytes.size() / width)
        return malformed("an array counts more items than it has");
      return {};
    }
    if (items.count > empty_items_left_) return malformed("an array has too many empty items");
    empty_items_left_ -= items.count;
    return {};
  }

  std::uint32_t empty_items_left_ = kMaxEmptyItems;
};

Status skip_value(std::string_view& in) {
  for (;;) {
    TRY(const std::uint8_t format, take_format(in));
    if (format != kDescribed) {
      TRY(const std::string_view content, take_content(in, format));
      (void)content;
      return {};
    }
    TRY(const Encoded descriptor, take(in));
    (void)descriptor;
  }
}

// `of` makes the scalar of what is next, unless that is null.
template <class T, class Of>
Result<std::optional<T>> optional_scalar(std::string_view& in, Of of) {
  TRY(const Encoded encoded, take(in));
  if (encoded.format == kNull) return std::optional<T>();
  TRY(const T scalar, of(encoded));
  return std::optional<T>(scalar);
}

struct SymbolicDescriptor {
  std::string_view symbol;
  std::uint64_t code;
};

// Parts 2 to 5. Nobody is known to send them; the standard allows it.
constexpr std::array kSymbolicDescriptors{
    SymbolicDescriptor{"amqp:open:list", 0x10},
    SymbolicDescriptor{"amqp:begin:list", 0x11},
    SymbolicDescriptor{"amqp:attach:list", 0x12},
    SymbolicDescriptor{"amqp:flow:list", 0x13},
    SymbolicDescriptor{"amqp:transfer:list", 0x14},
    SymbolicDescriptor{"amqp:disposition:list", 0x15},
    SymbolicDescriptor{"amqp:detach:list", 0x16},
    SymbolicDescriptor{"amqp:end:list", 0x17},
    SymbolicDescriptor{"amqp:close:list", 0x18},
    SymbolicDescriptor{"amqp:error:list", 0x1d},
    SymbolicDescriptor{"amqp:received:list", 0x23},
    SymbolicDescriptor{"amqp:accepted:list", 0x24},
    SymbolicDescriptor{"amqp:rejected:list", 0x25},
    SymbolicDescriptor{"amqp:released:list", 0x26},
    SymbolicDescriptor{"amqp:modified:list", 0x27},
    SymbolicDescriptor{"amqp:source:list", 0x28},
    SymbolicDescriptor{"amqp:target:list", 0x29},
    SymbolicDescriptor{"amqp:coordinator:list", 0x30},
    SymbolicDescriptor{"amqp:declare:list", 0x31},
    SymbolicDescriptor{"amqp:discharge:list", 0x32},
    SymbolicDescriptor{"amqp:declared:list", 0x33},
    SymbolicDescriptor{"amqp:transactional-state:list", 0x34},
    SymbolicDescriptor{"amqp:sasl-mechanisms:list", 0x40},
    SymbolicDescriptor{"amqp:sasl-init:list", 0x41},
    SymbolicDescriptor{"amqp:sasl-challenge:list", 0x42},
    SymbolicDescriptor{"amqp:sasl-response:list", 0x43},
    SymbolicDescriptor{"amqp:sasl-outcome:list", 0x44},
    SymbolicDescriptor{"amqp:header:list", 0x70},
    SymbolicDescriptor{"amqp:delivery-annotations:map", 0x71},
    SymbolicDescriptor{"amqp:message-annotations:map", 0x72},
    SymbolicDescriptor{"amqp:properties:list", 0x73},
    SymbolicDescriptor{"amqp:application-properties:map", 0x74},
    SymbolicDescriptor{"amqp:data:binary", 0x75},
    SymbolicDescriptor{"amqp:amqp-sequence:list", 0x76},
    SymbolicDescriptor{"amqp:amqp-value:*", 0x77},
    SymbolicDescriptor{"amqp:footer:map", 0x78},
};

Format decimal_format(const Decimal& decimal) {
  assert(decimal.bytes.size() == 4 || decimal.bytes.size() == 8 || decimal.bytes.size() == 16);
  return decimal.bytes.size() == 4   ? kDecimal32
         : decimal.bytes.size() == 8 ? kDecimal64
                                     : kDecimal128;
}

// The constructor of a value in its full width, as the items of arrays have it.
struct FullFormat {
  Format operator()(std::monostate) const { return kNull; }
  Format operator()(bool) const { return kBoolean; }
  Format operator()(std::uint8_t) const { return kUbyte; }
  Format operator()(std::uint16_t) const { return kUshort; }
  Format operator()(std::uint32_t) const { return kUint; }
  Format operator()(std::uint64_t) const { return kUlong; }
  Format operator()(std::int8_t) const { return kByte; }
  Format operator()(std::int16_t) const { return kShort; }
  Format operator()(std::int32_t) const { return kInt; }
  Format operator()(std::int64_t) const { return kLong; }
  Format operator()(float) const { return kFloat; }
  Format operator()(double) const { return kDouble; }
  Format operator()(const Decimal& decimal) const { return decimal_format(decimal); }
  Format operator()(Char) const { return kChar; }
  Format operator()(Timestamp) const { return kTimestamp; }
  Format operator()(const Uuid&) const { return kUuid; }
  Format operator()(const Binary&) const { return kBinary32; }
  Format operator()(const std::string&) const { return kString32; }
  Format operator()(const Symbol&) const { return kSymbol32; }
  Format operator()(const List&) const { return kList32; }
  Format operator()(const Map&) const { return kMap32; }
  Format operator()(const Array&) const { return kArray32; }
  Format operator()(const std::shared_ptr<const Described>&) const { return kDescribed; }
};

Format full_format(const Value& value) { return std::visit(FullFormat{}, value.data()); }

std::uint32_t count_of(const Map& map) { return static_cast<std::uint32_t>(2 * map.size()); }
std::uint32_t count_of(const List& list) { return static_cast<std::uint32_t>(list.size()); }
std::uint32_t count_of(const Array& array) { return count_of(array.items); }

// Constructor, size and count of the 32-bit forms.
constexpr std::size_t kFormatSize = 1;
constexpr std::size_t kSizeEnd = kFormatSize + 4;
constexpr std::size_t kHeadSize = kSizeEnd + 4;

void store(std::string& out, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) out[at + i] = static_cast<char>(value >> (24 - 8 * i));
}

}  // namespace

// --- Reader ------------------------------------------------------------------------------------

Result<Value> Reader::value() { return Builder().next(rest_, 0); }

Status Reader::skip() { return skip_value(rest_); }

Result<std::string_view> Reader::raw_value() {
  const std::string_view before = rest_;
  TRY_VOID(skip());
  return before.substr(0, before.size() - rest_.size());
}

Result<std::uint64_t> Reader::descriptor() {
  TRY(const std::uint8_t format, take_format(rest_));
  if (format != kDescribed) return malformed("a described AMQP value is expected");
  TRY(const Encoded encoded, take(rest_));
  if (encoded.format == kSmallUlong) return std::uint64_t{byte_of(encoded.content)};
  if (encoded.format == kUlong0 || encoded.format == kUlong) return unsigned_of(encoded);
  if (encoded.format != kSymbol8 && encoded.format != kSymbol32)
    return malformed("an AMQP descriptor is neither a ulong nor a symbol");
  const auto code = descriptor_code(encoded.content);
  if (!code) return malformed("unknown symbolic AMQP descriptor");
  return *code;
}

Result<std::uint32_t> Reader::list() {
  TRY(const Items items, list_items());
  // The items are the last bytes that were taken.
  rest_ = {items.bytes.data(), items.bytes.size() + rest_.size()};
  return items.count;
}

Result<std::uint32_t> Reader::map() {
  TRY(const Items items, map_items());
  rest_ = {items.bytes.data(), items.bytes.size() + rest_.size()};
  return items.count;
}

Result<Reader::Items> Reader::list_items() {
  TRY(const Encoded encoded, take(rest_));
  return list_items_of(encoded);
}

Result<Reader::Items> Reader::map_items() {
  TRY(const Encoded encoded, take(rest_));
  return map_items_of(encoded);
}

bool Reader::take_null() {
  if (rest_.empty() || byte_of(rest_) != kNull) return false;
  rest_.remove_prefix(1);
  return true;
}

Result<std::optional<bool>> Reader::boolean() { return optional_scalar<bool>(rest_, boolean_of); }

Result<std::optional<std::uint64_t>> Reader::unsigned_integer() {
  return optional_scalar<std::uint64_t>(rest_, unsigned_of);
}

Result<std::optional<std::int64_t>> Reader::integer() {
  return optional_scalar<std::int64_t>(rest_, integer_of);
}

Result<std::optional<std::string_view>> Reader::text() {
  return optional_scalar<std::string_view>(rest_, text_of);
}

Result<std::optional<std::string_view>> Reader::binary() {
  return optional_scalar<std::string_view>(
      rest_, [](const Encoded& encoded) -> Result<std::string_view> {
        if (encoded.format == kBinary8 || encoded.format == kBinary32) return encoded.content;
        return malformed("an AMQP binary is expected");
      });
}

std::optional<std::uint64_t> descriptor_code(std::string_view symbol) {
  for (const SymbolicDescriptor& descriptor : kSymbolicDescriptors)
    if (descriptor.symbol == symbol) return descriptor.code;
  return std::nullopt;
}

// --- Writer ------------------------------------------------------------------------------------

template <class T>
void Writer::put(T number) {
  if constexpr (sizeof(T) == 1) return out_.push_back(static_cast<char>(number));
  std::array<char, sizeof(T)> bytes{};
  for (std::size_t i = 0; i < sizeof(T); ++i)
    bytes[i] = static_cast<char>(static_cast<std::uint64_t>(number) >> (8 * (sizeof(T) - 1 - i)));
  out_.append(bytes.data(), bytes.size());
}

void Writer::null() { put(kNull); }

void Writer::boolean(bool value) { put(value ? kTrue : kFalse); }

void Writer::ubyte(std::uint8_t value) {
  put(kUbyte);
  put(value);
}

void Writer::ushort(std::uint16_t value) {
  put(kUshort);
  put(value);
}

void Writer::uint(std::uint32_t value) {
  if (value == 0) return put(kUint0);
  if (value <= 0xFF) {
    put(kSmallUint);
    return put(static_cast<std::uint8_t>(value));
  }
  put(kUint);
  put(value);
}

void Writer::ulong(std::uint64_t value) {
  if (value == 0) return put(kUlong0);
  if (value <= 0xFF) {
    put(kSmallUlong);
    return put(static_cast<std::uint8_t>(value));
  }
  put(kUlong);
  put(value);
}

void Writer::integer(std::int32_t value) {
  const bool small = std::in_range<std::int8_t>(value);
  put(small ? kSmallInt : kInt);
  if (small) return put(static_cast<std::int8_t>(value));
  put(value);
}

void Writer::long_integer(std::int64_t value) {
  const bool small = std::in_range<std::int8_t>(value);
  put(small ? kSmallLong : kLong);
  if (small) return put(static_cast<std::int8_t>(value));
  put(value);
}

void Writer::timestamp(std::int64_t ms) {
  put(kTimestamp);
  put(ms);
}

void Writer::uuid(const Uuid& value) {
  put(kUuid);
  out_.append(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
}

void Writer::sized(std::uint8_t format, std::string_view bytes) {
  constexpr std::uint8_t kTo32 = kBinary32 - kBinary8;
  if (bytes.size() <= 0xFF) {
    put(format);
    put(static_cast<std::uint8_t>(bytes.size()));
  } else {
    put(static_cast<std::uint8_t>(format + kTo32));
    put(static_cast<std::uint32_t>(bytes.size()));
  }
  out_ += bytes;
}

void Writer::binary(std::string_view bytes) { sized(kBinary8, bytes); }
void Writer::string(std::string_view text) { sized(kString8, text); }
void Writer::symbol(std::string_view text) { sized(kSymbol8, text); }

template <class Compound>
void Writer::compound(std::uint8_t format, const Compound& compound) {
  const Mark mark = begin(format, count_of(compound));
  items(compound);
  end_shortest(mark);
}

void Writer::items(const List& list) {
  for (const Value& item : list) value(item);
}

void Writer::items(const Map& map) {
  for (const MapEntry& entry : map) {
    value(entry.key);
    value(entry.value);
  }
}

void Writer::items(const Array& array) {
  if (!array.items.empty())
    constructor(array.items.front());
  else
    put(array.constructor == 0 ? std::uint8_t{kNull} : array.constructor);
  for (const Value& item : array.items) content(item);
}

void Writer::map(const Map& map) { compound(kMap32, map); }

void Writer::value(const Value& value) {
  const Format format = full_format(value);
  switch (format) {
    case kBoolean:
      return boolean(*value.as<bool>());
    case kUint:
      return uint(*value.as<std::uint32_t>());
    case kUlong:
      return ulong(*value.as<std::uint64_t>());
    case kInt:
      return integer(*value.as<std::int32_t>());
    case kLong:
      return long_integer(*value.as<std::int64_t>());
    case kBinary32:
      return binary(value.as<Binary>()->bytes);
    case kString32:
      return string(*value.as<std::string>());
    case kSymbol32:
      return symbol(value.as<Symbol>()->text);
    case kList32:
      return compound(kList32, *value.as<List>());
    case kMap32:
      return map(*value.as<Map>());
    case kArray32:
      return compound(kArray32, *value.as<Array>());
    case kDescribed:
      put(kDescribed);
      this->value(value.described()->descriptor);
      return this->value(value.described()->value);
    default:  // has one width only
      put(format);
      return content(value);
  }
}

void Writer::constructor(const Value& item) {
  const Format format = full_format(item);
  put(format);
  if (format != kDescribed) return;
  value(item.described()->descriptor);
  constructor(item.described()->value);
}

void Writer::content(const Value& item) {
  const auto write = [this](const auto& data) {
    using T = std::remove_cvref_t<decltype(data)>;
    const auto write_sized = [this](std::string_view bytes) {
      put(static_cast<std::uint32_t>(bytes.size()));
      out_ += bytes;
    };
    if constexpr (std::is_same_v<T, bool>) {
      put(static_cast<std::uint8_t>(data));
    } else if constexpr (std::is_integral_v<T>) {
      put(data);
    } else if constexpr (std::is_same_v<T, float>) {
      put(std::bit_cast<std::uint32_t>(data));
    } else if constexpr (std::is_same_v<T, double>) {
      put(std::bit_cast<std::uint64_t>(data));
    } else if constexpr (std::is_same_v<T, Decimal>) {
      out_ += data.bytes;
    } else if constexpr (std::is_same_v<T, Char>) {
      put(static_cast<std::uint32_t>(data.code));
    } else if constexpr (std::is_same_v<T, Timestamp>) {
      put(data.ms);
    } else if constexpr (std::is_same_v<T, Uuid>) {
      out_.append(reinterpret_cast<const char*>(data.bytes.data()), data.bytes.size());
    } else if constexpr (std::is_same_v<T, Binary>) {
      write_sized(data.bytes);
    } else if constexpr (std::is_same_v<T, std::string>) {
      write_sized(data);
    } else if constexpr (std::is_same_v<T, Symbol>) {
      write_sized(data.text);
    } else if constexpr (std::is_same_v<T, std::shared_ptr<const Described>>) {
      content(data->value);
    } else if constexpr (!std::is_same_v<T, std::monostate>) {
      const Mark mark{out_.size() - kFormatSize};  // the constructor was written once, for all
      put(std::uint32_t{0});
      put(count_of(data));
      items(data);
      end(mark);
    }
  };
  std::visit(write, item.data());
}

void Writer::descriptor(std::uint64_t code) {
  put(kDescribed);
  ulong(code);
}

Writer::Mark Writer::begin(std::uint8_t format, std::uint32_t count) {
  const Mark mark{out_.size()};
  put(format);
  put(std::uint32_t{0});
  put(count);
  return mark;
}

Writer::Mark Writer::begin_list(std::uint32_t count) { return begin(kList32, count); }

Writer::Mark Writer::begin_map(std::uint32_t keys_and_values) {
  return begin(kMap32, keys_and_values);
}

void Writer::end(Mark mark) {
  store(out_, mark.at + kFormatSize,
        static_cast<std::uint32_t>(out_.size() - (mark.at + kSizeEnd)));
}

void Writer::end_shortest(Mark mark) {
  constexpr int kTo8 = kList32 - kList8;
  const auto format = static_cast<std::uint8_t>(out_[mark.at]);
  const auto count = number<std::uint32_t>(
      std::string_view(out_).substr(mark.at + kSizeEnd, sizeof(std::uint32_t)));
  const std::size_t size = out_.size() - (mark.at + kHeadSize) + 1;  // with a count of one byte
  if (format == kList32 && count == 0) {
    out_.resize(mark.at);
    return put(kList0);
  }
  if (size > 0xFF || count > 0xFF) return end(mark);
  out_[mark.at] = static_cast<char>(format - kTo8);
  out_[mark.at + 1] = static_cast<char>(size);
  out_[mark.at + 2] = static_cast<char>(count);
  out_.erase(mark.at + 3, kHeadSize - 3);
}

}  // namespace jobmill::amqp
