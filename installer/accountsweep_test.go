package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func init() {
	sweepPlans["account"] = func(_ context.Context, h *Host) Plan {
		return Plan{Name: "account", Items: AccountItems(factsAt(h.Root.Dir()))}
	}
	sweepPlans["directories"] = func(_ context.Context, h *Host) Plan {
		return Plan{Name: "directories", Items: []Item{
			{Step: &Directory{Path: "/opt/cisco", Mode: 0o755, Owner: "root", Group: "root"}},
			{Step: &Directory{Path: "/var/log/cisco", Mode: 0o755, Owner: "root", Group: "root"}},
		}}
	}
}

func TestSweepAccount(t *testing.T) {
	needAccountTools(t)
	sweep{plan: "account", root: func(t *testing.T) string { return newScratch(t).dir },
		recovered: recoveredAccount(plainLoginDefs), planned: plannedAccount(plainLoginDefs)}.run(t)
}

// The account tool ignores -g, so that login.defs is toggled; killed in between, and killed again while recovering.
func TestSweepToggle(t *testing.T) {
	needAccountTools(t)
	sweep{plan: "account", twice: true, root: func(t *testing.T) string {
		s := newScratch(t)
		s.wrap(t, "useradd", dropGroup)
		keepIdentity(t, s)
		return s.dir
	}, recovered: recoveredAccount(plainLoginDefs), planned: plannedAccount(plainLoginDefs)}.run(t)
}

// As before, on a host whose account tools read drop-ins.
func TestSweepDropIn(t *testing.T) {
	needAccountTools(t)
	sweep{plan: "account", twice: true, root: func(t *testing.T) string {
		s := newScratch(t)
		s.withEconf(t)
		keepIdentity(t, s)
		return s.dir
	}, recovered: recoveredAccount(plainLoginDefs), planned: plannedAccount(plainLoginDefs)}.run(t)
}

func TestSweepRepairs(t *testing.T) {
	needAccountTools(t)
	changed := scanAccount + ":x:0:100:x:/nonexistent:/bin/sh"
	sweep{plan: "account", root: func(t *testing.T) string {
		s := newScratch(t)
		s.add(t, "/etc/passwd", changed)
		s.add(t, "/etc/shadow", scanAccount+"::19000:::::20000:")
		s.write(t, "/etc/group", "root:x:0:\nusers:x:100:\nadm:x:4:"+scanAccount+"\n"+scanAccount+":x:0:\n", 0o644)
		return s.dir
	}, recovered: func(dir string) error {
		b, err := os.ReadFile(filepath.Join(dir, "etc/passwd"))
		if err == nil && len(b) == 0 {
			err = errors.New("passwd is empty")
		}
		return errors.Join(err, leftovers(dir))
	}, planned: plannedAccount(plainLoginDefs)}.run(t)
}

func TestSweepDirectories(t *testing.T) {
	sweep{plan: "directories", root: func(t *testing.T) string {
		dir := t.TempDir()
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "var/log/cisco"), 0o755), os.Chmod(filepath.Join(dir, "var/log/cisco"), 0o777), os.Mkdir(filepath.Join(dir, "opt"), 0o755)); err != nil {
			t.Fatal(err)
		}
		return dir
	}, recovered: leftovers, planned: func(dir string) error {
		var errs []error
		for _, name := range []string{"opt/cisco", "var/log/cisco"} {
			fi, err := os.Lstat(filepath.Join(dir, name))
			if err == nil && fi.Mode() != os.ModeDir|0o755 {
				err = fmt.Errorf("%s: %v", name, fi.Mode())
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}}.run(t)
}

// keepIdentity notes login.defs as it is, beside the root's folders.
func keepIdentity(t *testing.T, s scratch) {
	t.Helper()
	s.write(t, "/identity", fmt.Sprintf("%+v", s.loginDefs(t)), 0o600)
}

func sameIdentity(dir string) error {
	want, err := os.ReadFile(filepath.Join(dir, "identity"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	id, idErr := identityOf(filepath.Join(dir, "etc/login.defs"))
	if now := fmt.Sprintf("%+v", id); now != string(want) {
		return errors.Join(err, idErr, fmt.Errorf("login.defs is %s; %s expected", now, want))
	}
	return errors.Join(err, idErr)
}

func recoveredAccount(defs string) func(string) error {
	return func(dir string) error {
		return errors.Join(accountWholeOrAbsent(dir), hasLoginDefs(dir, defs), sameIdentity(dir), leftovers(dir))
	}
}

func plannedAccount(defs string) func(string) error {
	return func(dir string) error {
		return errors.Join(accountWhole(dir), hasLoginDefs(dir, defs), sameIdentity(dir), leftovers(dir))
	}
}

func hasLoginDefs(dir, defs string) error {
	b, err := os.ReadFile(filepath.Join(dir, "etc/login.defs"))
	if err == nil && string(b) != defs {
		err = fmt.Errorf("login.defs is %q", b)
	}
	return err
}
