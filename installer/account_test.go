package installer

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// fits are the facts of an account as it should be.
func fits() host.AccountFacts {
	const from = "/etc/passwd"
	return host.AccountFacts{
		Name:         scanAccount,
		User:         host.Read(&host.Account{Name: scanAccount, UID: 990, GID: 980, Home: noHome, Shell: "/usr/sbin/nologin", From: from}, from),
		Group:        host.Read(&host.Group{Name: scanAccount, GID: 980, From: "/etc/group"}, "/etc/group"),
		Password:     host.Read(host.Password{Locked: true}, "/etc/shadow"),
		ExtraGroups:  host.Read[[]string](nil, "/etc/group"),
		SameUID:      host.Read[[]string](nil, from),
		HomeOwner:    host.Read[*uint32](nil, noHome),
		PrimaryGroup: host.Read(scanAccount, "/etc/group"),
	}
}

func TestAccountItems(t *testing.T) {
	root, other := uint32(0), uint32(1000)
	table := []struct {
		name   string
		change func(*host.AccountFacts)
		want   []string
	}{
		{"as it should be", func(*host.AccountFacts) {}, nil},
		{"nothing there", func(a *host.AccountFacts) { a.User.Value, a.Group.Value = nil, nil }, []string{"account-locks", "group?", "user"}},
		{"user missing", func(a *host.AccountFacts) { a.User.Value = nil }, []string{"account-locks", "user"}},
		{"group missing", func(a *host.AccountFacts) { a.Group.Value = nil }, []string{"account-locks", "group", "primary-group"}},
		{"uid 0", func(a *host.AccountFacts) { a.User.Value.UID = 0; a.SameUID.Value = []string{"root"} }, []string{"account-locks", "uid-zero"}},
		{"shared uid", func(a *host.AccountFacts) { a.SameUID.Value = []string{"www"} }, []string{"account-locks", "shared-uid"}},
		{"shell", func(a *host.AccountFacts) { a.User.Value.Shell = "/bin/sh" }, []string{"account-locks", "shell"}},
		{"no shell is a shell", func(a *host.AccountFacts) { a.User.Value.Shell = "" }, []string{"account-locks", "shell"}},
		{"unlocked", func(a *host.AccountFacts) { a.Password.Value = host.Password{} }, []string{"account-locks", "password"}},
		{"empty password", func(a *host.AccountFacts) { a.Password.Value = host.Password{Empty: true} }, []string{"account-locks", "password"}},
		{"expiry", func(a *host.AccountFacts) { a.Password.Value.Expires = true }, []string{"account-locks", "expiry"}},
		{"primary group", func(a *host.AccountFacts) { a.User.Value.GID = 100 }, []string{"account-locks", "primary-group"}},
		{"gid 0", func(a *host.AccountFacts) { a.User.Value.GID, a.Group.Value.GID = 0, 0 }, []string{"account-locks", "primary-group"}},
		{"extra groups", func(a *host.AccountFacts) { a.ExtraGroups.Value = []string{"adm"} }, []string{"account-locks", "extra-groups"}},
		{"home of others", func(a *host.AccountFacts) { a.HomeOwner.Value = &other }, []string{"account-locks", "home"}},
		{"home of root", func(a *host.AccountFacts) { a.HomeOwner.Value = &root }, nil},
		{"all at once, in order", func(a *host.AccountFacts) {
			a.User.Value.UID, a.User.Value.GID, a.User.Value.Shell = 0, 100, "/bin/sh"
			a.Password.Value = host.Password{Empty: true, Expires: true}
			a.ExtraGroups.Value, a.HomeOwner.Value = []string{"adm"}, &other
		}, []string{"account-locks", "home", "uid-zero", "shell", "password", "expiry", "primary-group", "extra-groups"}},
		{"shadow not readable", func(a *host.AccountFacts) { a.Password.Err = errors.New("permission denied") }, []string{"account-locks", "password", "expiry"}},
		{"user not known", func(a *host.AccountFacts) { a.User.Err = errors.New("permission denied") }, []string{"account-locks", "user"}},
		{"directory service, fits", func(a *host.AccountFacts) { a.User.Value.From = host.FromNSS }, nil},
		{"directory service, shell", ofService(func(a *host.AccountFacts) { a.User.Value.Shell = "/bin/sh" }), []string{"manual"}},
		{"directory service, group missing, its gid free", ofService(func(a *host.AccountFacts) { a.Group.Value, a.PrimaryGroup.Value = nil, "" }), []string{"account-locks", "group"}},
		{"directory service, group missing, its gid another's", ofService(func(a *host.AccountFacts) { a.Group.Value, a.PrimaryGroup.Value = nil, "users" }), []string{"manual"}},
		{"directory service, group missing, its gid not known", ofService(func(a *host.AccountFacts) { a.Group.Value, a.PrimaryGroup.Err = nil, host.ErrNoAnswer }), []string{"manual"}},
		{"directory service, group missing and gid 0", ofService(func(a *host.AccountFacts) { a.Group.Value, a.User.Value.GID, a.PrimaryGroup.Value = nil, 0, "" }), []string{"manual"}},
		{"directory service, another group than the local one", ofService(func(a *host.AccountFacts) { a.User.Value.GID = 100 }), []string{"manual"}},
		{"directory service, uid of people", ofService(func(a *host.AccountFacts) { a.User.Value.UID = 1500 }), []string{"manual"}},
		{"directory service, groups of both", ofService(func(a *host.AccountFacts) {
			a.ExtraGroups.Value, a.DirectoryGroups = []string{"adm", "staff"}, []string{"staff"}
		}), []string{"manual", "manual"}},
		{"group of a directory service", func(a *host.AccountFacts) { a.Group.Value.From = host.FromNSS }, nil},
		{"group of a directory service, no user", func(a *host.AccountFacts) { a.Group.Value.From, a.User.Value = host.FromNSS, nil }, []string{"account-locks", "user"}},
		{"group of a directory service, not primary", func(a *host.AccountFacts) { a.Group.Value.From, a.User.Value.GID = host.FromNSS, 100 }, []string{"account-locks", "primary-group"}},
		{"group of a directory service with gid 0", func(a *host.AccountFacts) { a.Group.Value.From, a.Group.Value.GID = host.FromNSS, 0 }, []string{"manual"}},
		{"in a group of a directory service", func(a *host.AccountFacts) {
			a.ExtraGroups.Value, a.DirectoryGroups = []string{"staff"}, []string{"staff"}
		}, []string{"manual"}},
		{"in groups of both", func(a *host.AccountFacts) {
			a.ExtraGroups.Value, a.DirectoryGroups = []string{"adm", "staff"}, []string{"staff"}
		}, []string{"account-locks", "extra-groups", "manual"}},
		{"no free uid", func(a *host.AccountFacts) {
			a.User.Value, a.FreeUID.Err = nil, fmt.Errorf("%w: all of them are taken", ErrNoFreeID)
		}, []string{"manual"}},
		{"no free gid, range turned round", func(a *host.AccountFacts) { a.User.Value, a.Group.Value, a.FreeGID.Err = nil, nil, host.ErrMalformed }, []string{"manual"}},
	}
	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			a := fits()
			row.change(&a)
			items := AccountItems(&health.Facts{Host: host.Facts{Root: t.TempDir(), Account: a}, Connector: host.Connectors[0]})
			if diff := cmp.Diff(row.want, kindsOf(items)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// ofService are the facts of an account that comes from a directory service.
func ofService(change func(*host.AccountFacts)) func(*host.AccountFacts) {
	return func(a *host.AccountFacts) {
		a.User.Value.From, a.User.From = host.FromNSS, "/etc/passwd, getent passwd (ldap)"
		change(a)
	}
}

func kindsOf(items []Item) []string {
	var kinds []string
	for _, i := range items {
		k := "manual"
		switch s := i.Step.(type) {
		case *UserRepair:
			k = s.Cause
		case Step:
			k = s.Kind()
		}
		if i.Optional {
			k += "?"
		}
		kinds = append(kinds, k)
	}
	return kinds
}

func TestAccountMadeWithoutTouchingLoginDefs(t *testing.T) {
	s := newScratch(t)
	before := s.loginDefs(t)
	if _, err := s.apply(t); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(accountWhole(s.dir), leftovers(s.dir)); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, s.loginDefs(t)); diff != "" {
		t.Error(diff)
	}
	if items := AccountItems(s.facts()); len(items) > 0 {
		t.Errorf("still planned: %v", kindsOf(items))
	}
}

func TestAccountDryRunChangesNothing(t *testing.T) {
	s := newScratch(t)
	before := tree(t, s.dir)
	res, err := Run(context.Background(), s.host(), Plan{Name: "account", Items: AccountItems(s.facts())}, Options{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Outcome{Skipped, Planned, Planned}, outcomes(res)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(before, tree(t, s.dir)); diff != "" {
		t.Error(diff)
	}
}

func TestAccountToolThatIgnoresTheGroup(t *testing.T) {
	for _, defs := range []string{plainLoginDefs, "USERGROUPS_ENAB\t no\nUSERGROUPS_ENAB   no\n", "#USERGROUPS_ENAB yes\n", "UMASK 022", "USERGROUPS_ENAB no\n\xff\xfe stray\n", "USERGROUPS_ENAB yes\n", ""} {
		t.Run(fmt.Sprintf("%.20q", defs), func(t *testing.T) {
			s := newScratch(t)
			s.write(t, "/etc/login.defs", defs, 0o640)
			s.wrap(t, "useradd", `echo "$(grep -c '^USERGROUPS_ENAB.*yes' `+s.dir+`/etc/login.defs)" >> `+s.dir+`/seen`+"\n"+dropGroup)
			before := s.loginDefs(t)
			if _, err := s.apply(t); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(accountWhole(s.dir), leftovers(s.dir)); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(before, s.loginDefs(t)); diff != "" {
				t.Error(diff)
			}
			if seen := s.read(t, "seen"); !strings.HasSuffix(seen, "\n1\n") && seen != "1\n1\n" {
				t.Errorf("the tool saw login.defs without the setting: %q", seen)
			}
		})
	}
}

// On a host whose account tools read drop-ins the tool that ignores the group is asked again, and no file is edited.
func TestAccountToolThatIgnoresTheGroupByDropIn(t *testing.T) {
	s := newScratch(t)
	s.withEconf(t)
	before := s.loginDefs(t)
	if _, err := s.apply(t); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(accountWhole(s.dir), leftovers(s.dir)); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, s.loginDefs(t)); diff != "" {
		t.Error(diff)
	}
}

func TestAccountWithoutLoginDefs(t *testing.T) {
	s := newScratch(t)
	mustRemove(t, filepath.Join(s.dir, "etc/login.defs"))
	s.wrap(t, "useradd", dropGroup)
	if _, err := s.apply(t); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(accountWhole(s.dir), leftovers(s.dir)); err != nil {
		t.Error(err)
	}
}

func TestAccountKeepsAGroupThatWasThere(t *testing.T) {
	s := newScratch(t)
	s.add(t, "/etc/group", scanAccount+":x:777:root")
	s.add(t, "/etc/gshadow", scanAccount+":!::root")
	s.wrap(t, "useradd", dropGroup)
	if _, err := s.apply(t); err != nil {
		t.Fatal(err)
	}
	if g := s.read(t, "/etc/group"); !strings.Contains(g, scanAccount+":x:777:root\n") {
		t.Errorf("group changed:\n%s", g)
	}
	if err := accountWhole(s.dir); err != nil {
		t.Error(err)
	}
}

func TestAccountGroupaddThatDoesNothing(t *testing.T) {
	s := newScratch(t)
	s.wrap(t, "groupadd", "exit 0\n")
	res, err := s.apply(t)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Outcome{Skipped, Failed, Done}, outcomes(res)); diff != "" {
		t.Error(diff)
	}
	if err := errors.Join(accountWhole(s.dir), leftovers(s.dir)); err != nil {
		t.Error(err)
	}
}

func TestAccountToolThatFails(t *testing.T) {
	s := newScratch(t)
	s.wrap(t, "useradd", "echo 'useradd: no, today not' >&2\nexit 1\n")
	before := s.read(t, "/etc/passwd")
	_, err := s.apply(t)
	if err == nil || !strings.Contains(err.Error(), "useradd -P") || !strings.Contains(err.Error(), "exit status 1: useradd: no, today not") {
		t.Errorf("error: %v", err)
	}
	if now := s.read(t, "/etc/passwd"); now != before {
		t.Error(now)
	}
	if err := leftovers(s.dir); err != nil {
		t.Error(err)
	}
}

func TestAccountRangeExhausted(t *testing.T) {
	s := newScratch(t)
	s.write(t, "/etc/login.defs", "SYS_GID_MIN 100\nSYS_GID_MAX 101\nSYS_UID_MIN 200\nSYS_UID_MAX 201\n", 0o644)
	s.add(t, "/etc/group", "other:x:101:")
	_, err := s.apply(t)
	if !errors.Is(err, ErrNoFreeID) || !strings.Contains(err.Error(), "all 2 system gids from SYS_GID_MIN 100 (/etc/login.defs, line 1) to SYS_GID_MAX 101 (/etc/login.defs, line 2) are taken") {
		t.Errorf("error: %v", err)
	}
	s.write(t, "/etc/login.defs", "SYS_UID_MIN 200\nSYS_UID_MAX 201\n", 0o644)
	s.add(t, "/etc/passwd", "a:x:200:100::/:/bin/false\nb:x:201:100::/:/bin/false")
	_, err = s.apply(t)
	if !errors.Is(err, ErrNoFreeID) || !strings.Contains(err.Error(), "SYS_UID_MIN 200") {
		t.Errorf("error: %v", err)
	}
	if err := accountWholeOrAbsent(s.dir); err != nil {
		t.Error(err)
	}
}

// Whatever login.defs lets the account tool take, and whatever a wrapper of it does, the account gets no id of people's.
func TestAccountGetsNoIDOfPeople(t *testing.T) {
	s := newScratch(t)
	s.write(t, "/etc/login.defs", "SYS_UID_MAX 5000\nSYS_GID_MAX 5000\n", 0o644)
	if _, err := s.apply(t); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(accountWhole(s.dir), leftovers(s.dir)); err != nil {
		t.Error(err)
	}
	s = newScratch(t)
	s.wrap(t, "useradd", `exec "$tool" -u 1500 "$@"`+"\n")
	_, err := s.apply(t)
	if err == nil || !strings.Contains(err.Error(), "gave cisco-amp-scan-svc uid 1500, which is of the range of people's accounts, UID_MIN 1000") {
		t.Errorf("error: %v", err)
	}
	if err := errors.Join(accountWholeOrAbsent(s.dir), leftovers(s.dir)); err != nil {
		t.Error(err)
	}
}

// Undo leaves the group as it was before the step, gid and all, although the account tool made another one.
func TestUserUndoRestoresTheGroup(t *testing.T) {
	ctx := context.Background()
	s := newScratch(t)
	s.wrap(t, "useradd", dropGroup)
	s.add(t, "/etc/group", scanAccount+":x:321:")
	s.add(t, "/etc/gshadow", scanAccount+":!::")
	before, h := s.read(t, "/etc/group"), s.host()
	u := &User{Name: scanAccount, Group: scanAccount, Shell: "/usr/sbin/nologin", GroupMade: true}
	if err := errors.Join(u.Prepare(ctx, h), u.Apply(ctx, h), accountWhole(s.dir)); err != nil {
		t.Fatal(err)
	}
	if s.read(t, "/etc/group") == before {
		t.Fatal("the tool made no other group: nothing is tested")
	}
	for range 2 {
		if err := u.Undo(ctx, h); err != nil {
			t.Fatal(err)
		}
	}
	if now := s.read(t, "/etc/group"); now != before {
		t.Errorf("%s\n%s expected", now, before)
	}
	if strings.Contains(s.read(t, "/etc/passwd"), scanAccount) {
		t.Error("the user is still there")
	}
}
