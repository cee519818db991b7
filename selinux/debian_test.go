package selinux

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/host"
)

// debianRoot is a copy of a root whose store holds all of Debian's policy. It is made once (30 s) and kept in $AMP_CACHE.
func debianRoot(t testing.TB) host.Root {
	t.Helper()
	if testing.Short() {
		t.Skip("a whole policy takes 5 s for each change: not with -short")
	}
	tool := semodulePath(t)
	for _, need := range []string{"apt-get", "dpkg-deb", "cp"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Skipf("%s is missing", need)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("not root: semodule cannot make a store")
	}
	cache := os.Getenv("AMP_CACHE")
	if cache == "" {
		home, err := os.UserHomeDir()
		must(t, err)
		cache = filepath.Join(home, ".cache/amp-lab")
	}
	made := filepath.Join(cache, "selinux-policy-default")
	if _, err := os.Stat(made); err != nil {
		must(t, os.MkdirAll(cache, 0o755))
		makeDebianRoot(t, tool, cache, made)
	}
	root := filepath.Join(t.TempDir(), "root")
	run(t, "cp", "-a", made, root)
	return host.At(root)
}

func makeDebianRoot(t testing.TB, tool, cache, made string) {
	t.Helper()
	work, err := os.MkdirTemp(cache, "selinux-")
	must(t, err)
	defer os.RemoveAll(work)
	download := exec.Command("apt-get", "-q", "download", "selinux-policy-default")
	download.Dir = work
	if out, err := download.CombinedOutput(); err != nil {
		t.Skipf("package selinux-policy-default cannot be downloaded: %v\n%s", err, out)
	}
	debs, _ := filepath.Glob(filepath.Join(work, "*.deb"))
	if len(debs) != 1 {
		t.Skipf("apt-get downloaded %d packages", len(debs))
	}
	root := filepath.Join(work, "root")
	run(t, "dpkg-deb", "-x", debs[0], root)
	write(t, filepath.Join(root, "etc/selinux/config"), "SELINUX=enforcing\nSELINUXTYPE=default\n")
	must(t, os.MkdirAll(filepath.Join(root, "var/lib/selinux"), 0o755))
	modules, err := filepath.Glob(filepath.Join(root, "usr/share/selinux/default/*.pp.bz2"))
	must(t, err)
	args := []string{"-p", root, "-s", "default", "-n", "-X", "100"}
	for _, m := range modules {
		args = append(args, "-i", m)
	}
	run(t, tool, args...)
	if err := os.Rename(root, made); err != nil && !os.IsExist(err) { // another test may have made it meanwhile
		if _, there := os.Stat(made); there != nil {
			t.Fatal(err)
		}
	}
}

// TestDebianPolicy installs the module into the whole policy of a distribution, and compares the time with the bare tool's.
func TestDebianPolicy(t *testing.T) {
	r := debianRoot(t)
	own := Module{"own-domain", Priority, "cil", []byte("(type unconfined_service_t)\n(roletype system_r unconfined_service_t)\n")}
	must(t, Apply(t.Context(), r, "", Change{Install: []Module{own}}, wait))
	if strings.Contains(rules(t, r), allowed) {
		t.Fatal("the policy has the rule before")
	}
	needs := WouldNeed("5.10.0-30-amd64")
	cil, err := ModuleCIL([]string{"unconfined_service_t", "initrc_t"}, needs)
	must(t, err)
	file := filepath.Join(t.TempDir(), ModuleName+".cil")
	write(t, file, cil)
	begun := time.Now()
	run(t, semodulePath(t), "-p", r.Dir(), "-s", "default", "-n", "-X", "400", "-i", file)
	bare := time.Since(begun)
	must(t, Remove(t.Context(), r, "", wait))
	begun = time.Now()
	must(t, Install(t.Context(), r, "", cil, wait))
	t.Logf("semodule alone %s, Install %s", bare.Round(time.Millisecond), time.Since(begun).Round(time.Millisecond))
	got := rules(t, r)
	for _, want := range []string{
		allowed + " { map_create map_read map_write prog_load prog_run };",
		"allow unconfined_service_t unconfined_service_t:lockdown confidentiality;",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the policy", want)
		}
	}
	st, err := ReadStore(r, "", cil)
	if err != nil || st.State != ModulePresent || !st.Current.Value || !st.Built.Value {
		t.Errorf("%+v (%v)", st, err)
	}
}
