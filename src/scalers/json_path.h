// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace jobmill::scalers {

struct JsonValue {
  enum class Kind { Missing, Null, Bool, Number, String, Json };
  Kind kind = Kind::Missing;
  std::string text;  // of a string: its value; of all others: as it stands in the document
};

// Looks up one value the way GJSON does, because that is what `valueLocation` means in KEDA:
//
//   a.b.0          members and items          a\.b           a name with a dot
//   list.#         number of items            list.#.x       x of every item
//   list.#(k=="v").x   of the first item that matches; ops == = != < <= > >= % !%
//   list.#(k>5)#   all that match             c*nt, us?ge    wildcards in names
//   a|b            b of the result of a       @reverse       modifiers: this, reverse, keys,
//                                                            values, flatten, valid, pretty, ugly,
//                                                            tostr, fromstr
//
// The document is not validated: what can be found is found, also in text that is cut off or has
// other text around it. Of repeated names the first counts. A path of more than 4096 bytes finds
// nothing.
JsonValue json_path(std::string_view json, std::string_view path);

}  // namespace jobmill::scalers
