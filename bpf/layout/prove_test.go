package layout

import (
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// needsProof skips where a program cannot be run at will.
func needsProof(t testing.TB) *btf.Spec {
	t.Helper()
	spec, err := parse(kernelTypes(t))
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	return spec
}

func TestProve(t *testing.T) {
	spec := needsProof(t)
	proven, err := Prove(spec, assumed)
	if err != nil || proven != spec {
		t.Fatalf("the running kernel's own struct mount was not proven: %v", err)
	}
	// A child of another thread sees nothing of the mounts.
	if b, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(b), "amp-canary") {
		t.Errorf("a mount was left (%v):\n%s", err, b)
	}
}

// A struct mount that is not the kernel's is found out, whichever member is elsewhere, and the types come without it.
func TestProveFalse(t *testing.T) {
	real := needsProof(t)
	for _, member := range []string{"mnt", "mnt_parent", "mnt_mountpoint"} {
		t.Run(member, func(t *testing.T) {
			spec := real.Copy()
			var mount *btf.Struct
			if err := spec.TypeByName("mount", &mount); err != nil {
				t.Fatal(err)
			}
			for i := range mount.Members {
				if mount.Members[i].Name == member {
					mount.Members[i].Offset += 64
				}
			}
			rest, err := Prove(spec, assumed)
			if err == nil || rest == nil {
				t.Fatalf("%v, expected an error and types", err)
			}
			t.Log(err)
			if err := rest.TypeByName("mount", &mount); err == nil {
				t.Error("struct mount is still there")
			}
			var task *btf.Struct
			if err := rest.TypeByName("task_struct", &task); err != nil {
				t.Error(err)
			}
		})
	}
	if rest, err := Prove(real, nil); err != nil || rest != real {
		t.Errorf("nothing was assumed, and Prove says %v", err)
	}
}
