package kmod

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/bpf/layout/debiankernel"
	"github.com/ampconnector/amp/internal/host"
)

// TestDKMS has Debian's own dkms add, build, install and remove what the packages bring, in folders of the test's, for the kernel of a header package. What
// it installs is taken for a module of this version.
func TestDKMS(t *testing.T) {
	k := debiankernel.Open(t, debiankernel.Suites()[0])
	d := dkms{t, k, k.Unpack(t, "dkms", "kmod"), t.TempDir()}
	const version = "v0.1.0-rc.1"
	for name, b := range DKMSTree(version) {
		plantFile(t, d.scratch, filepath.Join("source", filepath.Base(DKMSFolder(version)), name), b)
	}
	// dkms asks for tools of the package kmod, which are links to where they would be installed.
	for _, tool := range []string{"modinfo", "depmod"} {
		if err := os.Symlink(filepath.Join(d.packages, "bin/kmod"), filepath.Join(d.packages, "bin", tool)); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"tree", "installed/" + k.Release} {
		if err := os.MkdirAll(filepath.Join(d.scratch, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const module = "amp-connector/0.1.0-rc.1"
	d.run("add", module)
	d.wantStatus(module + ": added\n")
	d.run("build", module, "-k", k.Release)
	d.run("install", module, "-k", k.Release, "--no-depmod")
	d.wantStatus(module + ", " + k.Release + ", x86_64: installed\n")
	for _, m := range modules {
		b, err := os.ReadFile(filepath.Join(d.scratch, "installed", k.Release, "updates/dkms", m.file()))
		if err != nil || !fits(b, k.Release) {
			t.Errorf("%s is not of this version and for %s (%v)", m.file(), k.Release, err)
		}
		plantFile(t, k.Root.Dir(), "/lib/modules/"+k.Release+"/updates/dkms/"+m.file(), b)
	}
	plantFile(t, k.Root.Dir(), "/lib/modules/"+k.Release+"/modules.dep", []byte("updates/dkms/ampfsm.ko:\nupdates/dkms/ampnetworkflow.ko:\n"))
	if built, err := Prepare(t.Context(), k.Root, host.Kernel{Release: k.Release}); built || err != nil {
		t.Errorf("built %v, %v: expected that what dkms installed is taken", built, err)
	}
	d.run("remove", module, "--all", "--no-depmod")
	d.wantStatus("")
	if left, _ := filepath.Glob(filepath.Join(d.scratch, "installed", k.Release, "*", "*", "*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// dkms is Debian's, unpacked. It works in the folders tree, source and installed of scratch.
type dkms struct {
	t        *testing.T
	kernel   debiankernel.Kernel
	packages string
	scratch  string
}

func (d dkms) run(args ...string) string {
	d.t.Helper()
	tree, err := d.kernel.Root.Path(d.kernel.Headers.Link)
	if err != nil {
		d.t.Fatal(err)
	}
	args = append([]string{filepath.Join(d.packages, "usr/sbin/dkms")}, args...)
	args = append(args, "--dkmstree", d.scratch+"/tree", "--sourcetree", d.scratch+"/source", "--installtree", d.scratch+"/installed", "--kernelsourcedir", tree)
	cmd := exec.Command("bash", args...)
	cmd.Env = []string{"PATH=" + d.packages + "/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=" + d.scratch, "TMPDIR=" + d.scratch}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil || strings.Contains(errs.String(), "eprecated") {
		d.t.Fatalf("dkms %q: %v\n%s%s", args[1:], err, out.String(), errs.String())
	}
	return out.String()
}

func (d dkms) wantStatus(want string) {
	d.t.Helper()
	if got := d.run("status", DKMSName); got != want {
		d.t.Errorf("status is %q, expected %q", got, want)
	}
}

// What dkms builds is what is built here: the tree has the same files, and one that tells dkms how.
func TestDKMSTree(t *testing.T) {
	tree := DKMSTree("v0.1.0")
	conf := string(tree["dkms.conf"])
	for _, line := range []string{
		`PACKAGE_NAME="amp-connector"`, `PACKAGE_VERSION="0.1.0"`, `BUILT_MODULE_NAME[0]="ampfsm"`, `BUILT_MODULE_NAME[1]="ampnetworkflow"`, `AUTOINSTALL="yes"`,
		`MAKE[0]="make -C ${kernel_source_dir} M=${dkms_tree}/${PACKAGE_NAME}/${PACKAGE_VERSION}/build modules"`,
	} {
		if !strings.Contains(conf, line+"\n") {
			t.Errorf("no line %s in\n%s", line, conf)
		}
	}
	if strings.Contains(conf, "REMAKE_INITRD") {
		t.Error("a directive that dkms has dropped")
	}
	delete(tree, "dkms.conf")
	if !maps.EqualFunc(tree, sources, bytes.Equal) {
		t.Errorf("%q, expected %q", slices.Sorted(maps.Keys(tree)), slices.Sorted(maps.Keys(sources)))
	}
	inRepository := map[string][]byte{}
	for _, dir := range []string{"src", "../bpf/record"} {
		err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && !strings.HasSuffix(name, ".go") {
				inRepository[name], err = os.ReadFile(filepath.Join(dir, name))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !maps.EqualFunc(tree, inRepository, bytes.Equal) {
		t.Errorf("%q, expected the files of the repository, %q", slices.Sorted(maps.Keys(tree)), slices.Sorted(maps.Keys(inRepository)))
	}
}
