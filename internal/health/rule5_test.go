package health

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

func TestRule5(t *testing.T) {
	for _, r := range []row{
		{name: "sound", change: func(*Facts) {}, state: fault.Clear, shown: "uid 0 gid 0"},
		{name: "no connector", change: func(f *Facts) { f.Found = false }, state: fault.NotApplicable, reason: "no connector"},
		{name: "connector not known", change: func(f *Facts) {
			f.Found, f.Host.Installation = false, host.NotKnown[host.Installation]("/opt/cisco", errDenied)
		}, state: fault.Unknown, reason: "installed connector: permission denied"},
		{name: "no user", change: user(nil), state: fault.Raised, causes: []string{CauseUserMissing}, shown: "does not exist"},
		{name: "no group, user in users", change: func(f *Facts) {
			f.Host.Account.Group.Value = nil
			f.Host.Account.User.Value.GID = 100
			f.Host.Account.PrimaryGroup.Value = "users"
		}, state: fault.Raised, causes: []string{CauseGroupMissing, CausePrimaryGroup}, shown: "gid 100 (users)"},
		{name: "neither", change: func(f *Facts) { f.Host.Account.Group.Value, f.Host.Account.User.Value = nil, nil },
			state: fault.Raised, causes: []string{CauseGroupMissing, CauseUserMissing}},
		{name: "uid 0", change: func(f *Facts) {
			f.Host.Account.User.Value.UID = 0
			f.Host.Account.SameUID.Value = []string{"root"}
		}, state: fault.Raised, causes: []string{CauseUIDZero}, reason: "uid 0", shown: "0"},
		{name: "shared uid", change: func(f *Facts) { f.Host.Account.SameUID.Value = []string{"games", "toor"} },
			state: fault.Raised, causes: []string{CauseSharedUID}, reason: "games, toor", shown: "games, toor"},
		{name: "of a directory service", change: remote(998), state: fault.Clear, shown: "UID_MIN 1000 (built in"},
		{name: "of a directory service, with a uid of people", change: remote(1500), state: fault.Raised, causes: []string{CausePeoplesUID},
			reason: "comes from a directory service (/etc/passwd, getent passwd (ldap)) and has uid 1500"},
		{name: "of a directory service, above people", change: remote(1200000), state: fault.Clear},
		{name: "of a directory service, uid 0", change: remote(0), state: fault.Raised, causes: []string{CauseUIDZero}},
		{name: "of a directory service, login.defs damaged", change: func(f *Facts) {
			remote(998)(f)
			f.Host.LoginDefs = host.NotKnown[*host.LoginSettings](host.LoginDefsPath, host.ErrMalformed)
		}, state: fault.Unknown, reason: "range of people's uids"},
		{name: "of the files, with a uid of people", change: func(f *Facts) {
			remote(1500)(f)
			f.Host.Account.User.Value.From = host.PasswdPath
		}, state: fault.Clear},
		{name: "no user and no uid for one", change: func(f *Facts) {
			user(nil)(f)
			f.Host.Account.FreeUID = host.NotKnown[uint32](host.LoginDefsPath, host.ErrNoFreeID)
		}, state: fault.Raised, causes: []string{CauseUserMissing}, shown: "no free id"},
		{name: "directory service down", change: func(f *Facts) {
			f.Host.Account.User = host.NotKnown[*host.Account]("/etc/passwd, getent passwd (ldap)", host.ErrNoAnswer)
			f.Host.Account.Group = host.NotKnown[*host.Group]("/etc/group, getent group (ldap)", host.ErrNoAnswer)
		}, state: fault.Unknown, reason: "does not answer"},
		{name: "bash", change: shell("/bin/bash"), state: fault.Raised, causes: []string{CauseShell}, shown: "/bin/bash"},
		{name: "empty shell", change: shell(""), state: fault.Raised, causes: []string{CauseShell}, shown: "/bin/sh"},
		{name: "sync", change: shell("/bin/sync"), state: fault.Raised, causes: []string{CauseShell}},
		{name: "false", change: shell("/bin/false"), state: fault.Clear},
		{name: "nologin of EL7", change: shell("/sbin/nologin"), state: fault.Clear},
		{name: "password set", change: password(host.Password{}), state: fault.Raised, causes: []string{CausePassword}, shown: "set"},
		{name: "password empty", change: password(host.Password{Empty: true}), state: fault.Raised, causes: []string{CausePassword}, reason: "anyone may log in"},
		{name: "expiry", change: password(host.Password{Locked: true, Expires: true}), state: fault.Raised, causes: []string{CauseExpiry}},
		{name: "password and expiry", change: password(host.Password{Expires: true}), state: fault.Raised, causes: []string{CausePassword, CauseExpiry}},
		{name: "wrong primary group", change: func(f *Facts) {
			f.Host.Account.User.Value.GID = 100
			f.Host.Account.PrimaryGroup.Value = "users"
		}, state: fault.Raised, causes: []string{CausePrimaryGroup}, shown: "users"},
		{name: "primary group without a name", change: func(f *Facts) {
			f.Host.Account.User.Value.GID = 4242
			f.Host.Account.PrimaryGroup.Value = ""
		}, state: fault.Raised, causes: []string{CausePrimaryGroup}, shown: "has no name"},
		{name: "name of the primary group not known", change: func(f *Facts) { f.Host.Account.PrimaryGroup = host.NotKnown[string]("/etc/group", errDenied) },
			state: fault.Clear, shown: "name not known"},
		{name: "gid 0", change: func(f *Facts) {
			f.Host.Account.User.Value.GID, f.Host.Account.Group.Value.GID = 0, 0
		}, state: fault.Raised, causes: []string{CausePrimaryGroup}, reason: "gid 0"},
		{name: "extra groups", change: func(f *Facts) { f.Host.Account.ExtraGroups.Value = []string{"wheel", "docker"} },
			state: fault.Raised, causes: []string{CauseExtraGroups}, reason: "wheel, docker"},
		{name: "home of another", change: home(1000), state: fault.Raised, causes: []string{CauseHome}, shown: "uid 1000"},
		{name: "home of root", change: home(0), state: fault.Clear},
		{name: "home of its own", change: home(998), state: fault.Clear},
		{name: "directory missing", change: directory("/var/log/cisco", nil), state: fault.Raised, causes: []string{"directory:/var/log/cisco"}, shown: "does not exist"},
		{name: "a file in its place", change: directory("/opt/cisco", &host.DirectoryState{Mode: 0o644}), state: fault.Raised, causes: []string{"directory:/opt/cisco"}},
		{name: "0700", change: mode("/opt/cisco", 0o700, 0, 0), state: fault.Raised, causes: []string{"directory:/opt/cisco"}, reason: "locks the scan user out", shown: "0700"},
		{name: "0750 of root", change: mode("/opt/cisco", 0o750, 0, 0), state: fault.Raised, causes: []string{"directory:/opt/cisco"}},
		{name: "0750 of the user's group", change: mode("/opt/cisco", 0o750, 0, 997), state: fault.Clear},
		{name: "0705 of the user's group", change: mode("/opt/cisco", 0o705, 0, 997), state: fault.Raised, causes: []string{"directory:/opt/cisco"}},
		{name: "0751", change: mode("/opt/cisco", 0o751, 0, 0), state: fault.Raised, causes: []string{"directory:/opt/cisco"}},
		{name: "0777", change: mode("/opt/cisco/amp/etc", 0o777, 0, 0), state: fault.Raised, causes: []string{"directory:/opt/cisco/amp/etc"}, reason: "lets others write", shown: "0777"},
		{name: "01777", change: mode("/var/log/cisco", fs.ModeSticky|0o777, 0, 0), state: fault.Raised, causes: []string{"directory:/var/log/cisco"}},
		{name: "0775 of a group", change: mode("/opt/cisco", 0o775, 0, 100), state: fault.Raised, causes: []string{"directory:/opt/cisco"}},
		{name: "owned by a user", change: mode("/opt/cisco", 0o755, 1000, 0), state: fault.Raised, causes: []string{"directory:/opt/cisco"}, reason: "belongs to uid 1000"},
		{name: "another group, which may not write", change: mode("/var/log/cisco", 0o755, 0, 4), state: fault.Clear},
		{name: "two directories", change: func(f *Facts) {
			mode("/opt/cisco", 0o700, 0, 0)(f)
			mode("/var/log/cisco", 0o777, 0, 0)(f)
		}, state: fault.Raised, causes: []string{"directory:/opt/cisco", "directory:/var/log/cisco"}},
		{name: "directory of the scan user", change: func(f *Facts) {
			f.Host.Directories = []host.DirectoryFact{{
				Want: host.Directory{Path: "/srv/q", Mode: 0o700, Owner: account, Group: account}, WantUID: host.Read(uint32(998), "/etc/passwd"),
				State: host.Read(&host.DirectoryState{Mode: 0o700, UID: 998, GID: 997, IsDir: true}, "/srv/q"),
			}}
		}, state: fault.Clear},
		{name: "shadow not readable", change: func(f *Facts) { f.Host.Account.Password = host.NotKnown[host.Password]("/etc/shadow", errDenied) },
			state: fault.Unknown, reason: "password of cisco-amp-scan-svc: permission denied", shown: "not known: permission denied"},
		{name: "passwd not readable", change: func(f *Facts) { f.Host.Account.User = host.NotKnown[*host.Account]("/etc/passwd", errDenied) }, state: fault.Unknown},
		{name: "group not readable", change: func(f *Facts) { f.Host.Account.Group = host.NotKnown[*host.Group]("/etc/group", errDenied) }, state: fault.Unknown},
		{name: "name service does not answer", change: func(f *Facts) { f.Host.Account.User = host.NotKnown[*host.Account]("nss", host.ErrNotRunning) }, state: fault.Unknown},
		{name: "extra groups not known", change: func(f *Facts) { f.Host.Account.ExtraGroups = host.NotKnown[[]string]("/etc/group", errDenied) }, state: fault.Unknown},
		{name: "same uid not known", change: func(f *Facts) { f.Host.Account.SameUID = host.NotKnown[[]string]("/etc/passwd", errDenied) }, state: fault.Unknown},
		{name: "home not known", change: func(f *Facts) { f.Host.Account.HomeOwner = host.NotKnown[*uint32]("/home/x", errDenied) }, state: fault.Unknown},
		{name: "owner not known", change: func(f *Facts) {
			f.Host.Directories[0].WantUID = host.NotKnown[uint32]("/etc/passwd", errDenied)
		}, state: fault.Unknown, reason: "uid of root"},
		{name: "directory not readable", change: func(f *Facts) {
			f.Host.Directories[0].State = host.NotKnown[*host.DirectoryState]("/opt/cisco", errDenied)
		}, state: fault.Unknown, reason: "/opt/cisco"},
		{name: "a shell, and shadow not readable", change: func(f *Facts) {
			shell("/bin/bash")(f)
			f.Host.Account.Password = host.NotKnown[host.Password]("/etc/shadow", errDenied)
		}, state: fault.Raised, causes: []string{CauseShell}, shown: "not known: permission denied"},
		{name: "all that can be wrong with an account", change: func(f *Facts) {
			f.Host.Account.User.Value.UID, f.Host.Account.User.Value.GID, f.Host.Account.User.Value.Shell = 0, 0, "/bin/sh"
			f.Host.Account.Password.Value = host.Password{Expires: true}
			f.Host.Account.ExtraGroups.Value = []string{"sudo"}
			home(33)(f)
		}, state: fault.Raised, causes: []string{CauseUIDZero, CauseShell, CausePassword, CauseExpiry, CausePrimaryGroup, CauseExtraGroups, CauseHome}},

		{name: "nothing is scanning", change: scan(func(s *control.Scan) { *s = control.Scan{State: control.ScanFailed} }), state: fault.Clear},
		{name: "no daemon", change: func(f *Facts) { f.Scanning = host.NotKnown[control.Scan](control.Socket, errNoDaemon) }, state: fault.Clear},
		{name: "scans as root", change: scan(func(s *control.Scan) {
			s.UID, s.GID, s.AsRoot, s.Capable, s.UserError = 0, 0, true, true, "setuid: EAGAIN"
		}),
			state: fault.Raised, causes: []string{CauseAsRoot}, reason: "files are scanned as root: setuid: EAGAIN", shown: "root, since: setuid: EAGAIN"},
		{name: "scans as root and nobody says so", change: scan(func(s *control.Scan) { s.UID = 0 }), state: fault.Raised, causes: []string{CauseAsRoot}, shown: "root"},
		{name: "not looked at yet", change: scan(func(s *control.Scan) { s.UID, s.GID, s.User = 0, 0, "" }), state: fault.Clear},
		{name: "would scan as root", change: scan(func(s *control.Scan) { s.PID, s.AsRoot = 0, true }), state: fault.Raised, causes: []string{CauseAsRoot}},
		{name: "scans as another user", change: scan(func(s *control.Scan) { s.UID = 1000 }), state: fault.Raised, causes: []string{CauseOtherUser}, reason: "runs as uid 1000 gid 997", shown: "uid 1000 gid 997"},
		{name: "scans with another group", change: scan(func(s *control.Scan) { s.GID = 100 }), state: fault.Raised, causes: []string{CauseOtherUser}},
		{name: "the account was made anew", change: func(f *Facts) { f.Host.Account.User.Value.UID = 990 }, state: fault.Raised, causes: []string{CauseOtherUser}, shown: "uid 998 gid 997"},
		{name: "scans with further groups", change: scan(func(s *control.Scan) { s.Groups = []uint32{4, 27} }), state: fault.Raised, causes: []string{CauseProcessGroup}, shown: "gid 4, 27"},
		{name: "scans with capabilities", change: scan(func(s *control.Scan) { s.Capable = true }), state: fault.Raised, causes: []string{CauseCapable}, shown: "present"},
		{name: "user gone while its process runs", change: user(nil), state: fault.Raised, causes: []string{CauseUserMissing}, shown: "uid 998 gid 997"},
		{name: "an image", change: func(f *Facts) { f.Host.Live = false }, state: fault.Clear},
	} {
		r.run(t, rule5{})
	}
}

// What login.defs says of groups is shown where a group is wrong, with the file and line that decide, and nowhere else.
func TestRule5UserGroups(t *testing.T) {
	defs := func(files ...string) host.Reading[*host.LoginSettings] {
		dir := t.TempDir()
		for i := 0; i < len(files); i += 2 {
			path := filepath.Join(dir, files[i])
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(files[i+1]), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		return host.LoginSettingsOf(host.At(dir))
	}
	for name, c := range map[string]struct {
		defs       host.Reading[*host.LoginSettings]
		read, from string
	}{
		"no":           {defs(host.LoginDefsPath, "#\nUSERGROUPS_ENAB no\n"), "no", "/etc/login.defs, line 2"},
		"not set":      {defs(host.LoginDefsPath, "UMASK 022\n"), "not set, which means no", "/etc/login.defs"},
		"no file":      {defs(), "there is no login.defs", "/etc/login.defs"},
		"damaged":      {defs(host.LoginDefsPath, "\x00"), "not known: ", "/etc/login.defs"},
		"by a drop-in": {defs(host.VendorLoginDefsPath, "USERGROUPS_ENAB yes\n", host.LoginDefsDropIns+"/a.defs", "USERGROUPS_ENAB no\n"), "no", "/etc/login.defs.d/a.defs, line 1"},
	} {
		f := sound()
		f.Host.LoginDefs = c.defs
		if shown := evidence(rule5{}.Check(f), "USERGROUPS_ENAB"); shown != nil {
			t.Errorf("%s: %+v where nothing is wrong", name, shown)
		}
		f.Host.Account.Group.Value = nil
		got := rule5{}.Check(f)
		shown := evidence(got, "USERGROUPS_ENAB")
		if shown == nil || !strings.Contains(shown.Read, c.read) || shown.From != c.from || got.State != fault.Raised {
			t.Errorf("%s: %s with %+v, want %q from %q", name, got.State, shown, c.read, c.from)
		}
	}
}

func evidence(f fault.Finding, what string) *fault.Evidence {
	if i := slices.IndexFunc(f.Evidence, func(e fault.Evidence) bool { return e.What == what }); i >= 0 {
		return &f.Evidence[i]
	}
	return nil
}

func user(u *host.Account) func(*Facts) {
	return func(f *Facts) { f.Host.Account.User.Value = u }
}

func scan(change func(*control.Scan)) func(*Facts) {
	return func(f *Facts) { change(&f.Scanning.Value) }
}

func shell(s string) func(*Facts) {
	return func(f *Facts) { f.Host.Account.User.Value.Shell = s }
}

// remote makes the account one of a directory service.
func remote(uid uint32) func(*Facts) {
	return func(f *Facts) {
		f.Host.Account.User.Value.From, f.Host.Account.User.Value.UID, f.Host.Account.User.From = host.FromNSS, uid, "/etc/passwd, getent passwd (ldap)"
		f.Scanning.Value.UID = uid
		if uid == 0 {
			f.Scanning.Value = control.Scan{State: control.ScanFailed}
		}
	}
}

func password(p host.Password) func(*Facts) {
	return func(f *Facts) { f.Host.Account.Password.Value = p }
}

func home(owner uint32) func(*Facts) {
	return func(f *Facts) { f.Host.Account.HomeOwner.Value = &owner }
}

func directory(path string, s *host.DirectoryState) func(*Facts) {
	return func(f *Facts) {
		for i := range f.Host.Directories {
			if f.Host.Directories[i].Want.Path == path {
				f.Host.Directories[i].State.Value = s
			}
		}
	}
}

func mode(path string, m fs.FileMode, uid, gid uint32) func(*Facts) {
	return directory(path, &host.DirectoryState{Mode: m, UID: uid, GID: gid, IsDir: true})
}
