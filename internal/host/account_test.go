package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const svc = "cisco-amp-scan-svc"

// accountTree is a host with the account as installed; tests change what they are about.
func accountTree(changes tree) tree {
	tr := tree{
		"etc/passwd":        "root:x:0:0:root:/root:/bin/bash\n" + svc + ":x:990:988::/nonexistent:/usr/sbin/nologin\n",
		"etc/group":         "root:x:0:\nusers:x:100:\n" + svc + ":x:988:\n",
		"etc/shadow":        "root:*:1::::::\n" + svc + ":!:19000::::::\n",
		"etc/gshadow":       "root:*::\n" + svc + ":!::\n",
		"etc/nsswitch.conf": "passwd: files systemd\ngroup: files [SUCCESS=merge] systemd\nshadow: files\n",
	}
	for name, content := range changes {
		tr[name] = content
	}
	return tr
}

// said is what facts say, in words, so that a table can hold it.
func said(f AccountFacts) map[string]string {
	m := map[string]string{}
	put := func(key string, known error, value any) {
		if known != nil {
			value = "unknown"
		}
		m[key] = fmt.Sprint(value)
	}
	user, group := "none", "none"
	if u := f.User.Value; u != nil {
		user = fmt.Sprint(u.UID, ":", u.GID, " ", u.From)
	}
	if g := f.Group.Value; g != nil {
		group = fmt.Sprint(g.GID, " ", g.From)
	}
	put("user", f.User.Err, user)
	put("group", f.Group.Err, group)
	put("password", f.Password.Err, fmt.Sprintf("%+v", f.Password.Value))
	put("extra", f.ExtraGroups.Err, f.ExtraGroups.Value)
	put("same uid", f.SameUID.Err, f.SameUID.Value)
	put("same gid", f.SameGID.Err, f.SameGID.Value)
	put("primary", f.PrimaryGroup.Err, f.PrimaryGroup.Value)
	put("members", f.GroupMembers.Err, f.GroupMembers.Value)
	home := "none"
	if o := f.HomeOwner.Value; o != nil {
		home = fmt.Sprint(*o)
	}
	put("home", f.HomeOwner.Err, home)
	m["bad"] = fmt.Sprint(len(f.BadLines))
	return m
}

func TestAccountFacts(t *testing.T) {
	const locked = "{Locked:true Empty:false Expires:false ExpiryDay:0 NoLine:false}"
	const zero = "{Locked:false Empty:false Expires:false ExpiryDay:0 NoLine:false}"
	sound := map[string]string{
		"user": "990:988 /etc/passwd", "group": "988 /etc/group", "password": locked, "extra": "[]", "same uid": "[]", "same gid": "[]",
		"primary": svc, "members": "[]", "home": "none", "bad": "0",
	}
	const others = "root:x:0:0:root:/root:/bin/bash\n"
	for name, c := range map[string]struct {
		changes tree
		want    map[string]string // what differs from sound
	}{
		"as installed": {nil, nil},
		"no user":      {tree{"etc/passwd": others}, map[string]string{"user": "none", "password": zero, "primary": ""}},
		"no group":     {tree{"etc/group": "users:x:100:\n"}, map[string]string{"group": "none", "primary": ""}},
		"in users": {tree{"etc/passwd": others + svc + ":x:990:100::/:/bin/sh\n"},
			map[string]string{"user": "990:100 /etc/passwd", "primary": "users", "home": "0"}},
		"extra groups": {tree{"etc/group": svc + ":x:988:" + svc + "\nwheel:x:10:a," + svc + "\ndocker:x:11:" + svc + "\n"},
			map[string]string{"extra": "[wheel docker]"}},
		"other members": {tree{"etc/group": svc + ":x:988:eve\n", "etc/gshadow": svc + ":!::mallory,eve\n"},
			map[string]string{"members": "[eve mallory]"}},
		"uid 0": {tree{"etc/passwd": others + svc + ":x:0:988::/:/bin/sh\n"},
			map[string]string{"user": "0:988 /etc/passwd", "same uid": "[root]", "home": "0"}},
		"shared ids": {tree{"etc/passwd": others + "eve:x:990:1::/:/bin/sh\n" + svc + ":x:990:988::/nonexistent:/bin/false\n", "etc/group": "eve:x:988:\n" + svc + ":x:988:\n"},
			map[string]string{"same uid": "[eve]", "same gid": "[eve]", "primary": "eve"}},
		"hash":           {tree{"etc/shadow": svc + ":$6$a$b:1::::::\n"}, map[string]string{"password": zero}},
		"empty password": {tree{"etc/shadow": svc + "::1::::::\n"}, map[string]string{"password": strings.Replace(zero, "Empty:false", "Empty:true", 1)}},
		"expiry": {tree{"etc/shadow": svc + ":!:1:::::20000:\n"},
			map[string]string{"password": "{Locked:true Empty:false Expires:true ExpiryDay:20000 NoLine:false}"}},
		"no shadow line": {tree{"etc/shadow": "root:*:1::::::\n"}, map[string]string{"password": strings.Replace(locked, "NoLine:false", "NoLine:true", 1)}},
		"password in passwd": {tree{"etc/passwd": others + svc + "::990:988::/nonexistent:/bin/false\n"},
			map[string]string{"password": strings.Replace(zero, "Empty:false", "Empty:true", 1)}},
		"cut shadow line": {tree{"etc/shadow": svc + "::1\n"},
			map[string]string{"password": strings.Replace(zero, "Empty:false", "Empty:true", 1), "bad": "1"}},
		"bad lines":             {tree{"etc/passwd": others + "junk\n" + svc + ":x:990:988::/nonexistent:/bin/false\n"}, map[string]string{"bad": "1"}},
		"shadow is a directory": {tree{"etc/shadow": "-> /etc/folder", "etc/folder/": ""}, map[string]string{"password": "unknown"}},
		"passwd is too":         {tree{"etc/passwd": "-> /etc/folder", "etc/folder/": ""}, map[string]string{"user": "unknown", "password": "unknown", "extra": "unknown", "same uid": "unknown", "primary": "unknown", "home": "unknown"}},
		"rpm-ostree": {tree{"etc/passwd": others, "usr/lib/passwd": svc + ":x:990:988::/nonexistent:/bin/false\n", "etc/nsswitch.conf": "passwd: files altfiles systemd\ngroup: files altfiles\n"},
			map[string]string{"user": "990:988 /usr/lib/passwd"}},
		"directory service, found in files": {tree{"etc/nsswitch.conf": "passwd: sss files\ngroup: sss files\n"}, map[string]string{"extra": "unknown", "same uid": "unknown"}},
		"directory service, an image": {tree{"etc/passwd": others, "etc/nsswitch.conf": "passwd: sss files\ngroup: files\n"},
			map[string]string{"user": "unknown", "password": "unknown", "extra": "unknown", "same uid": "unknown", "primary": "unknown", "home": "unknown"}},
		"compat with NIS": {tree{"etc/passwd": others + "+::::::\n", "etc/nsswitch.conf": "passwd: compat\n"},
			map[string]string{"user": "unknown", "password": "unknown", "extra": "unknown", "same uid": "unknown", "primary": "unknown", "home": "unknown"}},
		"compat without NIS": {tree{"etc/passwd": others, "etc/nsswitch.conf": "passwd: compat\n"}, map[string]string{"user": "none", "password": zero, "primary": ""}},
	} {
		want := map[string]string{}
		for k, v := range sound {
			want[k] = v
		}
		for k, v := range c.want {
			want[k] = v
		}
		got := said(AccountOf(context.Background(), accountTree(c.changes).root(t), svc))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestImageDoesNotAskTheNameService(t *testing.T) {
	r := accountTree(tree{"etc/passwd": "root:x:0:0::/:/bin/sh\n", "etc/nsswitch.conf": "passwd: sss files\n"}).root(t)
	f := AccountOf(context.Background(), r, svc)
	if !errors.Is(f.User.Err, ErrNotRunning) {
		t.Errorf("%v, want %v", f.User.Err, ErrNotRunning)
	}
}

func TestAccountOfADirectoryService(t *testing.T) {
	r := accountTree(tree{"etc/passwd": "root:x:0:0::/:/bin/sh\n", "etc/nsswitch.conf": "passwd: files sss\ngroup: files sss\n"}).root(t)
	answers := map[string]string{
		"passwd " + svc:     svc + ":x:70000:70001::/home/svc:/bin/bash",
		"group 70001":       "domain:*:70001:",
		"group 70002":       "backup:*:70002:" + svc,
		"initgroups " + svc: svc + "  70001 70002 70003",
	}
	a := readAccounts(context.Background(), r)
	a.getent = func(database, key string) ([]byte, error) {
		if s, ok := answers[database+" "+key]; ok {
			return []byte(s), nil
		}
		return nil, nil
	}
	a.elsewhere = a.getent
	a.answers = func(string, string, string) error { return nil }
	f := a.facts(svc)
	got := said(f)
	want := map[string]string{
		"user": "70000:70001 nss", "group": "988 /etc/group", "password": "unknown", "extra": "[backup 70003]", "same uid": "[]",
		"same gid": "[]", "primary": "domain", "members": "[]", "home": "none", "bad": "0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !errors.Is(f.Password.Err, ErrDirectoryService) {
		t.Errorf("%v, want %v", f.Password.Err, ErrDirectoryService)
	}
	if !slices.Equal(f.DirectoryGroups, []string{"backup", "70003"}) {
		t.Errorf("groups of the service %q", f.DirectoryGroups)
	}
	answers["passwd 70000"] = "eve:*:70000:1::/:/bin/sh"
	if same := a.facts(svc).SameUID; !slices.Equal(same.Value, []string{"eve"}) {
		t.Errorf("same uid %+v", same)
	}
	answers["shadow "+svc] = svc + ":*:1::::::"
	if p := a.facts(svc).Password; p.Err != nil || !p.Value.Locked {
		t.Errorf("%+v", p)
	}
	answers["passwd "+svc] = "nonsense"
	if u := a.facts(svc).User; !errors.Is(u.Err, ErrMalformed) {
		t.Errorf("%+v", u)
	}
	a.getent = func(string, string) ([]byte, error) { return nil, context.DeadlineExceeded }
	if u := a.facts(svc).User; !errors.Is(u.Err, context.DeadlineExceeded) {
		t.Errorf("%+v", u)
	}
}

func TestGetent(t *testing.T) {
	live := At("/")
	if _, ok := FindTool(live, "getent"); !ok {
		t.Skip("no getent on this machine")
	}
	line, err := getent(context.Background(), live, "passwd", "root")
	if err != nil || !strings.HasPrefix(string(line), "root:") {
		t.Errorf("root: %q, %v", line, err)
	}
	if line, err := getent(context.Background(), live, "passwd", "no-such-user"); err != nil || line != nil {
		t.Errorf("nobody: %q, %v", line, err)
	}
	if _, err := getent(context.Background(), live, "nonsense", "x"); err == nil || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("an unknown database: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := getent(ctx, live, "passwd", "root"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestShadowWithoutRoot runs the test binary again as nobody.
func TestShadowWithoutRoot(t *testing.T) {
	if dir := os.Getenv("SHADOW_ROOT"); dir != "" {
		p := AccountOf(context.Background(), At(dir), svc).Password
		fmt.Println(errors.Is(p.Err, fs.ErrPermission), p.Value == Password{})
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root to become somebody else")
	}
	r := accountTree(nil).root(t)
	open := r.Dir() // every folder above must let nobody through
	for ; open != "/tmp" && open != "/"; open = filepath.Dir(open) {
		if err := os.Chmod(open, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(r.Dir()+"/etc/shadow", 0); err != nil {
		t.Fatal(err)
	}
	self := r.Dir() + "/self"
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(self, b, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestShadowWithoutRoot$")
	cmd.Dir = "/"
	cmd.Env = []string{"SHADOW_ROOT=" + r.Dir()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "true true") {
		t.Errorf("an unreadable shadow: %v\n%s", err, out)
	}
}

func TestNsswitch(t *testing.T) {
	n := ParseNsswitch([]byte("# comment\npasswd: files [NOTFOUND=return] ldap # why\ngroup:files\nshadow: files [x\nnonsense\n"))
	for _, c := range []struct {
		database string
		remote   []string
	}{{"passwd", []string{"ldap"}}, {"group", nil}, {"shadow", nil}, {"absent", nil}} {
		if got := n.Remote(c.database); !slices.Equal(got, c.remote) {
			t.Errorf("%s: remote %v", c.database, got)
		}
	}
	if n.Has("passwd", "[NOTFOUND=return]") || !n.Has("passwd", "ldap") {
		t.Error(n)
	}
}

func FuzzNsswitch(f *testing.F) {
	f.Add([]byte("passwd: files [NOTFOUND=return] ldap\n"))
	f.Add([]byte("a: [[]]["))
	f.Fuzz(func(t *testing.T, b []byte) {
		for database, services := range ParseNsswitch(b) {
			for _, s := range services {
				if strings.ContainsAny(s, "[# ") {
					t.Errorf("%q has %q", database, s)
				}
			}
		}
	})
}

func TestAskEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, _, err := ask(ctx, At("/"), "sleep", "60")
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	if _, _, err := ask(context.Background(), At("/"), "no-such-tool"); !errors.Is(err, errNoTool) {
		t.Error(err)
	}
}
