// SPDX-License-Identifier: Apache-2.0

// Package parts makes one program of several of Kubernetes' own: the first word says which.
package parts

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
)

// Run becomes the part that the command line names, and does not come back.
func Run(program string, parts map[string]func() *cobra.Command) {
	if len(os.Args) < 2 || parts[os.Args[1]] == nil {
		fmt.Fprintf(os.Stderr, "%s: which part?\n", program)
		os.Exit(2)
	}
	part := os.Args[1]
	os.Args = os.Args[1:] // each part finds its own name first, as if it were alone
	os.Exit(cli.Run(parts[part]()))
}
