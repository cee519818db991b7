package selinux

import (
	"os"
	"testing"
)

// TestPackagedIsCurrent proves that the committed module is what DefaultCIL makes. AMP_UPDATE=1 writes it anew.
func TestPackagedIsCurrent(t *testing.T) {
	want, err := DefaultCIL()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("AMP_UPDATE") != "" {
		if err := os.WriteFile("cisco-secure-bpf.cil", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if Packaged != want {
		t.Errorf("cisco-secure-bpf.cil is\n%s\nwant\n%s\n(AMP_UPDATE=1 go test -run %s ./selinux writes it)", Packaged, want, t.Name())
	}
}
