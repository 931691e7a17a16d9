#!/usr/bin/env bash
# Builds a part of the Kubernetes that the tests run from the released modules that controlplane/go.sum
# pins; nothing to do when its sources have not changed since. The first time takes ten minutes of one
# processor; Go's own cache makes later ones seconds, also for a fresh clone.
#
#   setup.sh         build/kubernetes/controlplane
#   setup.sh node    build/kubernetes/node: only for real containers (kubernetes-node)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/controlplane"
. ../../../tools/go_command.sh
readonly part=${1:-controlplane} out=../../../build/kubernetes
readonly release=1.34.4 package=k8s.io/component-base/version
case $part in
  controlplane) main=. ;;
  node) main=./node ;;
  *) echo "setup.sh: which part?" >&2; exit 2 ;;
esac

sources=$(cat go.mod go.sum parts/parts.go "$main/main.go" ../setup.sh | sha256sum)
[ ! -x "$out/$part" ] || [ "$sources" != "$(cat "$out/$part.stamp" 2>/dev/null)" ] || exit 0
mkdir -p "$out"
go=$(go_command)
echo "building the $part of Kubernetes $release into build/kubernetes; the first time takes some minutes" >&2
export GOTOOLCHAIN=local GOFLAGS='-buildvcs=false -mod=readonly' CGO_ENABLED=0
# Two compilers at a time: together they want 2.4 GB of memory. Without the version /version is empty,
# which no client can parse.
nice "$go" build -p 2 -o "$out/$part.partial" -ldflags "-s -w -X $package.gitVersion=v$release \
  -X $package.gitMajor=1 -X $package.gitMinor=34" "$main"
mv "$out/$part.partial" "$out/$part"
echo "$sources" >"$out/$part.stamp"
