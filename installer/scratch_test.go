package installer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

const scanAccount = "cisco-amp-scan-svc"

const plainLoginDefs = "# settings of shadow\nUSERGROUPS_ENAB no\nSYS_UID_MIN 100\nSYS_UID_MAX 999\nSYS_GID_MIN 100\nSYS_GID_MAX 999\n"

// scratch is a root directory with account files and no tools of its own.
type scratch struct {
	dir string
}

func needAccountTools(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: account tools give files to root")
	}
	for _, tool := range []string{"useradd", "groupadd", "usermod", "userdel", "groupdel"} {
		if _, ok := host.FindTool(host.At("/"), tool); !ok {
			t.Skip("this machine has no " + tool)
		}
	}
}

func newScratch(t *testing.T) scratch {
	t.Helper()
	needAccountTools(t)
	s := scratch{t.TempDir()}
	s.write(t, "/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n", 0o644)
	s.write(t, "/etc/group", "root:x:0:\nusers:x:100:\nnogroup:x:65534:\n", 0o644)
	s.write(t, "/etc/shadow", "root:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n", 0o640)
	s.write(t, "/etc/gshadow", "root:*::\nusers:*::\nnogroup:*::\n", 0o640)
	s.write(t, "/etc/login.defs", plainLoginDefs, 0o644)
	return s
}

func (s scratch) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

// add appends lines to the account files; of users and groups that a test starts with.
func (s scratch) add(t *testing.T, name, line string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(b, line+"\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s scratch) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (s scratch) host() *Host { return NewHost(host.At(s.dir), nil) }

// facts are the real ones of the scratch root.
func (s scratch) facts() *health.Facts { return factsAt(s.dir) }

func factsAt(dir string) *health.Facts {
	return &health.Facts{
		Host:      host.Facts{Root: dir, Account: host.AccountOf(context.Background(), host.At(dir), scanAccount)},
		Connector: host.Connectors[0], Found: true,
	}
}

// wrap puts a script before an account tool. In it, "$tool" is the real one.
func (s scratch) wrap(t *testing.T, tool, script string) {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "/usr/sbin/"+tool, "#!/bin/sh\ntool="+path+"\n"+script, 0o755)
}

// dropGroup is a site's wrapper of useradd that ignores -g and -U.
const dropGroup = `
n=$#
while [ $n -gt 0 ]; do
	a=$1; shift; n=$((n-1))
	case $a in
	-g) shift; n=$((n-1));;
	-U) ;;
	*) set -- "$@" "$a";;
	esac
done
exec "$tool" "$@"
`

// withEconf makes the root one whose account tools read with libeconf: there is a vendor's file, and useradd, a script, makes a group
// of the user's own where our drop-in says so, as it would under USERGROUPS_ENAB yes.
func (s scratch) withEconf(t *testing.T) {
	t.Helper()
	s.write(t, "/usr/etc/login.defs", "UMASK 022\nUSERGROUPS_ENAB no\n", 0o644)
	s.wrap(t, "useradd", strings.Replace(dropGroup, `exec "$tool"`, `grep -qs yes `+s.dir+userGroupsDropIn+` && exec "$tool" -U "$@"`+"\n"+`exec "$tool"`, 1))
}

// accountWhole reports how the account differs from one as it should be.
func accountWhole(dir string) error {
	a := host.AccountOf(context.Background(), host.At(dir), scanAccount)
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(a.User.Value != nil, "no user")
	check(a.Group.Value != nil, "no group")
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	check(a.User.Value.GID == a.Group.Value.GID, "gid %d of the user, %d of the group", a.User.Value.GID, a.Group.Value.GID)
	check(a.User.Value.UID >= 100 && a.User.Value.UID < 1000, "uid %d", a.User.Value.UID)
	check(a.Group.Value.GID >= 100 && a.Group.Value.GID < 1000, "gid %d", a.Group.Value.GID)
	check(host.NoLogin(a.User.Value.Shell), "shell %q", a.User.Value.Shell)
	check(a.Password.Value.Locked && !a.Password.Value.Empty && !a.Password.Value.NoLine && !a.Password.Value.Expires, "password %+v", a.Password)
	check(len(a.ExtraGroups.Value) == 0 && len(a.SameUID.Value) == 0 && len(a.SameGID.Value) == 0, "groups %v, same uid %v, same gid %v", a.ExtraGroups.Value, a.SameUID.Value, a.SameGID.Value)
	return errors.Join(errs...)
}

// accountWholeOrAbsent is what may be between two steps: no user, or one that is whole. A group may stand alone.
func accountWholeOrAbsent(dir string) error {
	for _, name := range []string{"/etc/passwd", "/etc/shadow"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if strings.Contains(string(b), scanAccount) {
			return accountWhole(dir)
		}
	}
	group, err := os.ReadFile(filepath.Join(dir, "/etc/group"))
	if err != nil {
		return err
	}
	gshadow, err := os.ReadFile(filepath.Join(dir, "/etc/gshadow"))
	if bytes.Contains(group, []byte(scanAccount)) != bytes.Contains(gshadow, []byte(scanAccount)) {
		return fmt.Errorf("group and gshadow differ:\n%s\n%s", group, gshadow)
	}
	return err
}

// identity is what must not change of a file that only stepped aside.
type identity struct {
	Inode   uint64
	Mode    os.FileMode
	MTime   int64
	Content string
}

func identityOf(path string) (identity, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return identity{}, err
	}
	b, err := os.ReadFile(path)
	return identity{fi.Sys().(*syscall.Stat_t).Ino, fi.Mode(), fi.ModTime().UnixNano(), string(b)}, err
}

func (s scratch) loginDefs(t *testing.T) identity {
	t.Helper()
	id, err := identityOf(filepath.Join(s.dir, "/etc/login.defs"))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// leftovers are files of ours beside the account files.
func leftovers(dir string) error {
	var left []string
	for _, pattern := range []string{"etc/.login.defs*", "etc/login.defs.d", "etc/[a-z]*.lock", "etc/*+", "var/lib/cisco/amp/journal*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		left = append(left, found...)
	}
	if len(left) > 0 {
		return fmt.Errorf("left over: %v", left)
	}
	return nil
}

// apply runs the plan that AccountItems makes of the facts.
func (s scratch) apply(t *testing.T) ([]Result, error) {
	t.Helper()
	return Run(context.Background(), s.host(), Plan{Name: "account", Items: AccountItems(s.facts())}, Options{})
}
