#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# compile.sh COMPILER ROOT: whether applications can be written with the public headers. They must
# compile without a warning and without our private headers, and wrong arguments must not compile.
set -eu
compiler=$1
root=$2
check() { "$compiler" -std=c++20 -Wall -Wextra -Werror -I"$root/include" -fsyntax-only "$@"; }

for header in "$root"/include/jobmill/*.h; do  # each alone
  echo "#include \"jobmill/$(basename "$header")\"" | check -x c++ -
done
check "$root/tests/public/application.cc"
for wrong in WRONG_ORDER WRONG_COUNT NOT_CODABLE UNKNOWN_OPTION; do
  if check -D$wrong "$root/tests/public/application.cc" 2>/dev/null; then
    echo "-D$wrong compiles" >&2
    exit 1
  fi
done
