package kmod

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/bpf/layout/debiankernel"
	"github.com/ampconnector/amp/internal/host"
)

// The modules build in the header trees of real kernels, without a warning, and are kept.
func TestBuild(t *testing.T) {
	for _, suite := range debiankernel.Suites() {
		t.Run(suite, func(t *testing.T) {
			k := debiankernel.Open(t, suite)
			kernel := host.Kernel{Release: k.Release, Headers: host.Read(k.Headers, k.Headers.Link)}
			dir, err := builtDir(k.Root, kernel)
			if err != nil {
				t.Fatal(err)
			}
			if built, err := Prepare(t.Context(), k.Root, kernel); err != nil || !built {
				var e *layout.Error
				if errors.As(err, &e) && e.Log != "" {
					if b, readErr := k.Root.ReadFile(e.Log, 64<<10); readErr == nil {
						t.Logf("%s", b)
					}
				}
				t.Fatalf("built %v, %v", built, err)
			}
			if built, err := Prepare(t.Context(), k.Root, kernel); err != nil || built {
				t.Errorf("built %v again, %v", built, err)
			}
			for _, m := range modules {
				name, err := k.Root.Path(filepath.Join(dir, m.name+".ko"))
				if err == nil {
					err = checkSources(name)
				}
				if err != nil {
					t.Error(err)
				}
				info := moduleInfo(t, name)
				if info.Name != m.name || !strings.HasPrefix(info.VersionMagic, k.Release+" ") {
					t.Errorf("%s: %+v, expected %s of %s", name, info, m.name, k.Release)
				}
			}
			t.Run("sparse", func(t *testing.T) { checkWithSparse(t, k) })
		})
	}
}

// checkWithSparse has sparse look at the modules' sources as the kernel's build calls it (Documentation/dev-tools/sparse.rst). A pointer of the program's
// that is followed as if it were the kernel's shows that it does.
func checkWithSparse(t *testing.T, k debiankernel.Kernel) {
	if _, err := exec.LookPath("sparse"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	check := func(target string, s layout.Sources) (said []byte, err error) {
		j := layout.Job{Sources: s, Target: target, Patience: buildPatience, Arguments: []string{"C=2", "CHECK=sparse -Wsparse-error"}}
		scratch := t.TempDir()
		if err := os.Chmod(filepath.Dir(scratch), 0o755); err != nil { // the compiler is a stranger there
			t.Fatal(err)
		}
		_, said, err = layout.Build(t.Context(), k.Root, k.Headers.Link, scratch, j)
		return said, err
	}
	said, err := check("modules", sources)
	if looks := bytes.Count(said, []byte("  CHECK ")); err != nil || looks != len(modules) {
		t.Errorf("sparse looked at %d files, expected %d; %v\n%s", looks, len(modules), err, said)
	}
	wrong := maps.Clone(sources)
	const file, fault = "ampnetworkflow.c", "\nstatic __maybe_unused int wrong(const int __user *p) { return *p; }\n"
	wrong[file] = append(slices.Clone(wrong[file]), fault...)
	said, err = check("ampnetworkflow.o", wrong)
	if err == nil || !bytes.Contains(said, []byte("dereference of noderef expression")) {
		t.Errorf("sparse said nothing of %q: %v\n%s", fault, err, said)
	}
}

func moduleInfo(t *testing.T, name string) ModuleInfo {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := ReadModuleInfo(name, f)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// Without headers there is nothing to build in, and the reason says so.
func TestWithoutHeaders(t *testing.T) {
	_, err := builtDir(host.At(t.TempDir()), host.Kernel{Release: "6.1.0-1-amd64"})
	var e *layout.Error
	if !errors.As(err, &e) || e.Why != layout.NoHeaders {
		t.Errorf("got %v, expected that there are no headers", err)
	}
}

// Of modules that were built nothing is left where one of them does not fit on the disk.
func TestPutAllOrNone(t *testing.T) {
	r := host.At(t.TempDir())
	const dir = BuiltDir + "/6.1.0-1-amd64-0123"
	name := filepath.Join(r.Dir(), dir)
	if err := os.MkdirAll(filepath.Join(name, "b.ko", "in-the-way"), 0o755); err != nil { // b.ko cannot be written
		t.Fatal(err)
	}
	if err := putAll(r, dir, map[string][]byte{"a.ko": []byte("a"), "b.ko": []byte("b")}); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, expected that it is gone", name, err)
	}
	if err := putAll(r, dir, map[string][]byte{"a.ko": []byte("a"), "b.ko": []byte("b")}); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(name, "b.ko")); err != nil || string(b) != "b" {
		t.Errorf("%q, %v", b, err)
	}
}
