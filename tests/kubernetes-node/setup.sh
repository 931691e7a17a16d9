#!/usr/bin/env bash
# What a node consists of, into build/kubernetes-node: containerd and the network's plugins from the
# distribution's packages, unpacked only, since installing containerd would start one for the machine;
# the kubelet and kube-proxy beside the control plane; the program of pause containers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
readonly out=../../build/kubernetes-node
mkdir -p "$out"
../kubernetes/setup.sh controlplane
../kubernetes/setup.sh node

install_tools() {  # they start nothing; runc is among what everybody has
  local missing
  missing=$(for package in iproute2 iptables runc; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
  done)
  [ -n "$missing" ] || return 0
  apt-get update -qq >&2
  # shellcheck disable=SC2086  # the list is words
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >&2
}

unpack() {
  local folder=$out/packages package
  [ ! -d "$folder" ] || return 0
  rm -rf "$folder.partial"
  mkdir -p "$folder.partial/root"
  (
    cd "$folder.partial"
    apt-get download -qq -o APT::Sandbox::User=root containerd containernetworking-plugins 2>/dev/null || {
      apt-get update -qq
      apt-get download -qq -o APT::Sandbox::User=root containerd containernetworking-plugins
    }
    for package in *.deb; do dpkg -x "$package" root; done
    rm -- *.deb
  ) >&2
  mv "$folder.partial" "$folder"
}

install_tools
unpack
[ "$out/pause" -nt pause.c ] || cc -static -Os -s -Wall -Wextra -Werror -o "$out/pause" pause.c
