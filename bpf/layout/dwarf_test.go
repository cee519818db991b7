package layout

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"
)

func recorded(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// described lists the structures, unions and enumerations that have names, each member with its place, size and kind.
func described(spec *btf.Spec) ([]string, error) {
	var lines []string
	for t, err := range spec.All() {
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case *btf.Struct:
			if t.Name != "" {
				lines = append(lines, fmt.Sprintf("struct %s: %d bytes", t.Name, t.Size))
				lines = append(lines, describeMembers("struct "+t.Name, t.Members, 0)...)
			}
		case *btf.Union:
			if t.Name != "" {
				lines = append(lines, fmt.Sprintf("union %s: %d bytes", t.Name, t.Size))
				lines = append(lines, describeMembers("union "+t.Name, t.Members, 0)...)
			}
		case *btf.Enum:
			lines = append(lines, fmt.Sprintf("enum %s: %d bytes, signed %v, %v", t.Name, t.Size, t.Signed, t.Values))
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines), nil
}

func describeMembers(in string, members []btf.Member, at btf.Bits) []string {
	var lines []string
	for _, m := range members {
		name := in + "." + m.Name
		t := btf.UnderlyingType(m.Type)
		size, _ := btf.Sizeof(t)
		kind := strings.TrimPrefix(fmt.Sprintf("%T", t), "*btf.")
		if i, ok := t.(*btf.Int); ok {
			kind += " " + i.Encoding.String()
		}
		if a, ok := t.(*btf.Array); ok {
			kind += fmt.Sprintf(" of %d", a.Nelems)
		}
		lines = append(lines, fmt.Sprintf("%s: bit %d, %d bits, %d bytes %s", name, at+m.Offset, m.BitfieldSize, size, kind))
		if m.Name == "" || t.TypeName() == "" {
			switch t := t.(type) {
			case *btf.Struct:
				lines = append(lines, describeMembers(name, t.Members, at+m.Offset)...)
			case *btf.Union:
				lines = append(lines, describeMembers(name, t.Members, at+m.Offset)...)
			}
		}
	}
	return lines
}

// The same is made of each way of debug information. shapes.txt was held against what gcc 12 says itself with -gbtf; that differs in what gcc
// has no way to say (values of more than 32 bits, signs of enumerations) and in the order of an array's dimensions, which it has wrong.
func TestShapes(t *testing.T) {
	want := strings.Split(strings.TrimSpace(string(recorded(t, "shapes.txt"))), "\n")
	for _, name := range []string{"dwarf2.o", "dwarf4.o", "dwarf5.o", "clang.o"} {
		t.Run(name, func(t *testing.T) {
			raw, err := fromObject(bytes.NewReader(recorded(t, name)))
			if err != nil {
				t.Fatal(err)
			}
			spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			got, err := described(spec)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNoDebugInfo(t *testing.T) {
	if _, err := fromObject(bytes.NewReader(recorded(t, "none.o"))); !errors.Is(err, errNoDebugInfo) {
		t.Errorf("%v, expected %v", err, errNoDebugInfo)
	}
}

// FuzzObject: whatever a compiler leaves, it is BTF that can be read again, or an error.
func FuzzObject(f *testing.F) {
	for _, name := range []string{"dwarf2.o", "dwarf4.o", "dwarf5.o", "clang.o", "none.o"} {
		f.Add(recorded(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		raw, err := fromObject(bytes.NewReader(b))
		if err != nil {
			return
		}
		spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("made BTF that cannot be read: %v", err)
		}
		if _, err := described(spec); err != nil {
			t.Fatal(err)
		}
	})
}
