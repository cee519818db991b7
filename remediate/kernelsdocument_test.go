package remediate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/host"
)

// docs/kernels.md has the table of kernels.
func TestDocumentOfKernels(t *testing.T) {
	var b strings.Builder
	b.WriteString("| distribution | kernels | promised | run in |\n|---|---|---|---|\n")
	for _, row := range host.KernelPromises {
		run := "not run"
		if len(row.Guests) > 0 {
			run = "`" + strings.Join(row.Guests, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", row.Name, strings.Join(row.Series, ", "), promised(row), run)
	}
	generated(t, "kernels.md", b.String())
}

// promised is what is expected of the kernels of a row.
func promised(row host.KernelPromise) string {
	words := map[host.Expectation]string{
		host.FullSource: "source `ebpf`, hooks *fentry*, BTF of its own", host.NoPrograms: "none: source `degraded`, fault 16",
		host.NotPromised: "nothing: what it answers counts",
	}[row.Expected]
	if row.Modules {
		words += "; source `modules`, built from its headers"
	}
	return words
}
