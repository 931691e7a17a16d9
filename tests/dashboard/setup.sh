#!/usr/bin/env bash
# Installs what the tests of the dashboard drive a browser with into build/clients/dashboard: pinned by
# the lock file, nothing to do when that file has not changed since. The browser is the distribution's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
readonly target=../../build/clients/dashboard
readonly files=(package.json package-lock.json)

[ ! -f "$target.stamp" ] || [ "$(cat "${files[@]}" | sha256sum)" != "$(cat "$target.stamp")" ] || exit 0
mkdir -p "$target"
cp "${files[@]}" "$target/"
npm --prefix "$target" ci --no-fund --no-audit --loglevel=error >&2
cat "${files[@]}" | sha256sum >"$target.stamp"
