package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// built are packages of the real programs in two versions, made once for all tests.
var built struct {
	once sync.Once
	dir  string
	err  string
}

// realPackages returns the folder with packages 0.1.0 and 0.2.0 of this machine's architecture. The programs in both are the
// same, since nothing here depends on what differs between them.
func realPackages(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the programs and installs them in whole systems")
	}
	t.Chdir(repository(t))
	built.once.Do(func() {
		dir, err := os.MkdirTemp("", "amp-packages-")
		if err != nil {
			built.err = err.Error()
			return
		}
		built.dir = dir
		bin := os.Getenv("AMP_BINARIES")
		if bin == "" {
			bin = filepath.Join(dir, "bin")
			if err := compile(context.Background(), "0.1.0", runtime.GOARCH, filepath.Join(bin, runtime.GOARCH)); err != nil {
				built.err = err.Error()
				return
			}
		}
		for _, version := range []string{"0.1.0", "0.2.0"} {
			var said bytes.Buffer
			if run(context.Background(), []string{"--version", version, "--out", dir, "--arch", runtime.GOARCH, "--binaries", bin}, testEnv(), &said, &said) != 0 {
				built.err = said.String()
				return
			}
		}
	})
	if built.err != "" {
		t.Fatal(built.err)
	}
	return built.dir
}

func TestMain(m *testing.M) {
	status := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(status)
}

func deb(dir, name, version string) string {
	return filepath.Join(dir, name+"_"+version+"-1_"+runtime.GOARCH+".deb")
}

func rpmFile(dir, name, version string) string {
	return filepath.Join(dir, name+"-"+version+"-1."+rpmArch[runtime.GOARCH]+".rpm")
}

var rpmArch = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

const account = "cisco-amp-scan-svc"

// emptyOpt is taken away by dpkg, which removes every folder of a package that has become empty and is no other package's.
const emptyOpt = "/opt"

// wantAccount wants the account as fault 5 asks for it, and returns its line of passwd.
func (r root) wantAccount() string {
	r.t.Helper()
	line := regexp.MustCompile(`(?m)^` + account + `:.*$`)
	passwd, group := line.FindString(r.read("etc/passwd")), line.FindString(r.read("etc/group"))
	shadow := line.FindString(r.read("etc/shadow"))
	if !regexp.MustCompile(`^\S+:(x|\*|!):\d{3}:\d{3}:.*:.*(nologin|false)$`).MatchString(passwd) || group == "" || !regexp.MustCompile(`^[^:]+:[!*]`).MatchString(shadow) {
		r.t.Errorf("account %q, group %q, shadow %q", passwd, group, shadow)
	}
	return passwd
}

func (r root) wantNoAccount() {
	r.t.Helper()
	for _, f := range []string{"etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"} {
		if strings.Contains(r.read(f), account) {
			r.t.Errorf("%s still has %s", f, account)
		}
	}
}

// TestDebLifecycle installs, reinstalls, upgrades, removes and purges in a chroot, as an image build does.
func TestDebLifecycle(t *testing.T) {
	dir := realPackages(t)
	for _, usergroups := range []string{"yes", "no"} {
		t.Run("USERGROUPS_ENAB "+usergroups, func(t *testing.T) {
			r := newRoot(t)
			r.add(deb(dir, "amp-connector", "0.1.0"), deb(dir, "amp-connector", "0.2.0"))
			defs := regexp.MustCompile(`(?m)^USERGROUPS_ENAB.*$`).ReplaceAllString(r.read("etc/login.defs"), "USERGROUPS_ENAB "+usergroups)
			r.write("etc/login.defs", defs, 0o644)
			fresh := r.snapshot()

			said := r.chroot("dpkg -i /packages/amp-connector_0.1.0*")
			if !strings.Contains(said, "cisco-amp.service was not started: this is a chroot; when it should: amp-install start") {
				t.Errorf("nothing tells that the service was not started:\n%s", said)
			}
			line := r.wantAccount()
			if r.read("etc/login.defs") != defs {
				t.Error("login.defs was changed")
			}
			installed := r.snapshot()
			r.chroot("dpkg -i /packages/amp-connector_0.1.0*")
			wantSame(t, "reinstallation", installed, r.snapshot(), "")

			r.write("opt/cisco/amp/etc/policy.xml", "<policy version=\"1\"/>\n", 0o644)
			r.chroot("dpkg -i --force-confold /packages/amp-connector_0.2.0*")
			if r.read("opt/cisco/amp/etc/policy.xml") != "<policy version=\"1\"/>\n" {
				t.Error("the upgrade took the administrator's policy away")
			}
			if now := r.wantAccount(); now != line {
				t.Errorf("the upgrade changed the account from %q to %q", line, now)
			}
			wantSame(t, "upgrade", installed, r.snapshot(), `/opt/cisco/amp/etc/policy\.xml.*|/usr/share/doc/.*`)

			r.write("var/log/cisco/events.jsonl", "{}\n", 0o640)
			r.chroot("dpkg -r amp-connector")
			r.wantAccount()
			if r.has("opt/cisco/amp/bin") || r.has("usr/lib/systemd/system/cisco-amp.service") || !r.has("var/log/cisco/events.jsonl") {
				t.Error("remove left programs, or took logs")
			}
			r.chroot("dpkg -P amp-connector")
			r.wantNoAccount()
			wantSame(t, "purge", fresh, r.snapshot(), emptyOpt)
		})
	}
}

// TestDebReplacesTool goes from the tool to the connector with one apt command.
func TestDebReplacesTool(t *testing.T) {
	dir := realPackages(t)
	r := newRoot(t)
	r.add(deb(dir, "amp-connector", "0.2.0"), deb(dir, "amp-remediate", "0.1.0"))
	fresh := r.snapshot()
	r.chroot("dpkg -i /packages/amp-remediate*; amp-remediate --help")
	r.chroot("apt-get install -y -q -o Dpkg::Use-Pty=0 --no-install-recommends /packages/amp-connector*; amp-remediate --help")
	if status := r.chroot("dpkg-query -W -f '${Package} ${Status}\n' 'amp-*'"); strings.Contains(status, "amp-remediate install") || !strings.Contains(status, "amp-connector install ok installed") {
		t.Errorf("packages afterwards:\n%s", status)
	}
	r.chroot("dpkg -P amp-connector; dpkg -P amp-remediate")
	wantSame(t, "purge of both", fresh, r.snapshot(), emptyOpt)
}

// TestDebVendorStays purges the connector's left configuration while the vendor's connector has taken its place.
func TestDebVendorStays(t *testing.T) {
	dir := realPackages(t)
	r := newRoot(t)
	r.add(deb(dir, "amp-connector", "0.1.0"))
	r.chroot("dpkg -i /packages/amp-connector*; dpkg -r amp-connector")
	r.write("opt/cisco/amp/bin/ampdaemon", "#!/bin/sh\n", 0o755)
	r.write("var/log/cisco/ampdaemon.log", "vendor\n", 0o640)
	r.chroot("dpkg -P amp-connector")
	r.wantAccount()
	if !r.has("var/log/cisco/ampdaemon.log") {
		t.Error("the vendor's log is gone")
	}
}

// TestDebContainer runs the daemon as a plain process through its whole life.
func TestDebContainer(t *testing.T) {
	dir := realPackages(t)
	r := newRoot(t)
	r.add(deb(dir, "amp-connector", "0.1.0"), deb(dir, "amp-connector", "0.2.0"))
	os.Remove(filepath.Join(r.dir, "usr/sbin/policy-rc.d"))
	const running = "readlink /proc/$(cat /run/cisco-amp/ampdaemon.pid)/exe"
	out := r.container(`
dpkg -i /packages/amp-connector_0.1.0*; echo first: $(` + running + `); first=$(cat /run/cisco-amp/ampdaemon.pid)
dpkg -i /packages/amp-connector_0.2.0*; echo second: $(` + running + `); [ $first != $(cat /run/cisco-amp/ampdaemon.pid) ] && echo is another
amp() { /opt/cisco/amp/bin/amp-install "$@"; }
amp stop; [ ! -e /proc/$first/exe ] && ! pidof ampdaemon && echo stopped
dpkg -i /packages/amp-connector_0.2.0*; ! pidof ampdaemon && echo stays stopped
amp start; echo third: $(` + running + `)
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d
dpkg -i /packages/amp-connector_0.2.0*
dpkg -r amp-connector; ! pidof ampdaemon && echo removed
dpkg -i /packages/amp-connector_0.2.0*; ! pidof ampdaemon && echo forbidden
dpkg -P amp-connector`)
	for _, want := range []string{
		"first: /opt/cisco/amp/bin/ampdaemon\n", "second: /opt/cisco/amp/bin/ampdaemon\n", "is another\n", "\nstopped\n", "stays stopped\n",
		"third: /opt/cisco/amp/bin/ampdaemon\n", "still runs the earlier program: /usr/sbin/policy-rc.d forbids it (exit status 101)", "\nremoved\n", "\nforbidden\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in what happened", want)
		}
	}
	if r.has("var/log/cisco") || r.has("run/cisco-amp") {
		t.Error("purge left logs or sockets")
	}
}

// TestDebUnit looks at what becomes of the unit's enablement where systemd is installed.
func TestDebUnit(t *testing.T) {
	dir := realPackages(t)
	const link = "etc/systemd/system/multi-user.target.wants/cisco-amp.service"
	t.Run("no word of presets", func(t *testing.T) {
		r := newRoot(t, "systemd")
		r.add(deb(dir, "amp-connector", "0.1.0"), deb(dir, "amp-connector", "0.2.0"))
		fresh := r.snapshot()
		r.chroot("dpkg -i /packages/amp-connector_0.1.0*")
		if !r.has(link) {
			t.Error("the unit is not enabled")
		}
		r.chroot("systemctl disable cisco-amp.service; dpkg -i /packages/amp-connector_0.2.0*")
		if r.has(link) {
			t.Error("the upgrade enabled what the administrator had disabled")
		}
		r.chroot("systemctl enable cisco-amp.service; dpkg -P amp-connector")
		wantSame(t, "purge", fresh, r.snapshot(), emptyOpt)
	})
	t.Run("presets and masks", func(t *testing.T) {
		r := newRoot(t, "systemd")
		r.add(deb(dir, "amp-connector", "0.1.0"))
		r.write("etc/systemd/system-preset/10-site.preset", "disable cisco-amp.service\n", 0o644)
		r.chroot("dpkg -i /packages/amp-connector_0.1.0*")
		if r.has(link) {
			t.Error("enabled against the preset")
		}
		out := r.chroot("systemd-analyze verify --man=no /usr/lib/systemd/system/cisco-amp.service 2>&1")
		if regexp.MustCompile(`cisco-amp.*(Unknown|Failed|ignoring|Invalid)`).MatchString(out) {
			t.Error("systemd has something to say of the unit")
		}
		out = r.chroot("dpkg -P amp-connector; rm /etc/systemd/system-preset/10-site.preset; systemctl mask cisco-amp.service; dpkg -i /packages/amp-connector_0.1.0*")
		if r.has(link) || !strings.Contains(out, "it is masked") {
			t.Error("the mask was not respected, or not told")
		}
	})
}

// BenchmarkPostinst runs the package script of a first install in a chroot: all but a policy rebuild. The budget is 500 ms.
func BenchmarkPostinst(b *testing.B) {
	r := newRoot(b)
	r.add(deb(realPackages(b), "amp-connector", "0.1.0"))
	r.chroot("dpkg --unpack /packages/amp-connector*")
	for b.Loop() {
		r.chroot("/opt/cisco/amp/bin/amp-install postinst deb configure ''")
		b.StopTimer()
		r.wantAccount()
		r.chroot("userdel cisco-amp-scan-svc") // and its group with it: the script has all to do again
		b.StartTimer()
	}
}

// TestSize holds the budget of a package.
func TestSize(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(realPackages(t), "amp-*"))
	if err != nil || len(files) != 8 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if fi, err := os.Stat(f); err != nil || fi.Size() > 15_000_000 {
			t.Errorf("%s: %v, %v", f, fi.Size(), err)
		}
	}
}

func TestLintian(t *testing.T) {
	dir := realPackages(t)
	for name := range specs {
		args := []string{"--fail-on", "error,warning", deb(dir, name, "0.1.0")}
		if os.Geteuid() == 0 {
			args = append([]string{"--allow-root"}, args...)
		}
		if out := tool(t, "lintian", args...); strings.TrimSpace(out) != "" {
			t.Errorf("%s:\n%s", name, out)
		}
	}
}

// standIns builds rpm packages that have the names and provides of an Enterprise Linux host's, so that dependencies resolve
// in a root that is Debian's.
func standIns(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("rpmbuild"); err != nil {
		t.Skip("rpmbuild is not installed")
	}
	top := t.TempDir()
	if err := copyFile("packaging/testdata/shadow-utils.spec", filepath.Join(top, "shadow-utils.spec"), 0o644); err != nil {
		t.Fatal(err)
	}
	tool(t, "rpmbuild", "-bb", "--quiet", "--target", rpmArch[runtime.GOARCH]+"-redhat-linux", "--define", "_topdir "+top, filepath.Join(top, "shadow-utils.spec"))
	files, err := filepath.Glob(filepath.Join(top, "RPMS", "*", "*.rpm"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	return files[0]
}

// newRPMRoot is a root whose rpm keeps its database where Enterprise Linux does.
func newRPMRoot(t *testing.T) root {
	r := newRoot(t, "rpm", "dnf", "createrepo-c")
	r.write("etc/rpm/macros", "%_dbpath /var/lib/rpm\n", 0o644)
	return r
}

// TestRPMLifecycle installs with rpm -i and its dependencies, reinstalls, upgrades and erases.
func TestRPMLifecycle(t *testing.T) {
	dir, standIn := realPackages(t), standIns(t)
	r := newRPMRoot(t)
	r.add(standIn, rpmFile(dir, "amp-connector", "0.1.0"), rpmFile(dir, "amp-connector", "0.2.0"))
	if out := r.chroot("rpm --force-debian -i /packages/amp-connector-0.1.0* || echo refused"); !strings.Contains(out, "/usr/sbin/useradd is needed") {
		t.Error("installed without what it needs")
	}
	r.chroot("rpm --force-debian -i /packages/shadow-utils*")
	fresh := r.snapshot()
	r.chroot("rpm --force-debian -i /packages/amp-connector-0.1.0*")
	line := r.wantAccount()
	installed := r.snapshot()
	r.chroot("rpm -V --nodeps amp-connector")
	r.chroot("rpm --force-debian -i --replacepkgs /packages/amp-connector-0.1.0*")
	wantSame(t, "reinstallation", installed, r.snapshot(), "")

	r.write("opt/cisco/amp/etc/policy.xml", "<policy version=\"1\"/>\n", 0o644)
	r.chroot("rpm --force-debian -U /packages/amp-connector-0.2.0*")
	wantSame(t, "upgrade", installed, r.snapshot(), `/opt/cisco/amp/etc/policy\.xml.*`)
	r.chroot("rpm --force-debian -U --oldpackage /packages/amp-connector-0.1.0*")
	if now := r.wantAccount(); now != line {
		t.Errorf("the account was %q and is %q", line, now)
	}
	r.chroot("/opt/cisco/amp/bin/amp-install purge --yes; rpm --force-debian -e amp-connector")
	r.wantNoAccount()
	wantSame(t, "purge and erase", fresh, r.snapshot(), `/opt/cisco(/amp(/etc(/policy\.xml\.rpmsave)?)?)?|/usr/share/licenses`)
}

// TestRPMContainer runs the daemon as a plain process, where posttrans restarts it.
func TestRPMContainer(t *testing.T) {
	dir, standIn := realPackages(t), standIns(t)
	r := newRPMRoot(t)
	r.add(standIn, rpmFile(dir, "amp-connector", "0.1.0"), rpmFile(dir, "amp-connector", "0.2.0"))
	os.Remove(filepath.Join(r.dir, "usr/sbin/policy-rc.d"))
	out := r.container(`
rpm --force-debian -i /packages/shadow-utils* /packages/amp-connector-0.1.0*; first=$(cat /run/cisco-amp/ampdaemon.pid); pidof ampdaemon > /dev/null && echo started
rpm --force-debian -U /packages/amp-connector-0.2.0*; pidof ampdaemon > /dev/null && [ $first != $(cat /run/cisco-amp/ampdaemon.pid) ] && echo another
/opt/cisco/amp/bin/amp-install stop
rpm --force-debian -U --oldpackage /packages/amp-connector-0.1.0*; ! pidof ampdaemon && echo stays stopped
/opt/cisco/amp/bin/amp-install start
rpm --force-debian -e amp-connector; ! pidof ampdaemon && echo erased; [ ! -e /run/cisco-amp/upgrade ] && echo no note left`)
	for _, want := range []string{"started\n", "another\n", "stays stopped\n", "erased\n", "no note left\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in what happened", want)
		}
	}
	r.wantAccount() // RPM knows no purge
}

// TestDNF uses a repository that has the connector and the tool in two versions.
func TestDNF(t *testing.T) {
	dir, standIn := realPackages(t), standIns(t)
	r := newRPMRoot(t)
	r.add(standIn)
	for _, name := range []string{"amp-connector", "amp-remediate"} {
		for _, version := range []string{"0.1.0", "0.2.0"} {
			r.add(rpmFile(dir, name, version))
		}
	}
	r.write("etc/dnf/dnf.conf", "[main]\ngpgcheck=0\nplugins=0\nreposdir=/none\n[local]\nname=local\nbaseurl=file:///packages\n", 0o644)
	out := r.chroot(`createrepo_c -q /packages
dnf() { command dnf -q -y --releasever=9 "$@"; }
have() { echo "$1: $(rpm -qa 'amp-*' | sort | tr '\n' ' ')"; }
dnf install amp-remediate-0.1.0; have tool
dnf upgrade; have tool-upgraded
dnf install amp-connector; have connector
dnf remove amp-connector amp-remediate; have removed
dnf install amp-remediate-0.1.0; dnf install amp-connector-0.2.0; have replaced
amp-remediate --help > /dev/null && echo works
dnf downgrade amp-connector; have downgraded`)
	arch := "." + rpmArch[runtime.GOARCH]
	for _, want := range []string{
		"tool: amp-remediate-0.1.0-1" + arch + " \n",
		"tool-upgraded: amp-remediate-0.2.0-1" + arch + " \n", // the connector does not creep in
		"connector: amp-connector-0.2.0-1" + arch + " amp-remediate-0.2.0-1" + arch + " \n",
		"removed: \n",
		"replaced: amp-connector-0.2.0-1" + arch + " \n",
		"works\n",
		"downgraded: amp-connector-0.1.0-1" + arch + " \n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q", want)
		}
	}
}

// rpmlintExpected is what rpmlint says of the packages, each with the reason why it stays.
var rpmlintExpected = map[string]string{
	"dir-or-file-in-opt":                        "the layout follows the vendor's connector",
	"statically-linked-binary":                  "one static build serves every distribution",
	"non-etc-or-var-file-marked-as-conffile":    "the policy stands where the vendor's does",
	"symlink-should-be-relative":                "the link crosses top folders; Debian's Policy 10.5 asks for an absolute one then",
	"invalid-license":                           "Apache-2.0 is the SPDX name; this rpmlint knows only Fedora's old ones",
	"manpage-not-compressed":                    "gzip is what the distributions use; bzip2 is this rpmlint's default",
	"no-manual-page-for-binary":                 "it looks for pages of bzip2 only",
	"missing-dependency-to-logrotate":           "recommended: a host without it works, its log grows",
	"incoherent-logrotate-file":                 "named like the unit, as the vendor's",
	"only-non-binary-in-usr-lib":                "systemd's units live there",
	"no-signature":                              "the test has no key",
	"position-independent-executable-suggested": "in Go such programs need the C library's loader, and these are static",
}

// TestRPMLint runs rpmlint in a throw-away root, since it unpacks packages over /.
func TestRPMLint(t *testing.T) {
	dir := realPackages(t)
	r := newRoot(t, "rpm", "rpmlint", "cpio")
	r.add(rpmFile(dir, "amp-connector", "0.1.0"), rpmFile(dir, "amp-remediate", "0.1.0"))
	r.write("usr/local/bin/cpio", "#!/bin/sh\nexec /usr/bin/cpio --no-absolute-filenames \"$@\"\n", 0o755) // or it would not see the files it unpacked
	out := r.chroot("PATH=/usr/local/bin:$PATH; rpmlint /packages/*.rpm || :")
	for line := range strings.Lines(out) {
		m := regexp.MustCompile(`^\S+: ([EW]): (\S+)`).FindStringSubmatch(line)
		if m != nil && rpmlintExpected[m[2]] == "" {
			t.Error(line)
		}
	}
	if !strings.Contains(out, "2 packages and 0 specfiles checked") {
		t.Errorf("rpmlint did not check two packages:\n%s", out)
	}
}
