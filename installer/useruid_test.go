package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ampconnector/amp/internal/host"
)

const games = "games:x:5:60::/usr/games:/usr/sbin/nologin"

// own makes files of owners below the scratch root.
func (s scratch) own(t *testing.T, owners map[string]int) {
	t.Helper()
	for name, uid := range owners {
		s.write(t, name, "", 0o640)
		if err := os.Chown(filepath.Join(s.dir, name), uid, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// ownersOf are the owners of files below a root.
func ownersOf(dir string, names map[string]int) (map[string]int, error) {
	now := map[string]int{}
	for name := range names {
		fi, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		now[name] = int(fi.Sys().(*syscall.Stat_t).Uid)
	}
	return now, nil
}

// The files that the account had go with it to its new uid; those of root, of others and outside stay.
func TestUIDChangeMovesFiles(t *testing.T) {
	const account = -1
	for _, tt := range []struct {
		name   string
		uid    string
		before map[string]int
		want   map[string]int
		gets   uint32 // 0 is any
	}{
		{"root's uid, files of its former one", "0", map[string]int{"/var/lib/cisco/a": 990, "/var/log/cisco/b": 0, "/opt/cisco/deep/er/c": 990},
			map[string]int{"/var/lib/cisco/a": account, "/var/log/cisco/b": 0, "/opt/cisco/deep/er/c": account}, 990},
		{"root's uid, files of two former ones", "0", map[string]int{"/var/lib/cisco/a": 990, "/var/log/cisco/b": 991}, map[string]int{"/var/lib/cisco/a": account, "/var/log/cisco/b": account}, 0},
		{"root's uid, files of another account", "0", map[string]int{"/var/lib/cisco/a": 65534, "/var/log/cisco/b": 5}, map[string]int{"/var/lib/cisco/a": 65534, "/var/log/cisco/b": 5}, 999},
		{"root's uid, a file of people's range", "0", map[string]int{"/var/lib/cisco/a": 1500}, map[string]int{"/var/lib/cisco/a": account}, 999},
		{"another's uid, files of it and of its former one", "5", map[string]int{"/var/lib/cisco/a": 5, "/var/lib/cisco/b": 990, "/tmp/c": 5, "/tmp/d": 990},
			map[string]int{"/var/lib/cisco/a": account, "/var/lib/cisco/b": account, "/tmp/c": 5, "/tmp/d": 990}, 990},
		{"another's uid, files of three", "5", map[string]int{"/var/lib/cisco/a": 5, "/var/lib/cisco/b": 999, "/var/lib/cisco/c": 998},
			map[string]int{"/var/lib/cisco/a": account, "/var/lib/cisco/b": account, "/var/lib/cisco/c": account}, 997},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScratch(t)
			s.add(t, "/etc/passwd", games+"\n"+scanAccount+":x:"+tt.uid+":980::/nonexistent:/usr/sbin/nologin")
			s.add(t, "/etc/shadow", rightShadow)
			s.add(t, "/etc/group", rightGroup)
			s.own(t, tt.before)
			step := firstStep(AccountItems(s.facts()), func(s *UserRepair) bool { return true })
			ctx, h := context.Background(), s.host()
			if err := errors.Join(step.Prepare(ctx, h), step.Apply(ctx, h), step.Undo(ctx, h), step.Undo(ctx, h)); err != nil {
				t.Fatal(err)
			}
			undone, err := ownersOf(s.dir, tt.before)
			if diff := cmp.Diff(tt.before, undone); diff != "" || err != nil {
				t.Errorf("after Undo: %v\n%s", err, diff)
			}
			if _, err := s.apply(t); err != nil {
				t.Fatal(err)
			}
			uid := host.AccountOf(ctx, host.At(s.dir), scanAccount).User.Value.UID
			for name, owner := range tt.want {
				if owner == account {
					tt.want[name] = int(uid)
				}
			}
			now, err := ownersOf(s.dir, tt.before)
			if diff := cmp.Diff(tt.want, now); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
			if tt.gets != 0 && uid != tt.gets {
				t.Errorf("uid %d, want %d", uid, tt.gets)
			}
		})
	}
}

func firstStep(items []Item, is func(*UserRepair) bool) *UserRepair {
	for _, i := range items {
		if s, ok := i.Step.(*UserRepair); ok && is(s) {
			return s
		}
	}
	return nil
}

// A link is given away itself, and what it leads to is not.
func TestUIDChangeFollowsNoLink(t *testing.T) {
	s := newScratch(t)
	s.add(t, "/etc/passwd", games+"\n"+scanAccount+":x:5:980::/nonexistent:/usr/sbin/nologin")
	s.add(t, "/etc/shadow", rightShadow)
	s.add(t, "/etc/group", rightGroup)
	files := map[string]int{"/srv/file": 5, "/srv/folder/inside": 5}
	s.own(t, files)
	s.own(t, map[string]int{"/var/lib/cisco/x": 0})
	for _, to := range []string{"file", "folder"} {
		link := filepath.Join(s.dir, "var/lib/cisco", to)
		if err := errors.Join(os.Symlink(filepath.Join(s.dir, "srv", to), link), os.Lchown(link, 5, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.apply(t); err != nil {
		t.Fatal(err)
	}
	now, err := ownersOf(s.dir, files)
	if diff := cmp.Diff(files, now); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	links, err := ownersOf(s.dir, map[string]int{"/var/lib/cisco/file": 0, "/var/lib/cisco/folder": 0})
	if err != nil || links["/var/lib/cisco/file"] == 5 || links["/var/lib/cisco/folder"] == 5 {
		t.Errorf("links of %v, %v", links, err)
	}
}

func TestFilesElsewhereAreTold(t *testing.T) {
	for _, tt := range []struct{ uid, file, says, command string }{
		{"5", "/tmp/a b", "Of uid 5 there are at least: '/tmp/a b'. ", "find / -xdev -uid 5 -ls"},
		{"0", "/var/tmp/deep/er/c", "Of uid 990 there are at least: /var/tmp/deep/er/c. ", "find / -xdev -nouser -ls"},
		{"0", "/srv/c", "", ""},
	} {
		s := newScratch(t)
		s.add(t, "/etc/passwd", games+"\n"+scanAccount+":x:"+tt.uid+":980::/nonexistent:/usr/sbin/nologin")
		s.add(t, "/etc/shadow", rightShadow)
		s.add(t, "/etc/group", rightGroup)
		owner := 990
		if tt.uid == "5" {
			owner = 5
		}
		s.own(t, map[string]int{tt.file: owner})
		var said, command string
		for _, i := range AccountItems(s.facts()) {
			if i.Step == nil {
				said, command = said+i.Manual.EN, command+strings.Join(i.Commands, "\n")
			}
		}
		if (said == "") != (tt.says == "") || !strings.Contains(said, tt.says) || command != tt.command {
			t.Errorf("%s of uid %s: %q, %q", tt.file, tt.uid, said, command)
		}
	}
}

// Wherever the change of a uid is killed, the files belong to whom they did or to the account, all of them; and the next run carries on.
func TestSweepUID(t *testing.T) {
	needAccountTools(t)
	before := map[string]int{"/var/lib/cisco/a": 5, "/var/lib/cisco/b": 990, "/var/log/cisco/c": 991, "/opt/cisco/d": 0}
	want := func(dir string, planned bool) error {
		now, err := ownersOf(dir, before)
		if err != nil {
			return err
		}
		uid := int(host.AccountOf(context.Background(), host.At(dir), scanAccount).User.Value.UID)
		all := map[string]int{"/var/lib/cisco/a": uid, "/var/lib/cisco/b": uid, "/var/log/cisco/c": uid, "/opt/cisco/d": 0}
		if uid == 5 && !planned {
			all = before
		}
		if diff := cmp.Diff(all, now); diff != "" {
			return fmt.Errorf("the account has uid %d:\n%s", uid, diff)
		}
		return leftovers(dir)
	}
	sweep{plan: "account", twice: true, root: func(t *testing.T) string {
		s := newScratch(t)
		s.add(t, "/etc/passwd", games+"\n"+scanAccount+":x:5:980::/nonexistent:/usr/sbin/nologin")
		s.add(t, "/etc/shadow", rightShadow)
		s.add(t, "/etc/group", rightGroup)
		s.add(t, "/etc/gshadow", scanAccount+":!::")
		s.own(t, before)
		return s.dir
	}, recovered: func(dir string) error { return want(dir, false) }, planned: func(dir string) error { return want(dir, true) }}.run(t)
}
