package main

import (
	"bytes"
	"context"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/selinux"
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

// emptyOpt is taken away by dpkg, which removes every folder of a package that has become empty and is no other package's, and does so
// after the last maintainer script has run. Whatever is installed there next brings it back.
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
			wantSame(t, "upgrade", installed, r.snapshot(), `/opt/cisco/amp/etc/policy\.xml.*|/usr/share/doc/.*|/usr/src/amp-connector-.*`)

			r.write("var/log/cisco/events.jsonl", "{}\n", 0o640)
			r.chroot("ampcli exclusions add path /srv/builds/; dpkg -r amp-connector")
			r.wantAccount()
			if r.has("opt/cisco/amp/bin") || r.has("usr/lib/systemd/system/cisco-amp.service") {
				t.Error("remove left programs")
			}
			if !r.has("var/log/cisco/events.jsonl") || !r.has("opt/cisco/amp/etc/exclusions.xml") {
				t.Error("remove took logs or configuration")
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

// enabledLink has the service start at boot.
const enabledLink = "etc/systemd/system/multi-user.target.wants/cisco-amp.service"

// TestDebVendorStays purges the connector's left configuration while the vendor's connector has taken its place.
func TestDebVendorStays(t *testing.T) {
	dir := realPackages(t)
	r := newRoot(t)
	r.add(deb(dir, "amp-connector", "0.1.0"))
	r.chroot("dpkg -i /packages/amp-connector*; dpkg -r amp-connector")
	if !r.has(enabledLink) {
		t.Fatal("remove took the link by which the service starts at boot")
	}
	r.write("opt/cisco/amp/bin/ampdaemon", "#!/bin/sh\n", 0o755)
	r.write(policy.Path, "<vendor/>\n", 0o644)
	r.write("var/log/cisco/ampdaemon.log", "vendor\n", 0o640)
	r.write("var/log/cisco/events.jsonl.1", "{}\n", 0o640)
	r.write("var/log/cisco/amp-remediate.log", "ours\n", 0o640)
	r.chroot("dpkg -P amp-connector")
	r.wantAccount()
	r.wantPolicy("<vendor/>\n")
	r.wantLogs("ampdaemon.log")
	if !r.has(enabledLink) {
		t.Error("purge took the link by which the vendor's service starts at boot")
	}
	if left := r.chroot("find /var/lib/systemd -name 'cisco-amp.service*'"); left != "" {
		t.Errorf("purge left its record of the link: %s", left)
	}

	r.add(deb(dir, "amp-remediate", "0.1.0"))
	r.chroot("dpkg -i /packages/amp-remediate*")
	r.write("var/log/cisco/amp-remediate.log", "ours\n", 0o640)
	r.write("var/log/cisco/amp-remediate.log.1", "ours\n", 0o640)
	r.chroot("dpkg -P amp-remediate")
	r.wantLogs("ampdaemon.log")
	if r.has("var/lib/cisco") || !r.has("opt/cisco/amp/bin/ampdaemon") {
		t.Error("the tool left its journal's folder, or took what is the vendor's")
	}
}

// policyOfSite is a policy that an administrator wrote.
const policyOfSite = "<policy version=\"1\"><monitor files=\"false\"/></policy>\n"

// wantPolicy wants that text in the policy file, and nothing put aside beside it.
func (r root) wantPolicy(text string) {
	r.t.Helper()
	if found, err := filepath.Glob(filepath.Join(r.dir, policy.Path+"*")); err != nil || len(found) != 1 || r.read(policy.Path) != text {
		r.t.Errorf("%q, %v; expected the one policy to be %q", found, err, text)
	}
}

// asFirstReleased makes of a package the one of version 0.1.0, in which the policy was a conffile.
func asFirstReleased(t *testing.T, made string) string {
	t.Helper()
	old := filepath.Join(t.TempDir(), filepath.Base(made))
	tool(t, "sh", "-ec", `dpkg-deb -R "$1" "$2"; cd "$2"; mv .$3 .$4; echo $4 >> DEBIAN/conffiles
sed -i '/^policy=/,/^fi$/d' DEBIAN/postinst; sed -i '/^# In version/,$d' DEBIAN/preinst; dpkg-deb --root-owner-group -Znone -b . "$5"`,
		"sh", made, filepath.Join(t.TempDir(), "tree"), defaultPolicy, policy.Path, old)
	return old
}

// TestDebPolicy looks at what becomes of the policy, which is no file of the package: one that is there stays as it is, and goes with a purge alone.
func TestDebPolicy(t *testing.T) {
	dir := realPackages(t)
	shippedPolicy, err := shipped.ReadFile("files/policy.xml")
	if err != nil {
		t.Fatal(err)
	}
	const first, second = "dpkg -i /packages/amp-connector_0.1.0*", "dpkg -i /packages/amp-connector_0.2.0*"
	t.Run("own", func(t *testing.T) {
		r := newRoot(t)
		r.add(deb(dir, "amp-connector", "0.1.0"), deb(dir, "amp-connector", "0.2.0"))
		r.chroot(first)
		r.wantPolicy(string(shippedPolicy))
		r.write(policy.Path, policyOfSite, 0o600)
		r.chroot(second + "; dpkg -r amp-connector; " + first)
		r.wantPolicy(policyOfSite)
		if r.chroot("rm " + policy.Path + "; " + second); r.has(policy.Path) {
			t.Error("the upgrade brought the policy back that the administrator had removed")
		}
		r.chroot("dpkg -P amp-connector; mkdir -p " + path.Dir(policy.Path))
		r.write(policy.Path, policyOfSite, 0o644)
		r.chroot(first)
		r.wantPolicy(policyOfSite)
	})
	for name, before := range map[string]string{"upgrade": first, "install": first + "; dpkg -r amp-connector"} {
		t.Run("a conffile before, "+name, func(t *testing.T) {
			r := newRoot(t)
			fresh := r.snapshot()
			r.add(asFirstReleased(t, deb(dir, "amp-connector", "0.1.0")), deb(dir, "amp-connector", "0.2.0"))
			r.chroot(before)
			r.write(policy.Path, policyOfSite, 0o644)

			// Another package has one of the files, so that dpkg calls the unpacking off when the script has run.
			r.write("p"+defaultPolicy, "", 0o644)
			r.write("p/DEBIAN/control", "Package: other\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n", 0o644)
			r.chroot("dpkg-deb -b /p /packages/other.deb; dpkg -i /packages/other.deb; ! " + second)
			r.wantPolicy(policyOfSite)
			r.chroot("dpkg -P other; rm -r /p; " + second)
			r.wantPolicy(policyOfSite)
			if fields := r.chroot("dpkg-query -W -f '${Conffiles}' amp-connector"); strings.Contains(fields, policy.Path) {
				t.Errorf("dpkg takes the policy for a conffile still: %s", fields)
			}
			r.chroot("dpkg -P amp-connector")
			wantSame(t, "purge", fresh, r.snapshot(), emptyOpt)
		})
	}
}

// TestDebMountPoints purges where folders are mount points, which cannot be removed.
func TestDebMountPoints(t *testing.T) {
	dir := realPackages(t)
	r := newRoot(t)
	r.add(deb(dir, "amp-connector", "0.1.0"), deb(dir, "amp-remediate", "0.1.0"))
	r.write("srv/logs/amp-remediate.log", "{}\n", 0o640)
	r.write("srv/state/journal.json", "{}\n", 0o600)
	r.write("srv/quarantine/1/content", "{}\n", 0o600)
	const mounts = `mkdir -p /var/log/cisco /var/lib/cisco/amp; mount --bind /srv/logs /var/log/cisco; mount --bind /srv/state /var/lib/cisco/amp
mkdir -p /var/lib/cisco/amp/quarantine; mount --bind /srv/quarantine /var/lib/cisco/amp/quarantine
`
	out := r.chroot(`mkdir -p /srv/opt /opt/cisco; mount --bind /srv/opt /opt/cisco
dpkg -i /packages/amp-connector*; dpkg -r amp-connector
` + mounts + `dpkg -P amp-connector; dpkg-query -W amp-connector || echo gone; find /srv -type f -exec echo left {} +`)
	if !strings.Contains(out, "gone\n") || strings.Contains(out, "left ") || strings.Contains(out, "not removed") {
		t.Error("the purge failed, or left files where something else is mounted")
	}
	r.wantNoAccount()

	r.write("srv/state/journal.json", "{}\n", 0o600)
	out = r.chroot(mounts + "dpkg -i /packages/amp-remediate*; dpkg -P amp-remediate; dpkg-query -W amp-remediate || echo gone; find /srv -type f -exec echo left {} +")
	if !strings.Contains(out, "gone\n") || strings.Contains(out, "left ") {
		t.Error("the purge of the tool failed, or left files where something else is mounted")
	}

	// What cannot be removed at all is said.
	if out := r.chroot("dpkg -i /packages/amp-connector*; touch /etc/held /var/log/cisco/held; mount --bind /etc/held /var/log/cisco/held\n" +
		"dpkg -P amp-connector; dpkg-query -W amp-connector || echo gone"); !strings.Contains(out, "gone\n") || !strings.Contains(out, "not removed: /var/log/cisco/held\n") {
		t.Error("the purge failed, or said nothing of a file that it could not remove")
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
chmod 0700 /opt/cisco/amp/etc; amp-remediate --yes 5 > /dev/null || :`)
	for _, want := range []string{
		"first: /opt/cisco/amp/bin/ampdaemon\n", "second: /opt/cisco/amp/bin/ampdaemon\n", "is another\n", "\nstopped\n", "stays stopped\n",
		"third: /opt/cisco/amp/bin/ampdaemon\n", "still runs the earlier program: /usr/sbin/policy-rc.d forbids it (exit status 101)", "\nremoved\n", "\nforbidden\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in what happened", want)
		}
	}
	if !r.has("var/log/cisco/amp-remediate.log") {
		t.Error("amp-remediate left no log")
	}
	r.wantLogsCovered(t)
	r.container("dpkg -P amp-connector")
	if r.has("var/log/cisco") || r.has("run/cisco-amp") {
		t.Error("purge left logs or sockets")
	}
}

// newRecommendingRoot is a root with all that the packages use where it is there.
func newRecommendingRoot(t *testing.T) root {
	return newRoot(t, "systemd", "logrotate", "policycoreutils")
}

// TestDebUnit looks at what becomes of the unit's enablement where systemd is installed.
func TestDebUnit(t *testing.T) {
	dir := realPackages(t)
	t.Run("no word of presets", func(t *testing.T) {
		r := newRecommendingRoot(t)
		r.add(deb(dir, "amp-connector", "0.1.0"), deb(dir, "amp-connector", "0.2.0"))
		fresh := r.snapshot()
		if said := r.chroot("dpkg -i /packages/amp-connector_0.1.0*"); strings.Contains(said, "semodule") {
			t.Error("there are policy tools and no policy, and the package tried to load a module")
		}
		if !r.has(enabledLink) {
			t.Error("the unit is not enabled")
		}
		r.chroot("systemctl disable cisco-amp.service; dpkg -i /packages/amp-connector_0.2.0*")
		if r.has(enabledLink) {
			t.Error("the upgrade enabled what the administrator had disabled")
		}
		r.chroot("systemctl enable cisco-amp.service; dpkg -P amp-connector")
		wantSame(t, "purge", fresh, r.snapshot(), emptyOpt)
	})
	t.Run("presets and masks", func(t *testing.T) {
		r := newRecommendingRoot(t)
		r.add(deb(dir, "amp-connector", "0.1.0"))
		r.write("etc/systemd/system-preset/10-site.preset", "disable cisco-amp.service\n", 0o644)
		r.chroot("dpkg -i /packages/amp-connector_0.1.0*")
		if r.has(enabledLink) {
			t.Error("enabled against the preset")
		}
		out := r.chroot("systemd-analyze verify --man=no /usr/lib/systemd/system/cisco-amp.service 2>&1")
		if regexp.MustCompile(`cisco-amp.*(Unknown|Failed|ignoring|Invalid)`).MatchString(out) {
			t.Error("systemd has something to say of the unit")
		}
		out = r.chroot("dpkg -P amp-connector; rm /etc/systemd/system-preset/10-site.preset; systemctl mask cisco-amp.service; dpkg -i /packages/amp-connector_0.1.0*")
		if r.has(enabledLink) || !strings.Contains(out, "it is masked") {
			t.Error("the mask was not respected, or not told")
		}
	})
}

// TestDebPolicyModule purges our policy modules from a store, also where they are disabled, and an administrator's of the same name not.
func TestDebPolicyModule(t *testing.T) {
	dir := realPackages(t)
	r := newRecommendingRoot(t)
	r.add(deb(dir, "amp-connector", "0.1.0"), "selinux/testdata/base.cil")
	r.write("etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=default\n", 0o644)
	r.chroot("mkdir -p /etc/selinux/default/contexts/files; semodule -n -X 100 -i /packages/base.cil; semodule -lfull")
	for name, c := range map[string]struct{ change, want string }{
		"enabled":                          {"", ""},
		"disabled":                         {"semodule -n -d cisco-secure-bpf -d cisco-secure-bpf-allow", ""},
		"an administrator's beside":        {"semodule -n -X 600 -i /packages/cisco-secure-bpf.cil", "600 cisco-secure-bpf cil"},
		"an administrator's, and disabled": {"semodule -n -X 600 -i /packages/cisco-secure-bpf.cil; semodule -n -d cisco-secure-bpf", "600 cisco-secure-bpf cil disabled"},
	} {
		t.Run(name, func(t *testing.T) {
			r := r.in(t)
			r.chroot("dpkg -i /packages/amp-connector*; cp " + selinux.PackagedPath + " /packages; cp " + selinux.PackagedPath + ` /packages/cisco-secure-bpf-allow.cil
semodule -n -X 400 -i /packages/cisco-secure-bpf.cil -i /packages/cisco-secure-bpf-allow.cil
` + c.change + "\ndpkg -P amp-connector")
			if got := r.chroot("semodule -lfull | awk '/cisco/ { $1 = $1; print }'"); strings.TrimSpace(got) != c.want {
				t.Errorf("the store has %q afterwards, expected %q", got, c.want)
			}
			marks := r.chroot("ls /var/lib/selinux/default/active/modules/disabled")
			if strings.Contains(marks, "cisco") != strings.Contains(c.want, "disabled") {
				t.Errorf("disabled in the store afterwards: %q", marks)
			}
			r.chroot("! semodule -lfull | grep -q cisco || semodule -n -e cisco-secure-bpf -X 600 -r cisco-secure-bpf")
		})
	}
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
