package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// standIn is an empty package with the name and the provides of one of Enterprise Linux, so that rpm resolves the dependencies of
// our package on a guest whose files come from Debian's packages.
type standIn struct {
	Name     string
	Version  string
	Release  string
	Provides []string
}

// standIns are the packages that an Enterprise Linux 9 host is never without, as far as ours may ask for them.
var standIns = []standIn{
	{"shadow-utils", "4.9", "12.el9", []string{"/usr/sbin/useradd", "/usr/sbin/groupadd", "/usr/sbin/usermod", "/usr/sbin/userdel", "/usr/sbin/groupdel"}},
	{"bash", "5.1.8", "9.el9", []string{"/bin/sh", "/usr/bin/sh", "/bin/bash"}},
	{"coreutils", "8.32", "39.el9", nil},
	{"glibc", "2.34", "168.el9", nil},
	{"systemd", "252", "51.el9", []string{"/usr/bin/systemctl"}},
	{"policycoreutils", "3.6", "2.1.el9", []string{"/usr/sbin/semodule", "/usr/sbin/setfiles"}},
}

// spec is the package's spec file.
func (s standIn) spec() string {
	var provides strings.Builder
	for _, p := range s.Provides {
		fmt.Fprintf(&provides, "Provides: %s\n", p)
	}
	return fmt.Sprintf(`Name: %s
Version: %s
Release: %s
Summary: Stand-in for the package of an RPM distribution
License: Apache-2.0
%s%%description
An empty package that provides what the distribution's own provides.
%%files
`, s.Name, s.Version, s.Release, provides.String())
}

// rpmHost gives the guest an RPM database and the stand-ins as files; the tests install them.
func (b *builder) rpmHost(ctx context.Context, g Guest, root string) error {
	if !g.RPM {
		return nil
	}
	// Without it Debian's rpm keeps its database in the home folder of whoever calls it.
	if err := writeFile(filepath.Join(root, "etc/rpm/macros"), "%_dbpath /var/lib/rpm\n", 0o644); err != nil {
		return err
	}
	into := filepath.Join(root, "usr/share/amp-lab/rpms")
	if err := os.MkdirAll(into, 0o755); err != nil {
		return err
	}
	for _, s := range standIns {
		spec := filepath.Join(b.scratch, s.Name+".spec")
		if err := writeFile(spec, s.spec(), 0o644); err != nil {
			return err
		}
		_, err := b.run(ctx, "rpmbuild", "-bb", "--quiet", "--target", "x86_64-redhat-linux", "--define", "_topdir "+filepath.Join(b.scratch, "rpmbuild"),
			"--define", "_rpmdir "+into, "--define", "_rpmfilename %{NAME}.rpm", spec)
		if err != nil {
			return err
		}
	}
	return nil
}
