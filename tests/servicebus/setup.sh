#!/usr/bin/env bash
# Installs the client libraries the Service Bus tests drive, the checker of the HTTP API's document, and
# what the example of container jobs needs, into build/clients: each pinned by its lock file, nothing to do
# when that file has not changed since.
#
#   setup.sh            everything
#   setup.sh example    only what examples/servicebus-job needs
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ../../tools/go_command.sh
readonly clients=../../build/clients
readonly app=../../examples/servicebus-job/app
mkdir -p "$clients"

installed() {  # installed NAME FILE…: whether NAME was made from exactly these files
  local stamp=$clients/$1.stamp
  shift
  [ -f "$stamp" ] && [ "$(cat "$@" | sha256sum)" = "$(cat "$stamp")" ]
}
remember() { local name=$1; shift; cat "$@" | sha256sum >"$clients/$name.stamp"; }

python_environment() {  # python_environment NAME FILE…: the first file is the one to install
  local venv=$clients/$1
  installed "$@" && return
  rm -rf "$venv"
  /usr/bin/python3 -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check --require-hashes --only-binary :all: -r "$2"
  remember "$@"
}
python_client() { python_environment "python-$1" "python/requirements-$1.txt" python/requirements-common.txt; }

javascript_client() {
  local files=(javascript/package.json javascript/package-lock.json)
  installed javascript "${files[@]}" && return
  mkdir -p "$clients/javascript"
  cp "${files[@]}" "$clients/javascript/"
  npm --prefix "$clients/javascript" ci --no-fund --no-audit --loglevel=error >&2
  remember javascript "${files[@]}"
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

# The last Terraform that `go install` can build. Outside the tree: it takes minutes, and a fresh clone
# should not pay for it again.
terraform_program() {
  local folder=${XDG_CACHE_HOME:-$HOME/.cache}/jobmill/bin program version go
  for program in terraform "$folder/terraform"; do
    version=$("$program" version -json 2>/dev/null | sed -n 's/.*"terraform_version": "\([0-9.]*\).*/\1/p') || continue
    if at_least 1.4 "$version"; then return; fi
  done
  go=$(go_command)
  echo "no Terraform 1.4 or later on PATH: building 1.5.7 into $folder, which takes some minutes" >&2
  GOTOOLCHAIN=local GOFLAGS=-buildvcs=false CGO_ENABLED=0 GOBIN=$folder "$go" install github.com/hashicorp/terraform@v1.5.7
}

example() {
  python_environment consumer "$app/requirements.lock"
  terraform_program
}

case ${1:-all} in
  all)
    python_client 7.15.0
    python_client 7.14.3
    javascript_client
    go_programs
    python_environment schemathesis ../system/requirements.txt
    example
    ;;
  example) example ;;
  *) echo "setup.sh: unknown part '$1'" >&2; exit 2 ;;
esac
