// SPDX-License-Identifier: Apache-2.0

// The node program: what runs on each machine of a cluster, for the tests that need real containers.
//
//	node kubelet|kube-proxy FLAG…
//
// Apart from the controlplane program, since most tests need none of it.
package main

import (
	"context"

	"github.com/spf13/cobra"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"jobmill.test/controlplane/parts"
)

var commands = map[string]func() *cobra.Command{
	"kubelet":    func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"kube-proxy": proxy.NewProxyCommand,
}

func main() { parts.Run("node", commands) }
