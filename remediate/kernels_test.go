package remediate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/fault"
)

// An image that holds several kernels is bad input until one is named; one that holds none, as a container's, is judged.
func TestKernelsOfAnImage(t *testing.T) {
	for name, c := range map[string]struct {
		kernels []string
		kernel  string
		says    string // "" where it is judged
	}{
		"none":           {nil, "", ""},
		"one":            {[]string{"6.1.0-1-amd64"}, "", ""},
		"several":        {[]string{"6.1.0-1-amd64", "6.1.0-2-amd64"}, "", "has 2 kernels (6.1.0-1-amd64, 6.1.0-2-amd64): choose one with --kernel"},
		"several, named": {[]string{"6.1.0-1-amd64", "6.1.0-2-amd64"}, "6.1.0-2-amd64", ""},
	} {
		root := scratch(t)
		for _, k := range c.kernels {
			if err := os.MkdirAll(filepath.Join(root, "usr/lib/modules", k, "kernel"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		var out, complaints strings.Builder
		tool := &Tool{Stdout: &out, Stderr: &complaints, Root: root, Kernel: c.kernel, Language: fault.English}
		code := tool.Check(t.Context(), Selection{IDs: []fault.ID{19}})
		if (code == ExitUsage) != (c.says != "") || !strings.Contains(complaints.String(), c.says) {
			t.Errorf("%s: exit code %d, %q; want %q", name, code, complaints.String(), c.says)
		}
	}
}
