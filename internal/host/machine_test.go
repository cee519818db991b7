package host

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMeminfo(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want Memory
		err  error
	}{
		"now":       {"MemTotal:  1000 kB\nMemFree: 10 kB\nMemAvailable:   600 kB\n", Memory{1000 << 10, 600 << 10}, nil},
		"3.10":      {"MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 50 kB\nCached: 200 kB\nSwapCached: 7 kB\n", Memory{1000 << 10, 350 << 10}, nil},
		"no total":  {"MemFree: 10 kB\n", Memory{}, ErrMalformed},
		"no number": {"MemTotal: x kB\n", Memory{}, ErrMalformed},
		"empty":     {"", Memory{}, ErrMalformed},
	} {
		m, err := ParseMeminfo("/proc/meminfo", []byte(c.text))
		if m != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	if m := memory(At("/")); m.Err != nil || m.Value.Available > m.Value.Total {
		t.Errorf("this machine: %+v", m)
	}
	if m := memory(tree{"etc/": ""}.root(t)); !errors.Is(m.Err, ErrNotRunning) {
		t.Errorf("an image: %+v", m)
	}
}

func FuzzMeminfo(f *testing.F) {
	f.Add([]byte("MemTotal: 1000 kB\nMemAvailable: 5 kB\n"))
	f.Add([]byte(":\n::"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := ParseMeminfo("f", b); err == nil && m.Total == 0 {
			t.Error("no total and no error")
		}
	})
}

func TestDisks(t *testing.T) {
	r := tree{"var/": "", "opt": "-> /nowhere"}.root(t)
	for _, d := range disks(context.Background(), r) {
		if d.Free.Err != nil || d.Free.Value == 0 || d.ReadOnly.Err != nil || d.ReadOnly.Value {
			t.Errorf("%+v", d)
		}
		if want := map[string]string{"/etc": "statfs /", "/var/lib/cisco": "statfs /var", "/opt": "statfs /"}[d.Path]; want != "" && d.Free.From != want {
			t.Errorf("%s was answered for %s, want %s", d.Path, d.Free.From, want)
		}
	}
	if ro, err := readOnly(At("/"), "/proc/sys"); err != nil {
		t.Error(ro, err)
	}
}

func TestInitOfAnImage(t *testing.T) {
	for name, c := range map[string]struct {
		tree tree
		want string
	}{
		"systemd":      {tree{"usr/sbin/init": "-> /lib/systemd/systemd", "sbin": "-> usr/sbin", "lib": "-> usr/lib", "usr/lib/systemd/systemd": ""}, "systemd"},
		"no link":      {tree{"usr/lib/systemd/systemd": ""}, "systemd"},
		"sysvinit":     {tree{"sbin/init": ""}, "sysvinit"},
		"busybox":      {tree{"sbin/init": "-> /bin/busybox", "bin/busybox": ""}, "busybox"},
		"openrc":       {tree{"sbin/init": "-> openrc-init", "sbin/openrc-init": ""}, "openrc"},
		"none":         {tree{"etc/": ""}, "none"},
		"dangling":     {tree{"sbin/init": "-> /gone"}, "none"},
		"its own name": {tree{"sbin/init": "-> /opt/start", "opt/start": ""}, "start"},
	} {
		if got := initSystem(c.tree.root(t)); got.Err != nil || got.Value != (Init{Name: c.want}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestProcess1(t *testing.T) {
	sysv := tree{"sbin/init": ""}.root(t)
	linked := tree{"sbin/init": "-> /lib/systemd/systemd", "lib/systemd/systemd": ""}.root(t)
	for _, c := range []struct {
		root Root
		comm string
		want Init
	}{
		{sysv, "init", Init{"sysvinit", true}}, {linked, "init", Init{"init", false}}, {linked, "systemd", Init{"systemd", false}},
		{sysv, "bash", Init{"bash", false}}, {sysv, "runit", Init{"runit", true}},
	} {
		if got := process1(c.root, c.comm); got.Err != nil || got.Value != c.want {
			t.Errorf("%s: %+v, want %+v", c.comm, got, c.want)
		}
	}
}

func TestUnitOf(t *testing.T) {
	const unit = "cisco-amp.service"
	for name, c := range map[string]struct {
		tree tree
		want UnitFile
	}{
		"absent":   {tree{"etc/": ""}, UnitFile{}},
		"disabled": {tree{"usr/lib/systemd/system/" + unit: "[Unit]"}, UnitFile{Path: "/usr/lib/systemd/system/" + unit}},
		"enabled": {tree{"usr/lib/systemd/system/" + unit: "[Unit]", "etc/systemd/system/multi-user.target.wants/" + unit: "-> /usr/lib/systemd/system/" + unit},
			UnitFile{Path: "/usr/lib/systemd/system/" + unit, Enabled: true, Links: []string{"/etc/systemd/system/multi-user.target.wants/" + unit}}},
		"masked": {tree{"usr/lib/systemd/system/" + unit: "[Unit]", "etc/systemd/system/" + unit: "-> /dev/null"},
			UnitFile{Path: "/etc/systemd/system/" + unit, Masked: true}},
		"masked by an empty file": {tree{"etc/systemd/system/" + unit: ""}, UnitFile{Path: "/etc/systemd/system/" + unit, Masked: true}},
		"drop-ins, merged": {tree{"lib": "-> usr/lib", "usr/lib/systemd/system/" + unit: "[Unit]", "usr/lib/systemd/system/" + unit + ".d/a.conf": "", "etc/systemd/system/" + unit + ".d/b.conf": "",
			"etc/systemd/system/" + unit + ".d/readme": ""},
			UnitFile{Path: "/usr/lib/systemd/system/" + unit, DropIns: []string{"/etc/systemd/system/" + unit + ".d/b.conf", "/usr/lib/systemd/system/" + unit + ".d/a.conf"}}},
	} {
		c.want.Name = unit
		got := UnitOf(c.tree.root(t), unit)
		if diff := cmp.Diff(c.want, got.Value); got.Err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, got.Err, diff)
		}
	}
	if got := UnitOf(At("/"), "../x"); got.Err == nil {
		t.Error("a path passes as a unit's name")
	}
}

func TestPackageManager(t *testing.T) {
	tools := func(names ...string) tree {
		tr := tree{}
		for _, n := range names {
			tr["usr/bin/"+n] = "#!"
		}
		return tr
	}
	failed := errors.New("failed")
	for name, c := range map[string]struct {
		tree tree
		d    Distribution
		err  error
		want string
	}{
		"debian with rpm's tools": {tools("apt-get", "rpm", "dnf", "zypper"), Distribution{Family: Debian}, nil, "apt"},
		"el9":                     {tools("dnf", "yum"), Distribution{Family: RedHat}, nil, "dnf"},
		"el7":                     {tools("yum"), Distribution{Family: RedHat}, nil, "yum"},
		"minimal":                 {tools("microdnf"), Distribution{Family: RedHat}, nil, "microdnf"},
		"suse":                    {tools("zypper", "dnf"), Distribution{Family: SUSE}, nil, "zypper"},
		"micro":                   {tools("zypper", "transactional-update"), Distribution{Family: SUSE, Immutable: true}, nil, "transactional-update"},
		"silverblue":              {tools("dnf", "rpm-ostree"), Distribution{Family: RedHat, Immutable: true}, nil, "rpm-ostree"},
		"photon":                  {tools("tdnf", "yum"), Distribution{ID: "photon"}, nil, "tdnf"},
		"alpine":                  {tools("apk"), Distribution{ID: "alpine"}, nil, ""},
		"cos":                     {tools(), Distribution{ID: "cos", Immutable: true}, nil, ""},
		"not known, one tool":     {tools("zypper"), Distribution{}, failed, "zypper"},
		"not known, two tools":    {tools("apt-get", "dnf"), Distribution{}, failed, ""},
	} {
		got := packageManager(c.tree.root(t), Reading[Distribution]{Value: c.d, Err: c.err})
		if got.Value.Name != c.want || (got.Err != nil) != (c.want == "") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestInstallCommand(t *testing.T) {
	for name, want := range map[string]string{
		"apt": "apt-get install -y a b", "dnf": "dnf install -y a b", "yum": "yum install -y a b", "zypper": "zypper --non-interactive install a b",
		"transactional-update": "transactional-update --non-interactive pkg install a b", "tdnf": "tdnf install -y a b", "pacman": "",
	} {
		if got := strings.Join(PackageManager{Name: name}.InstallCommand("a", "b"), " "); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	apt := PackageManager{Name: "apt"}
	apt.InstallCommand("a")
	if got := apt.InstallCommand("b"); got[len(got)-2] == "a" {
		t.Error("one command leaks into the next")
	}
}

func TestPackageOf(t *testing.T) {
	dist := func(id, version string, like ...string) Distribution {
		return Distribution{ID: id, VersionID: version, Family: familyOf(id, like)}
	}
	for _, c := range []struct {
		d    Distribution
		tool string
		want string
	}{
		{dist("debian", "12"), "semodule", "policycoreutils"}, {dist("debian", "12"), "semanage", "policycoreutils-python-utils"},
		{dist("debian", "8"), "semanage", "policycoreutils"}, {dist("debian", ""), "semanage", "policycoreutils-python-utils"},
		{dist("ubuntu", "16.04"), "semanage", "policycoreutils"}, {dist("ubuntu", "24.04"), "semanage", "policycoreutils-python-utils"},
		{dist("debian", "12"), "groupadd", "passwd"}, {dist("linuxmint", "22"), "useradd", "passwd"},
		{dist("rhel", "7.9"), "semanage", "policycoreutils-python"}, {dist("centos", "7"), "semanage", "policycoreutils-python"},
		{dist("rhel", "8.0"), "semanage", "policycoreutils-python-utils"}, {dist("ol", "9.5"), "semanage", "policycoreutils-python-utils"},
		{dist("rocky", "10.0"), "semanage", "policycoreutils-python-utils"}, {dist("amzn", "2"), "semanage", "policycoreutils-python"},
		{dist("amzn", "2023"), "semanage", "policycoreutils-python-utils"}, {dist("fedora", "41"), "semanage", "policycoreutils-python-utils"},
		{dist("centos", "9"), "useradd", "shadow-utils"}, {dist("centos", "9"), "setfiles", "policycoreutils"},
		{dist("openeuler", "24.03"), "useradd", "shadow"}, {dist("sles", "15.6"), "useradd", "shadow"}, {dist("sles", "11.4"), "useradd", "pwdutils"},
		{dist("opensuse-tumbleweed", "20240823"), "semanage", "policycoreutils-python-utils"}, {dist("photon", "5.0"), "useradd", "shadow"},
		{dist("azurelinux", "3.0"), "useradd", "shadow-utils"}, {dist("new", "1", "suse"), "useradd", "shadow"},
		{dist("alpine", "3.20"), "useradd", ""}, {dist("debian", "12"), "nonsense", ""},
	} {
		got, ok := PackageOf(c.d, c.tool)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s %s %s: %q, %v; want %q", c.d.ID, c.d.VersionID, c.tool, got, ok, c.want)
		}
	}
	for tool, same := range sameTool {
		if _, ok := PackageOf(dist("debian", "12"), tool); !ok {
			t.Errorf("%s is like %s, which has no row", tool, same)
		}
	}
}

func TestMajor(t *testing.T) {
	for version, want := range map[string]int{"9.6": 9, "12": 12, "": 0, "v24.06": 24, "TEMPLATE_VERSION_ID": 0, "-1": 0, "20240823": 20240823} {
		if got := (Distribution{VersionID: version}).Major(); got != want {
			t.Errorf("%q: %d, want %d", version, got, want)
		}
	}
}
