#!/usr/bin/env bash
# Installs the client libraries the Service Bus tests drive, into build/clients: each pinned by its
# lock file, nothing to do when that file has not changed since.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
readonly clients=../../build/clients
readonly go_needed=1.25 go_toolchain=v0.0.1-go1.25.5.linux-amd64
mkdir -p "$clients"

installed() {  # installed NAME FILE…: whether NAME was made from exactly these files
  local stamp=$clients/$1.stamp
  shift
  [ -f "$stamp" ] && [ "$(cat "$@" | sha256sum)" = "$(cat "$stamp")" ]
}
remember() { local name=$1; shift; cat "$@" | sha256sum >"$clients/$name.stamp"; }

python_client() {
  local venv=$clients/python-$1 files=(python/requirements-common.txt "python/requirements-$1.txt")
  installed "python-$1" "${files[@]}" && return
  rm -rf "$venv"
  /usr/bin/python3 -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check --require-hashes --only-binary :all: -r "python/requirements-$1.txt"
  remember "python-$1" "${files[@]}"
}

javascript_client() {
  local files=(javascript/package.json javascript/package-lock.json)
  installed javascript "${files[@]}" && return
  mkdir -p "$clients/javascript"
  cp "${files[@]}" "$clients/javascript/"
  npm --prefix "$clients/javascript" ci --no-fund --no-audit --loglevel=error >&2
  remember javascript "${files[@]}"
}

# The clients are written for a newer Go than distributions have; it comes as a module, which an older
# `go` can fetch and check against Go's public checksums.
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -1)" = "$1" ]; }
go_command() {
  local version
  version=$(GOTOOLCHAIN=local go env GOVERSION)
  if at_least "$go_needed" "${version#go}"; then
    command -v go
    return
  fi
  [ -x "$clients/go-toolchain/bin/go" ] || unpack_go
  echo "$PWD/$clients/go-toolchain/bin/go"
}
unpack_go() {
  local folder
  folder=$(GOTOOLCHAIN=local GOFLAGS=-modcacherw go mod download -json "golang.org/toolchain@$go_toolchain" |
    sed -n 's/^[[:space:]]*"Dir": "\(.*\)",\{0,1\}$/\1/p')
  rm -rf "$clients/go-toolchain" "$clients/go-toolchain.partial"
  cp -r "$folder" "$clients/go-toolchain.partial"
  # In a module every file is plain and an inner go.mod may not be; the toolchain needs both back.
  chmod -R u+w "$clients/go-toolchain.partial"
  chmod -R +x "$clients/go-toolchain.partial/bin" "$clients/go-toolchain.partial/pkg/tool"
  find "$clients/go-toolchain.partial" -name _go.mod -execdir mv _go.mod go.mod ';'
  mv "$clients/go-toolchain.partial" "$clients/go-toolchain"
}

go_programs() {  # the same sources, for the second time with the older library's admin client
  local files go
  mapfile -t files < <(find go -type f | sort)
  installed go "${files[@]}" && return
  go=$(go_command)
  export GOTOOLCHAIN=local GOFLAGS=-buildvcs=false CGO_ENABLED=0
  mkdir -p "$clients/go"
  (
    cd go
    "$go" build -o ../$clients/go/ ./...
    "$go" build -modfile=admin-1.10.mod -o ../$clients/go/admin-1.10 ./admin
  )
  remember go "${files[@]}"
}

python_client 7.15.0
python_client 7.14.3
javascript_client
go_programs
