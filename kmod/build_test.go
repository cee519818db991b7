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

// What older kernels have otherwise compiles too, though none of them is here: the header trees at hand do without it.
func TestOlderKernelsBranches(t *testing.T) {
	k := debiankernel.Open(t, debiankernel.Suites()[0])
	older := maps.Clone(sources)
	older["Makefile"] = append(slices.Clone(older["Makefile"]), "\nccflags-y += -DAMP_HAS_CLONE_STATUS\n"...)
	scratch := t.TempDir()
	if err := os.Chmod(filepath.Dir(scratch), 0o755); err != nil { // the compiler is a stranger there
		t.Fatal(err)
	}
	job := layout.Job{Sources: older, Target: "ampfsm.o", Patience: buildPatience, Arguments: []string{"KCFLAGS=-Werror"}}
	if _, said, err := layout.Build(t.Context(), k.Root, k.Headers.Link, scratch, job); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}

// The modules ask the header tree what its kernel has, by declarations as they stand in kernels' headers.
func TestFeatures(t *testing.T) {
	tool, err := exec.LookPath("make")
	if err != nil {
		t.Skip(err)
	}
	src, err := filepath.Abs("src")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, header, text string
		want               []string
	}{
		{"a clone that returns an int (4.18)", "fs.h", "extern int vfs_clone_file_range(struct file *file_in, loff_t pos_in,\n\t\t\t\tstruct file *file_out, loff_t pos_out, u64 len);\n", []string{"CLONE_STATUS"}},
		{"a clone that counts (4.20)", "fs.h", "extern loff_t vfs_clone_file_range(struct file *file_in, loff_t pos_in,\n\t\t\t\t   struct file *file_out, loff_t pos_out,\n", nil},
		{"a clone that counts (6.8)", "fs.h", "loff_t vfs_clone_file_range(struct file *file_in, loff_t pos_in,\n", nil},
		{"a user namespace first (5.12)", "fs.h", "int vfs_unlink(struct user_namespace *, struct inode *, struct dentry *,\n\t       struct inode **);\n", []string{"SHIFTED"}},
		{"the directory first (5.10)", "fs.h", "extern int vfs_unlink(struct inode *, struct dentry *, struct inode **);\n", nil},
		{"the time of boot (5.5)", "sched.h", "\tu64\t\t\t\tstart_boottime;\n", []string{"START_BOOTTIME"}},
	} {
		tree := t.TempDir()
		name := filepath.Join(tree, "include/linux", c.header)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(c.text), 0o644)); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(tool, "-s", "-f", filepath.Join(src, "Makefile"), "--eval", "flags: ; @echo $(ccflags-y)", "flags", "srctree="+tree, "src="+src).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var has []string
		for flag := range strings.FieldsSeq(string(out)) {
			if feature, ok := strings.CutPrefix(flag, "-DAMP_HAS_"); ok {
				has = append(has, feature)
			}
		}
		if !slices.Equal(has, c.want) {
			t.Errorf("%s: %q, expected %q", c.name, has, c.want)
		}
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
