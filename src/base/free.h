// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace jobmill {

// For std::unique_ptr of a C library's things: std::unique_ptr<X509, Free<X509_free>>.
template <auto kFree>
struct Free {
  template <class T>
  void operator()(T* thing) const {
    kFree(thing);
  }
};

}  // namespace jobmill
