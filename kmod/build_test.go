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

// What older kernels have otherwise compiles too, though none of them is here: the header trees at hand do without it, or have it by another name. What cannot
// be told of a kernel ends the build with a word.
func TestOlderKernelsBranches(t *testing.T) {
	const (
		ring, points = "#include \"ring.h\"\n", "#include \"tracepoint.h\"\n"
		ids          = "union kernfs_node_id { u64 id; };\n" +
			"static inline union kernfs_node_id *cgroup_get_kernfs_id(struct cgroup *c) { return (union kernfs_node_id *)&c->kn->id; }\n"
		modes = "static bool fits(const void __user *at, unsigned long size) { return access_ok(at, size); }\n" +
			"#define VERIFY_READ 0\n#undef access_ok\n#define access_ok(mode, at, size) fits(at, size)\n"
	)
	k := debiankernel.Open(t, debiankernel.Suites()[0])
	for _, c := range []struct {
		name, target string
		flags        string // for the compiler, behind those of the header tree
		file         string // that has the older kernel's declarations,
		after, older string // behind a line of it
		says         string // why it cannot be built
	}{
		{"a clone that returns an int (4.18)", "ampfsm.o", "-DAMP_HAS_CLONE_STATUS", "", "", "", ""},
		{"no argument of a function (x86 4.19)", "ampfsm.o", "-UAMP_HAS_ARGUMENT", "", "", "", ""},
		{"ids of control groups (5.4)", "ampfsm.o", "-UAMP_HAS_CGROUP_ID", "subject.h", ring, ids, ""},
		{"the start of a process (5.4)", "ampfsm.o", "-UAMP_HAS_START_BOOTTIME", "subject.h", ring, "#define real_start_time start_boottime\n", ""},
		{"the program's memory (4.18, 5.4)", "ampfsm.o", "-UAMP_HAS_USER_NOFAULT", "", "", "", ""},
		{"the program's memory (4.20)", "ampfsm.o", "-UAMP_HAS_USER_NOFAULT", "ampfsm.c", points, modes, ""},
		{"the program's memory (5.7)", "ampfsm.o", "-UAMP_HAS_USER_NOFAULT -DAMP_HAS_PROBE_USER", "ampfsm.c", points, "#define probe_user_read copy_from_user_nofault\n", ""},
		{"the kernel's memory (5.7)", "ampfsm.o", "-UAMP_HAS_KERNEL_NOFAULT", "path.h", ring, "#define probe_kernel_read copy_from_kernel_nofault\n#undef get_kernel_nofault\n", ""},
		{"files that do not tell what was done (4.18)", "ampfsm.o", "", "ampfsm.c", points, "#undef FMODE_CREATED\n", "Linux 4.19 is the first"},
		{"network: no argument of a function, and no bytes (4.18)", "ampnetworkflow.o", "-UAMP_HAS_ARGUMENT -UAMP_HAS_BYTES_SENT", "", "", "", ""},
		{"no argument of a function, elsewhere", "ampnetworkflow.o", "-UAMP_HAS_ARGUMENT", "probe.h", ring, "#undef CONFIG_X86_64\n", "does not tell the arguments of its functions"},
	} {
		older := maps.Clone(sources)
		older["Makefile"] = append(slices.Clone(older["Makefile"]), "\nccflags-y += "+c.flags+"\n"...)
		if c.file != "" {
			older[c.file] = bytes.Replace(older[c.file], []byte(c.after), []byte(c.after+c.older), 1)
		}
		if c.file != "" && bytes.Equal(older[c.file], sources[c.file]) {
			t.Fatalf("%s: no %q in %s", c.name, c.after, c.file)
		}
		scratch := t.TempDir()
		if err := os.Chmod(filepath.Dir(scratch), 0o755); err != nil { // the compiler is a stranger there
			t.Fatal(err)
		}
		job := layout.Job{Sources: older, Target: c.target, Patience: buildPatience, Arguments: []string{"KCFLAGS=-Werror"}}
		_, said, err := layout.Build(t.Context(), k.Root, k.Headers.Link, scratch, job)
		if (err == nil) != (c.says == "") || !bytes.Contains(said, []byte(c.says)) {
			t.Errorf("%s: %v, expected to hear %q\n%s", c.name, err, c.says, said)
		}
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
		{"an id of a control group (5.5)", "cgroup.h", "static inline u64 cgroup_id(struct cgroup *cgrp)\n{\n\treturn cgrp->kn->id;\n}\n", []string{"CGROUP_ID"}},
		{"an id of a control group (6.1)", "cgroup.h", "static inline u64 cgroup_id(const struct cgroup *cgrp)\n", []string{"CGROUP_ID"}},
		{"ids of kernfs (4.14 to 5.4)", "cgroup.h", "static inline union kernfs_node_id *cgroup_get_kernfs_id(struct cgroup *cgrp)\n", nil},
		{"memory without a fault (5.8)", "uaccess.h", "long copy_from_kernel_nofault(void *dst, const void *src, size_t size);\nlong notrace copy_from_user_nofault(void *dst, const void __user *src, size_t size);\n", []string{"KERNEL_NOFAULT", "USER_NOFAULT"}},
		{"memory without a fault (5.5)", "uaccess.h", "extern long probe_kernel_read(void *dst, const void *src, size_t size);\nextern long probe_user_read(void *dst, const void __user *src, size_t size);\n", []string{"PROBE_USER"}},
		{"memory without a fault (4.18)", "uaccess.h", "extern long probe_kernel_read(void *dst, const void *src, size_t size);\n", nil},
		{"an argument of a function (x86 4.20)", "../../arch/x86/include/asm/ptrace.h", "static inline unsigned long regs_get_kernel_argument(struct pt_regs *regs,\n\t\t\t\t\t\t     unsigned int n)\n", []string{"ARGUMENT"}},
		{"no argument of a function (x86 4.18)", "../../arch/x86/include/asm/ptrace.h", "extern int regs_query_register_offset(const char *name);\n", nil},
	} {
		tree := t.TempDir()
		name := filepath.Join(tree, "include/linux", c.header)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(c.text), 0o644)); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(tool, "-s", "-f", filepath.Join(src, "Makefile"), "--eval", "flags: ; @echo $(ccflags-y)", "flags", "srctree="+tree, "SRCARCH=x86", "src="+src).CombinedOutput()
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
