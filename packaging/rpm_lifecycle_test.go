package main

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// standIns builds rpm packages that have the names and provides of an Enterprise Linux host's, so that dependencies resolve
// in a root that is Debian's.
func standIns(t *testing.T) string {
	t.Helper()
	needs(t, "rpmbuild")
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

// newRPMRoot is a root with all that installs rpm packages or judges them; rpm keeps its database where Enterprise Linux does.
func newRPMRoot(t *testing.T) root {
	r := newRoot(t, "rpm", "dnf", "zypper", "createrepo-c", "rpmlint", "cpio")
	r.write("etc/rpm/macros", "%_dbpath /var/lib/rpm\n", 0o644)
	return r
}

// rpmManager is a program that installs rpm packages: shell functions that take packages as NAME or NAME-VERSION.
type rpmManager struct {
	name       string
	repository bool // takes packages from a repository, and their dependencies with them
	functions  string
}

var rpmManagers = []rpmManager{
	{"rpm", false, `
rpm() { command rpm --force-debian "$@"; }
files() { for p; do echo /packages/"$p"-1.*.rpm; done; }
install() { rpm -i $(files "$@"); }
reinstall() { rpm -i --replacepkgs $(files "$@"); }
upgrade() { rpm -U $(files "$@"); }
downgrade() { rpm -U --oldpackage $(files "$@"); }
remove() { rpm -e "$@"; }
`},
	{"dnf", true, `
dnf() { command dnf -q -y --releasever=9 "$@"; }
install() { dnf install "$@"; }
reinstall() { dnf reinstall "$@"; }
upgrade() { dnf upgrade; }
downgrade() { dnf downgrade "$@"; }
remove() { dnf remove "$@"; }
`},
	// zypper gives every %posttrans the argument 1, whether it installs or upgrades.
	{"zypper", true, `
zypper() { command zypper -q --non-interactive "$@"; }
install() { zypper install "$@"; }
reinstall() { zypper install --force "$@"; }
upgrade() { zypper update; }
downgrade() { zypper install --oldpackage "$@"; }
remove() { zypper remove "$@"; }
`},
}

// TestRPMManagers has each manager do with the packages what administrators do with it.
func TestRPMManagers(t *testing.T) {
	dir, standIn := realPackages(t), standIns(t)
	for _, m := range rpmManagers {
		t.Run(m.name, func(t *testing.T) {
			r := newRPMRoot(t)
			r.add(standIn)
			for _, name := range []string{"amp-connector", "amp-remediate"} {
				r.add(rpmFile(dir, name, "0.1.0"), rpmFile(dir, name, "0.2.0"))
			}
			r.write("etc/dnf/dnf.conf", "[main]\ngpgcheck=0\nplugins=0\nreposdir=/none\n[local]\nname=local\nbaseurl=file:///packages\n", 0o644)
			r.write("etc/zypp/repos.d/local.repo", "[local]\nname=local\nbaseurl=dir:///packages\ngpgcheck=0\nenabled=1\nautorefresh=0\n", 0o644)
			r.chroot("createrepo_c -q /packages")
			t.Run("dependencies", func(t *testing.T) { m.dependencies(r.in(t)) })
			t.Run("lifecycle", func(t *testing.T) { m.lifecycle(r.in(t)) })
			if m.repository {
				t.Run("tool", func(t *testing.T) { m.tool(r.in(t)) })
			}
			t.Run("container", func(t *testing.T) { m.container(r.in(t)) })
		})
	}
}

// dependencies leaves the stand-ins installed, and nothing else.
func (m rpmManager) dependencies(r root) {
	if m.repository {
		r.chroot(m.functions + "install amp-connector-0.1.0; rpm -q shadow-utils; /opt/cisco/amp/bin/amp-install purge --yes; remove amp-connector; rpm -q shadow-utils || install shadow-utils")
		return
	}
	if out := r.chroot(m.functions + "install amp-connector-0.1.0 || echo refused"); !strings.Contains(out, "/usr/sbin/useradd is needed") {
		r.t.Error("installed without what it needs")
	}
	r.chroot(m.functions + "install shadow-utils-4.9")
}

// lifecycle installs, reinstalls, upgrades, downgrades and erases.
func (m rpmManager) lifecycle(r root) {
	t := r.t
	fresh := r.snapshot()
	out := r.chroot(m.functions + "install amp-connector-0.1.0")
	if !m.repository && !strings.Contains(out, "cisco-amp.service was not started: this is a chroot") { // the others are asked to be quiet
		t.Errorf("nothing tells that the service was not started:\n%s", out)
	}
	line := r.wantAccount()
	installed := r.snapshot()
	r.chroot("rpm -V --nodeps amp-connector")
	r.chroot(m.functions + "reinstall amp-connector-0.1.0")
	wantSame(t, "reinstallation", installed, r.snapshot(), "")

	r.write("opt/cisco/amp/etc/policy.xml", "<policy version=\"1\"/>\n", 0o644)
	r.chroot(m.functions + "upgrade amp-connector-0.2.0; rpm -q amp-connector-0.2.0")
	wantSame(t, "upgrade", installed, r.snapshot(), `/opt/cisco/amp/etc/policy\.xml.*|/usr/src/amp-connector-.*`)
	r.chroot(m.functions + "downgrade amp-connector-0.1.0; rpm -q amp-connector-0.1.0")
	if now := r.wantAccount(); now != line {
		t.Errorf("the account was %q and is %q", line, now)
	}
	wantSame(t, "downgrade", installed, r.snapshot(), `/opt/cisco/amp/etc/policy\.xml.*|/usr/src/amp-connector-.*`)
	r.chroot("ampcli exclusions add path /srv/builds/; amp-install purge --yes\n" + m.functions + "remove amp-connector")
	r.wantNoAccount()
	wantSame(t, "purge and erase", fresh, r.snapshot(), `/opt/cisco(/amp(/etc(/policy\.xml\.rpmsave)?)?)?|/usr/share/licenses`)
}

// tool goes from the tool to the connector by a repository that has both.
func (m rpmManager) tool(r root) {
	out := r.chroot(m.functions + `
have() { echo "$1: $(rpm -qa 'amp-*' | sort | tr '\n' ' ')"; }
install amp-remediate-0.1.0; have tool
upgrade; have tool-upgraded
install amp-connector; have connector
remove amp-connector amp-remediate; have removed
install amp-remediate-0.1.0; install amp-connector-0.2.0; have replaced
amp-remediate --help > /dev/null && echo works
downgrade amp-connector-0.1.0; have downgraded
remove amp-connector; have none`)
	arch := "." + rpmArch[runtime.GOARCH]
	for _, want := range []string{
		"tool: amp-remediate-0.1.0-1" + arch + " \n",
		"tool-upgraded: amp-remediate-0.2.0-1" + arch + " \n", // the connector does not creep in
		"connector: amp-connector-0.2.0-1" + arch + " amp-remediate-0.2.0-1" + arch + " \n",
		"removed: \n",
		"replaced: amp-connector-0.2.0-1" + arch + " \n",
		"works\n",
		"downgraded: amp-connector-0.1.0-1" + arch + " \n",
		"none: \n",
	} {
		if !strings.Contains(out, want) {
			r.t.Errorf("no %q", want)
		}
	}
}

// container runs the daemon as a plain process, where posttrans restarts it.
func (m rpmManager) container(r root) {
	os.Remove(filepath.Join(r.dir, "usr/sbin/policy-rc.d"))
	out := r.container(m.functions + `
running() { pidof ampdaemon > /dev/null; }
install amp-connector-0.1.0; first=$(cat /run/cisco-amp/ampdaemon.pid); running && echo started
upgrade amp-connector-0.2.0; running && [ $first != $(cat /run/cisco-amp/ampdaemon.pid) ] && echo another
/opt/cisco/amp/bin/amp-install stop
downgrade amp-connector-0.1.0; ! running && echo stays stopped
/opt/cisco/amp/bin/amp-install start
remove amp-connector; ! running && echo erased; [ ! -e /run/cisco-amp/upgrade ] && echo no note left`)
	for _, want := range []string{"started\n", "another\n", "stays stopped\n", "erased\n", "no note left\n"} {
		if !strings.Contains(out, want) {
			r.t.Errorf("no %q in what happened", want)
		}
	}
	r.wantAccount() // RPM knows no purge
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
	"devel-file-in-non-devel-package":           "the source of the kernel modules, where DKMS looks for it",
	"no-signature":                              "the test has no key",
	"position-independent-executable-suggested": "in Go such programs need the C library's loader, and these are static",
}

// TestRPMLint runs rpmlint in a throw-away root, since it unpacks packages over /.
func TestRPMLint(t *testing.T) {
	dir := realPackages(t)
	r := newRPMRoot(t)
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
