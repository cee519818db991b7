package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// deviant is an account with one thing wrong.
type deviant struct {
	name, passwd, shadow, group string
	change                      func(t *testing.T, s scratch)
	causes                      []string
}

const (
	rightPasswd = scanAccount + ":x:990:980:x:/nonexistent:/usr/sbin/nologin"
	rightShadow = scanAccount + ":!:19000::::::"
	rightGroup  = scanAccount + ":x:980:"
)

var deviants = []deviant{
	{name: "uid 0", passwd: scanAccount + ":x:0:980:x:/root:/usr/sbin/nologin", causes: []string{health.CauseUIDZero}},
	{name: "shared uid", change: func(t *testing.T, s scratch) {
		s.add(t, "/etc/passwd", "www:x:990:100::/:/bin/false")
		s.write(t, "/var/log/cisco/scan.log", "", 0o644)
		if err := os.Chown(filepath.Join(s.dir, "var/log/cisco/scan.log"), 990, 980); err != nil {
			t.Fatal(err)
		}
	}, causes: []string{health.CauseSharedUID}},
	{name: "shell", passwd: scanAccount + ":x:990:980:x:/nonexistent:/bin/bash", causes: []string{health.CauseShell}},
	{name: "empty password", shadow: scanAccount + "::19000::::::", causes: []string{health.CausePassword}},
	{name: "unlocked password", shadow: scanAccount + ":$6$a$b:19000::::::", causes: []string{health.CausePassword}},
	{name: "expiry", shadow: scanAccount + ":!:19000:::::20000:", causes: []string{health.CauseExpiry}},
	{name: "primary group", passwd: scanAccount + ":x:990:100:x:/:/usr/sbin/nologin", causes: []string{health.CausePrimaryGroup}},
	{name: "gid 0", passwd: scanAccount + ":x:990:0:x:/:/usr/sbin/nologin", group: scanAccount + ":x:0:", causes: []string{health.CausePrimaryGroup}},
	{name: "extra groups", group: "adm:x:4:" + scanAccount + "\nwheel:x:10:root," + scanAccount + "\n" + rightGroup, causes: []string{health.CauseExtraGroups}},
	{name: "home", passwd: scanAccount + ":x:990:980:x:/home/joe:/usr/sbin/nologin", change: func(t *testing.T, s scratch) {
		if err := errors.Join(os.MkdirAll(filepath.Join(s.dir, "home/joe"), 0o755), os.Chown(filepath.Join(s.dir, "home/joe"), 1000, 1000)); err != nil {
			t.Fatal(err)
		}
	}, causes: []string{health.CauseHome}},
}

func (d deviant) scratch(t *testing.T) scratch {
	t.Helper()
	s := newScratch(t)
	for _, f := range []struct{ file, line, right string }{
		{"/etc/passwd", d.passwd, rightPasswd}, {"/etc/shadow", d.shadow, rightShadow}, {"/etc/group", d.group, rightGroup},
		{"/etc/gshadow", "", scanAccount + ":!::"},
	} {
		if f.line == "" {
			f.line = f.right
		}
		s.add(t, f.file, f.line)
	}
	if d.change != nil {
		d.change(t, s)
	}
	return s
}

func TestRepairs(t *testing.T) {
	for _, d := range deviants {
		t.Run(d.name, func(t *testing.T) {
			s := d.scratch(t)
			items := AccountItems(s.facts())
			if diff := cmp.Diff(append([]string{"account-locks"}, d.causes...), kindsOf(items)); diff != "" {
				t.Fatal(diff)
			}
			if items[1].Step.Title().EN == "" {
				t.Error("no title")
			}
			if _, err := s.apply(t); err != nil {
				t.Fatal(err)
			}
			if c := AccountItems(s.facts()); len(c) > 0 {
				t.Errorf("still %v", kindsOf(c))
			}
			if err := errors.Join(accountWhole(s.dir), leftovers(s.dir)); err != nil {
				t.Error(err)
			}
			if p := s.read(t, "/etc/passwd"); !strings.HasPrefix(p, "root:x:0:0:root:/root:/bin/bash\n") {
				t.Errorf("root's line changed:\n%s", p)
			}
		})
	}
}

// Undo after Apply, and Undo without it, leave the account files as they were.
func TestRepairsUndo(t *testing.T) {
	ctx := context.Background()
	for _, d := range deviants {
		t.Run(d.name, func(t *testing.T) {
			s := d.scratch(t)
			h := s.host()
			before := accountLines(t, s)
			step := AccountItems(s.facts())[1].Step
			if err := step.Prepare(ctx, h); err != nil {
				t.Fatal(err)
			}
			if err := step.Undo(ctx, h); err != nil {
				t.Errorf("undo of nothing: %v", err)
			}
			if err := step.Apply(ctx, h); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := step.Undo(ctx, h); err != nil {
					t.Error(err)
				}
			}
			if diff := cmp.Diff(before, accountLines(t, s)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// accountLines are the account files without the day of the last password change.
func accountLines(t *testing.T, s scratch) []string {
	t.Helper()
	var all []string
	if fi, err := os.Stat(filepath.Join(s.dir, "var/log/cisco/scan.log")); err == nil {
		all = append(all, fmt.Sprintf("log of %d", fi.Sys().(*syscall.Stat_t).Uid))
	}
	for _, name := range []string{"/etc/passwd", "/etc/group", "/etc/shadow"} {
		for line := range strings.Lines(s.read(t, name)) {
			if f := strings.Split(line, ":"); name == "/etc/shadow" && len(f) > 2 {
				f[2] = ""
				line = strings.Join(f, ":")
			}
			// usermod may sort the members of a group differently.
			if f := strings.Split(strings.TrimSpace(line), ":"); name == "/etc/group" && len(f) == 4 {
				members := strings.Split(f[3], ",")
				slices.Sort(members)
				line = strings.Join(f[:3], ":") + ":" + strings.Join(members, ",") + "\n"
			}
			all = append(all, name+" "+line)
		}
	}
	return all
}

func TestRepairMovesOwnership(t *testing.T) {
	for _, d := range deviants {
		if d.name != "shared uid" {
			continue
		}
		s := d.scratch(t)
		if _, err := s.apply(t); err != nil {
			t.Fatal(err)
		}
		user := host.AccountOf(context.Background(), host.At(s.dir), scanAccount).User.Value
		fi, err := os.Stat(filepath.Join(s.dir, "var/log/cisco/scan.log"))
		if err != nil {
			t.Fatal(err)
		}
		if st := fi.Sys().(*syscall.Stat_t); st.Uid != user.UID || st.Uid == 990 || st.Gid != 980 {
			t.Errorf("file of %d:%d, user has %d", st.Uid, st.Gid, user.UID)
		}
	}
}

func TestIDCommand(t *testing.T) {
	s := newScratch(t)
	s.add(t, "/etc/passwd", scanAccount+":x:0:980:x:/root:/usr/sbin/nologin")
	command := (&UserRepair{Name: scanAccount, Account: host.Account{UID: 0}, NewUID: 987, Cause: health.CauseUIDZero}).Commands()[0]
	// As vipw does, with a file of our own.
	command = strings.TrimSuffix(command, " vipw") + `; eval "$EDITOR" ` + filepath.Join(s.dir, "etc/passwd")
	if _, err := s.host().Run(context.Background(), "sh", "-c", command); err != nil {
		t.Fatal(err)
	}
	if p := s.read(t, "/etc/passwd"); !strings.Contains(p, "\n"+scanAccount+":x:987:980:x:/root:/usr/sbin/nologin\n") || !strings.HasPrefix(p, "root:x:0:0:") {
		t.Error(p)
	}
}
