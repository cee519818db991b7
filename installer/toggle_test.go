package installer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ampconnector/amp/internal/host"
)

func toggled(t *testing.T, s scratch, during func(path string)) error {
	t.Helper()
	h := s.host()
	record, err := recordToggle(h)
	if err != nil {
		t.Fatal(err)
	}
	return record.during(h, func() error {
		if b := s.read(t, "/etc/login.defs"); !strings.Contains(b, "yes") {
			t.Errorf("not toggled: %q", b)
		}
		during(filepath.Join(s.dir, "etc/login.defs"))
		return nil
	})
}

// withoutExchange plays a file system that cannot exchange two names.
func withoutExchange(t *testing.T) {
	real := renameExchange
	renameExchange = func(string, string) error { return syscall.EINVAL }
	t.Cleanup(func() { renameExchange = real })
}

func TestToggleReturnsTheOriginal(t *testing.T) {
	for _, exchange := range []bool{true, false} {
		s := newScratch(t)
		path := filepath.Join(s.dir, "etc/login.defs")
		if err := errors.Join(os.Chown(path, 1, 2), os.Chmod(path, 0o604)); err != nil {
			t.Fatal(err)
		}
		attr := syscall.Setxattr(path, "user.site", []byte("kept"), 0) == nil
		if !exchange {
			withoutExchange(t)
		}
		before := s.loginDefs(t)
		err := toggled(t, s, func(path string) {
			fi, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			st := fi.Sys().(*syscall.Stat_t)
			if fi.Mode() != 0o604 || st.Uid != 1 || st.Gid != 2 || st.Ino == before.Inode {
				t.Errorf("copy: %v %d:%d inode %d", fi.Mode(), st.Uid, st.Gid, st.Ino)
			}
			b := make([]byte, 10)
			if n, _ := syscall.Getxattr(path, "user.site", b); attr && string(b[:max(0, n)]) != "kept" {
				t.Errorf("attribute %q", b[:max(0, n)])
			}
		})
		if err := errors.Join(err, leftovers(s.dir)); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(before, s.loginDefs(t)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestToggleKeepsEditsOfOthers(t *testing.T) {
	table := []struct{ name, defs, edit, want string }{
		{"a line added", "USERGROUPS_ENAB no\n", "USERGROUPS_ENAB yes\nUMASK 027\n", "USERGROUPS_ENAB no\nUMASK 027\n"},
		{"a line added, none of ours before", "UMASK 022\n", "UMASK 027\nUSERGROUPS_ENAB yes\n", "UMASK 027\n"},
		{"our line edited", "USERGROUPS_ENAB no\n", "USERGROUPS_ENAB NO\nUMASK 027\n", "USERGROUPS_ENAB NO\nUMASK 027\n"},
		{"our line taken out", "USERGROUPS_ENAB no\n", "UMASK 027\n", "UMASK 027\n"},
		{"doubled", "USERGROUPS_ENAB yes\nUSERGROUPS_ENAB no\n", "USERGROUPS_ENAB yes\nUSERGROUPS_ENAB yes\n#\n", "USERGROUPS_ENAB yes\nUSERGROUPS_ENAB no\n#\n"},
	}
	for _, row := range table {
		for _, replace := range []bool{true, false} {
			s := newScratch(t)
			s.write(t, "/etc/login.defs", row.defs, 0o644)
			err := toggled(t, s, func(path string) {
				if replace {
					s.write(t, "/etc/edited", row.edit, 0o600)
					if err := os.Rename(filepath.Join(s.dir, "etc/edited"), path); err != nil {
						t.Fatal(err)
					}
				} else {
					s.write(t, "/etc/login.defs", row.edit, 0o644)
				}
			})
			if err := errors.Join(err, leftovers(s.dir)); err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
			if now := s.read(t, "/etc/login.defs"); now != row.want {
				t.Errorf("%s, replaced %v: %q, %q expected", row.name, Renew, now, row.want)
			}
		}
	}
}

func TestToggleFileRemovedMeanwhile(t *testing.T) {
	s := newScratch(t)
	before := s.loginDefs(t)
	err := toggled(t, s, func(path string) { mustRemove(t, path) })
	if err := errors.Join(err, leftovers(s.dir)); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, s.loginDefs(t)); diff != "" {
		t.Error(diff)
	}
}

func TestToggleRefusesAFileThatChanged(t *testing.T) {
	s := newScratch(t)
	h := s.host()
	record, err := recordToggle(h)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "/etc/login.defs", "USERGROUPS_ENAB no\n# edited\n", 0o644)
	if err := record.during(h, func() error { t.Error("ran"); return nil }); err == nil {
		t.Error("no error")
	}
	if now := s.read(t, "/etc/login.defs"); now != "USERGROUPS_ENAB no\n# edited\n" {
		t.Error(now)
	}
	if err := leftovers(s.dir); err != nil {
		t.Error(err)
	}
}

// Every state that three renames in place of an exchange can leave is finished.
func TestToggleSettles(t *testing.T) {
	for _, step := range []string{"linked", "renamed"} {
		s := newScratch(t)
		h := s.host()
		before := s.loginDefs(t)
		record, err := recordToggle(h)
		if err != nil {
			t.Fatal(err)
		}
		files, err := toggleFilesOf(h)
		if err != nil {
			t.Fatal(err)
		}
		s.write(t, "/etc/.login.defs.cisco-amp", strings.Replace(plainLoginDefs, "ENAB no", "ENAB yes", 1), 0o644)
		if err := os.Link(files.live, files.kept); err != nil {
			t.Fatal(err)
		}
		if step == "renamed" {
			if err := os.Rename(files.beside, files.live); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(record.off(h), leftovers(s.dir)); err != nil {
			t.Errorf("%s: %v", step, err)
		}
		if diff := cmp.Diff(before, s.loginDefs(t)); diff != "" {
			t.Errorf("%s: %s", step, diff)
		}
	}
}

// Where the account tools read drop-ins no file is edited, whichever decides.
func TestToggleByDropIn(t *testing.T) {
	const vendor = "/usr/etc/login.defs"
	for name, row := range map[string]struct {
		files map[string]string
		says  string // what the error says; "" where it can be toggled
	}{
		"the vendor's file decides":  {map[string]string{vendor: "USERGROUPS_ENAB no\n"}, ""},
		"nothing decides":            {map[string]string{vendor: "UMASK 022\n"}, ""},
		"the host's file decides":    {map[string]string{vendor: "", "/etc/login.defs": "USERGROUPS_ENAB no\nUSERGROUPS_ENAB yes\n"}, ""},
		"a drop-in decides":          {map[string]string{vendor: "USERGROUPS_ENAB yes\n", "/etc/login.defs.d/zz.defs": "USERGROUPS_ENAB no\n"}, ""},
		"a vendor's drop-in decides": {map[string]string{vendor: "USERGROUPS_ENAB yes\n", "/usr/etc/login.defs.d/zz.defs": "USERGROUPS_ENAB no\n"}, ""},
		"a drop-in that is read after ours": {map[string]string{vendor: "UMASK 022\n", "/etc/login.defs.d/\u00e9.defs": "#\nUSERGROUPS_ENAB No\n"},
			"USERGROUPS_ENAB cannot be toggled: \"No\" of /etc/login.defs.d/\u00e9.defs, line 2, is read later"},
	} {
		s := newScratch(t)
		mustRemove(t, filepath.Join(s.dir, "etc/login.defs"))
		for file, text := range row.files {
			s.write(t, file, text, 0o644)
		}
		before := tree(t, s.dir)
		h := s.host()
		record, err := recordToggle(h)
		if err != nil || record.DropIn == "" {
			t.Fatalf("%s: %+v, %v", name, record, err)
		}
		ran := false
		err = record.during(h, func() error {
			ran = true
			if defs := host.LoginSettingsOf(h.Root); !defs.Value.Bool(userGroups) {
				t.Errorf("%s: not toggled: %+v", name, defs)
			}
			return nil
		})
		if ran != (row.says == "") || (err == nil) != ran || err != nil && !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: ran %v, %v", name, ran, err)
		}
		if diff := cmp.Diff(before, tree(t, s.dir)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if err := record.off(h); err != nil {
			t.Errorf("%s: off again: %v", name, err)
		}
	}
}

// A folder of drop-ins that was made for ours stays where somebody put one of theirs into it.
func TestToggleDropInKeepsOthers(t *testing.T) {
	s := newScratch(t)
	s.write(t, "/usr/etc/login.defs", "UMASK 022\n", 0o644)
	h := s.host()
	record, err := recordToggle(h)
	if err != nil {
		t.Fatal(err)
	}
	err = record.during(h, func() error { s.write(t, "/etc/login.defs.d/theirs.defs", "UMASK 027\n", 0o644); return nil })
	if err != nil {
		t.Error(err)
	}
	if s.read(t, "/etc/login.defs.d/theirs.defs") == "" {
		t.Error("lost")
	}
	if _, err := os.Lstat(filepath.Join(s.dir, userGroupsDropIn)); err == nil {
		t.Error("ours is still there")
	}
}

func TestToggleNothingToDoByDropIn(t *testing.T) {
	s := newScratch(t)
	s.write(t, "/usr/etc/login.defs", "", 0o644)
	s.write(t, "/etc/login.defs.d/site.defs", "USERGROUPS_ENAB yes\n", 0o644)
	if record, err := recordToggle(s.host()); err != nil || record != (LoginDefsToggle{}) {
		t.Errorf("%+v, %v", record, err)
	}
	s.write(t, "/etc/login.defs.d/site.defs", "USERGROUPS_ENAB \x00\n", 0o644)
	if _, err := recordToggle(s.host()); err == nil || !strings.Contains(err.Error(), "/etc/login.defs.d/site.defs: line 1") {
		t.Errorf("damaged: %v", err)
	}
}
