package layout

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// relocations are those of each committed object whose name ends so, by its name.
func relocations(t testing.TB, ending string) map[string][]*btf.CORERelocation {
	t.Helper()
	names, err := filepath.Glob("../*" + ending)
	if err != nil || len(names) == 0 {
		t.Fatalf("objects ../*%s: %v (error %v)", ending, names, err)
	}
	all := map[string][]*btf.CORERelocation{}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		_, infos, err := btf.LoadSpecAndExtInfosFromReader(f)
		f.Close()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, section := range infos.CORERelos {
			for _, r := range section {
				all[filepath.Base(name)] = append(all[filepath.Base(name)], r.Relo)
			}
		}
	}
	return all
}

var (
	// relocated are the kind and the name of what a relocation is about, as the library prints it.
	relocated = regexp.MustCompile(`^CORERelocation\((\w+), (\w+):"(\w+)"`)
	named     = regexp.MustCompile(`(?m)(?:WANTED|MENTIONED)\(\w+, (\w+)\)`)
	// identity is of what only kernels with BTF of their own are asked: the number of a type, for casts.
	identity = []string{"target_type_id", "local_type_id"}
)

// TestStructuresCoverObjects: each structure that a program of either architecture relocates is named in structures.c.
func TestStructuresCoverObjects(t *testing.T) {
	source := sources["structures.c"]
	listed := map[string]bool{}
	for _, m := range named.FindAllSubmatch(source, -1) {
		listed[string(m[1])] = true
	}
	used := map[string]bool{}
	for object, relos := range relocations(t, ".o") {
		for _, r := range relos {
			m := relocated.FindStringSubmatch(r.String())
			if m == nil {
				t.Fatalf("%s: relocation %s is not understood", object, r)
			}
			name, _, _ := strings.Cut(m[3], "___")
			if used[name] = true; !listed[name] {
				t.Errorf("%s relocates %s %s: it is not in structures.c", object, m[2], name)
			}
		}
	}
	delete(listed, "name") // the macro itself
	for name := range listed {
		if !used[name] && !proofOnly[name] {
			t.Errorf("structures.c names %s, which no object relocates", name)
		}
	}
}

// proofOnly is what Prove alone reads.
var proofOnly = map[string]bool{}

// differences relocates each object with both types, and lists where they differ; n is how often was asked.
func differences(t testing.TB, derived, real *btf.Spec, ending string) (n int, differ []string) {
	t.Helper()
	for object, relos := range relocations(t, ending) {
		asked := relos[:0:0]
		for _, r := range relos {
			if m := relocated.FindStringSubmatch(r.String()); m[1] != identity[0] && m[1] != identity[1] {
				asked = append(asked, r)
			}
		}
		ours, theirs := fixups(t, asked, derived), fixups(t, asked, real)
		for i := range asked {
			if n++; ours[i] != theirs[i] {
				differ = append(differ, fmt.Sprintf("%s: %s is %s, in the kernel %s", object, asked[i], ours[i].String(), theirs[i].String()))
			}
		}
	}
	return n, differ
}

func fixups(t testing.TB, relos []*btf.CORERelocation, types *btf.Spec) []btf.COREFixup {
	t.Helper()
	f, err := btf.CORERelocate(relos, []*btf.Spec{types}, binary.LittleEndian, func(btf.Type) (btf.TypeID, error) { return 0, nil })
	if err != nil {
		t.Fatal(err)
	}
	return f
}
