package host

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const daemon = "opt/cisco/amp/bin/ampdaemon"

func TestFindConnector(t *testing.T) {
	list := func(pkg string) string { return "/.\n/opt\n/opt/cisco/amp/bin\n/" + daemon + "\n" }
	for name, c := range map[string]struct {
		tree tree
		want Installation
	}{
		"none":       {tree{"opt/": ""}, Installation{}},
		"only rests": {tree{"opt/cisco/amp/bin/": "", "var/lib/dpkg/info/amp-connector.list": list("")}, Installation{}},
		"ours, deb": {tree{daemon: "", "var/lib/dpkg/info/amp-connector.list": list("")},
			Installation{"amp-connector", "/" + daemon, "amp-connector", "dpkg"}},
		"the vendor's, deb": {tree{daemon: "", "var/lib/dpkg/info/ciscoampconnector.list": list(""), "opt/cisco/amp/bin/amp-install": ""},
			Installation{"ciscoampconnector", "/" + daemon, "ciscoampconnector", "dpkg"}},
		"removed, vendor's left": {tree{daemon: "", "var/lib/dpkg/info/amp-connector.list": "/.\n/" + daemon + "x\n", "var/lib/dpkg/info/ciscoampconnector.list": list("")},
			Installation{"ciscoampconnector", "/" + daemon, "ciscoampconnector", "dpkg"}},
		"with an architecture": {tree{daemon: "", "var/lib/dpkg/info/amp-connector:amd64.list": list("")},
			Installation{"amp-connector", "/" + daemon, "amp-connector", "dpkg"}},
		"ours, no package": {tree{daemon: "", "opt/cisco/amp/bin/amp-install": ""},
			Installation{"amp-connector", "/" + daemon, "", "/opt/cisco/amp/bin/amp-install"}},
		"the vendor's, rpm in an image": {tree{daemon: "", "var/lib/rpm/rpmdb.sqlite": ""},
			Installation{"ciscoampconnector", "/" + daemon, "", "/" + daemon}},
	} {
		got := FindConnector(context.Background(), c.tree.root(t))
		if diff := cmp.Diff(c.want, got.Value); got.Err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, got.Err, diff)
		}
	}
}

func TestDirectories(t *testing.T) {
	r := accountTree(tree{
		"opt/cisco/amp/bin/": "", "var/log/cisco": "-> /srv/log", "srv/log/": "", "var/lib/cisco": "a file", "opt/cisco/amp/etc": "-> /gone",
	}).root(t)
	if err := os.Chmod(r.Dir()+"/srv/log", 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(r.Dir()+"/opt/cisco", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(r.Dir()+"/opt/cisco/amp", 7, 8); err != nil {
		t.Skip("needs root to change an owner: ", err)
	}
	f := Gather(context.Background(), r, Options{})
	want := map[string]*DirectoryState{
		"/opt/cisco":         {Mode: 0o700, IsDir: true},
		"/opt/cisco/amp":     {Mode: 0o755, UID: 7, GID: 8, IsDir: true},
		"/opt/cisco/amp/bin": {Mode: 0o755, IsDir: true},
		"/opt/cisco/amp/etc": {Symlink: true},
		"/var/lib/cisco":     {Mode: 0o755},
		"/var/log/cisco":     {Mode: 0o777 | fs.ModeSticky, IsDir: true, Symlink: true},
	}
	for _, d := range f.Directories {
		if diff := cmp.Diff(want[d.Want.Path], d.State.Value); d.State.Err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", d.Want.Path, d.State.Err, diff)
		}
		if d.WantUID.Err != nil || d.WantUID.Value != 0 || d.WantGID.Err != nil {
			t.Errorf("%s: owner %+v, group %+v", d.Want.Path, d.WantUID, d.WantGID)
		}
	}
	named := directories(readAccounts(context.Background(), r), []Directory{{"/opt/cisco", 0o755, svc, svc}, {"/opt", 0o755, "nobody-here", "root"}})
	if named[0].WantUID.Value != 990 || named[0].WantGID.Value != 988 || named[1].WantUID.Err == nil {
		t.Errorf("%+v", named)
	}
}

func TestGatherAnImage(t *testing.T) {
	r := accountTree(tree{
		"etc/os-release": "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\"\n", "etc/login.defs": "USERGROUPS_ENAB no\n", "usr/bin/dnf": "#!",
		"usr/lib/modules/5.14.0-427.el9.x86_64/modules.builtin": "", "usr/lib/modules/5.14.0-427.el9.x86_64/config": "CONFIG_DEBUG_INFO_BTF=y\n",
		daemon: "", "var/lib/dpkg/info/ciscoampconnector.list": "/" + daemon + "\n", "usr/lib/systemd/systemd": "",
	}).root(t)
	f := Gather(context.Background(), r, Options{})
	if f.Live || f.Root != r.Dir() || f.Arch != runtime.GOARCH {
		t.Errorf("%v, %s, %s", f.Live, f.Root, f.Arch)
	}
	if f.Distribution.Value.ID != "rocky" || f.PackageManager.Value.Name != "dnf" || f.Kernel.Value.Release != "5.14.0-427.el9.x86_64" || !f.Kernel.Value.BTF.Value {
		t.Errorf("%+v\n%+v\n%+v", f.Distribution, f.PackageManager, f.Kernel)
	}
	if len(f.Connectors) != 1 || !f.Connectors[0].Vendor || len(f.Directories) != len(Connectors[1].Directories) {
		t.Errorf("%+v", f.Connectors)
	}
	if f.LoginDefs.Err != nil || f.LoginDefs.Value.Bool("USERGROUPS_ENAB") || f.Account.User.Value == nil || f.Init.Value.Name != "systemd" {
		t.Errorf("%+v %+v %+v", f.LoginDefs, f.Account.User, f.Init)
	}
	if !errors.Is(f.Memory.Err, ErrNotRunning) {
		t.Errorf("memory of an image: %+v", f.Memory)
	}
}

func TestGatherWithoutARoot(t *testing.T) {
	f := Gather(context.Background(), At("/nonexistent"), Options{})
	n := 0
	eachReading(reflect.ValueOf(f), func(r reflect.Value) {
		n++
		err, _ := r.FieldByName("Err").Interface().(error)
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/nonexistent") {
			t.Errorf("%s: %v", r.Type(), err)
		}
	})
	if n < 40 {
		t.Errorf("%d readings seen", n)
	}
}

// eachReading visits all Readings of facts; those inside a Reading's value are part of that value.
func eachReading(v reflect.Value, visit func(reflect.Value)) {
	switch {
	case v.Kind() == reflect.Struct && strings.HasPrefix(v.Type().Name(), "Reading["):
		visit(v)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			eachReading(v.Field(i), visit)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			eachReading(v.Index(i), visit)
		}
	}
}

// TestGatherOfDamage gathers a root in which each file that is read is a directory, then one in which each holds random bytes.
func TestGatherOfDamage(t *testing.T) {
	files := []string{"etc/os-release", "etc/login.defs", "etc/passwd", "etc/group", "etc/shadow", "etc/nsswitch.conf", "boot/config-6.1.0"}
	folders, junk := tree{}, tree{}
	for _, name := range files {
		folders[name+"/"] = ""
		junk[name] = "\x00\x01\xff:::\n=\x7f\"" + strings.Repeat("\xf0\n:", 1000)
	}
	f := Gather(context.Background(), folders.root(t), Options{Kernel: "6.1.0"})
	for what, err := range map[string]error{
		"distribution": f.Distribution.Err, "login.defs": f.LoginDefs.Err, "user": f.Account.User.Err, "group": f.Account.Group.Err,
		"password": f.Account.Password.Err, "config": f.Kernel.Value.BTF.Err,
	} {
		if !errors.Is(err, ErrNotRegular) {
			t.Errorf("%s: %v", what, err)
		}
	}
	f = Gather(context.Background(), junk.root(t), Options{Kernel: "6.1.0"})
	if !errors.Is(f.LoginDefs.Err, ErrMalformed) || !strings.Contains(f.LoginDefs.Err.Error(), "/etc/login.defs: line 1") {
		t.Errorf("login.defs: %v", f.LoginDefs.Err)
	}
	if f.Account.User.Err != nil || f.Account.User.Value != nil || len(f.Account.BadLines) == 0 || len(f.Distribution.Value.BadLines) == 0 {
		t.Errorf("%+v %+v", f.Account, f.Distribution)
	}
}

func TestGatherEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	start := time.Now()
	Gather(ctx, At("/"), Options{})
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Gather took %v after its context had ended", took)
	}
}

// BenchmarkGather has a budget of 20 ms warm.
func BenchmarkGather(b *testing.B) {
	for b.Loop() {
		Gather(context.Background(), At("/"), Options{})
	}
}
