// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace jobmill {

inline constexpr std::size_t kSealKeyBytes = 32;

// AES-256-GCM. A sealed text is version byte 1, nonce (12), ciphertext, tag (16), with a random
// nonce per text. `context` is not stored but must be the same at both ends, so that a sealed text
// cannot be moved to another place: give the name of the thing.
Result<std::string> seal(const Secret& key, std::string_view plain, std::string_view context = {});
// PermissionDenied when the key or the context is another one, or the text was changed.
Result<std::string> open_seal(const Secret& key, std::string_view sealed,
                              std::string_view context = {});

// The key in the file; makes one of random bytes, mode 0600, when there is no file. Two processes
// that start at once get the same key. A file of another size, or one that others may read, is an
// error: it is never replaced.
Result<Secret> load_or_create_key(const std::string& path);

}  // namespace jobmill
