# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts that build Go programs for tests: `go_command` prints which Go to use.
#
# The programs are written for a newer Go than distributions have; it comes as a module, which an older
# `go` can fetch and check against Go's public checksums.
readonly go_needed=1.25 go_toolchain=v0.0.1-go1.25.5.linux-amd64
go_unpacked=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/build/clients/go-toolchain
readonly go_unpacked

at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -1)" = "$1" ]; }
go_command() {
  local version
  version=$(GOTOOLCHAIN=local go env GOVERSION)
  if at_least "$go_needed" "${version#go}"; then
    command -v go
    return
  fi
  [ -x "$go_unpacked/bin/go" ] || unpack_go
  echo "$go_unpacked/bin/go"
}
unpack_go() {
  local folder
  folder=$(GOTOOLCHAIN=local GOFLAGS=-modcacherw go mod download -json "golang.org/toolchain@$go_toolchain" |
    sed -n 's/^[[:space:]]*"Dir": "\(.*\)",\{0,1\}$/\1/p')
  mkdir -p "$(dirname "$go_unpacked")"
  rm -rf "$go_unpacked" "$go_unpacked.partial"
  cp -r "$folder" "$go_unpacked.partial"
  # In a module every file is plain and an inner go.mod may not be; the toolchain needs both back.
  chmod -R u+w "$go_unpacked.partial"
  chmod -R +x "$go_unpacked.partial/bin" "$go_unpacked.partial/pkg/tool"
  find "$go_unpacked.partial" -name _go.mod -execdir mv _go.mod go.mod ';'
  mv "$go_unpacked.partial" "$go_unpacked"
}
