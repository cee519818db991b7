package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParsePasswd(t *testing.T) {
	const text = `root:x:0:0:root:/root:/bin/bash
# a comment

+@netgroup::::::
-bad
short:x:10
truncated:x:11:12
negative:x:-1:0::/:/bin/sh
big:x:4294967295:0::/:/bin/sh
huge:x:4294967296:0::/:/bin/sh
:x:13:13::/:/bin/sh
colons:x:14:14::/:/bin/sh:-c
nul:x:15:15::/:/bin/` + "\x00" + `sh
last:x:16:16::/home/last:/usr/sbin/nologin`
	rs, err := ParsePasswd("passwd", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []Account{
		{Name: "root", Home: "/root", Shell: "/bin/bash", From: "passwd", Line: 1},
		{Name: "truncated", UID: 11, GID: 12, From: "passwd", Line: 7},
		{Name: "colons", UID: 14, GID: 14, Home: "/", Shell: "/bin/sh:-c", From: "passwd", Line: 12},
		{Name: "last", UID: 16, GID: 16, Home: "/home/last", Shell: "/usr/sbin/nologin", From: "passwd", Line: 14},
	}
	if diff := cmp.Diff(want, rs.List, cmpopts.IgnoreUnexported(Account{})); diff != "" {
		t.Error(diff)
	}
	var bad []int
	for _, b := range rs.Bad {
		bad = append(bad, b.Line)
	}
	if diff := cmp.Diff([]int{6, 7, 8, 9, 10, 11, 12, 13}, bad); diff != "" || !rs.Compat {
		t.Errorf("bad lines %s, compat %v\n%v", diff, rs.Compat, rs.Bad)
	}
}

func TestParseGroup(t *testing.T) {
	rs, err := ParseGroup("group", []byte("a:x:10:\nb:x:11:x,y, z,,\nc:x:12\nd:x:n:\n"))
	want := []Group{
		{Name: "a", GID: 10, From: "group", Line: 1},
		{Name: "b", GID: 11, Members: []string{"x", "y", "z"}, From: "group", Line: 2},
		{Name: "c", GID: 12, From: "group", Line: 3},
	}
	if diff := cmp.Diff(want, rs.List); err != nil || diff != "" || len(rs.Bad) != 2 {
		t.Errorf("%v, %s, bad %v", err, diff, rs.Bad)
	}
}

func TestPasswordOf(t *testing.T) {
	locked, empty, open := Password{Locked: true}, Password{Empty: true}, Password{}
	expires := func(p Password, day int64) Password { p.Expires, p.ExpiryDay = true, day; return p }
	for _, c := range []struct {
		secret Secret
		expiry string
		want   Password
	}{
		{"!", "", locked}, {"*", "", locked}, {"!!", "", locked}, {"!*", "", locked}, {"!$6$salt$hash", "", locked}, {"*LK*", "", locked},
		{"x", "", locked}, {"NP", "", locked}, {"", "", empty}, {"$6$salt$hash", "", open}, {"$y$j9T$a$b", "", open}, {"_J9..K0AyUubDrfOgO4s", "", open},
		{"abJnggxhB/yWI", "", open}, {"!", "19000", expires(locked, 19000)}, {"!", "0", expires(locked, 0)}, {"!", "-1", locked}, {"!", "never", locked},
	} {
		if got := passwordOf(c.secret, c.expiry); got != c.want {
			t.Errorf("%q, expiry %q: %+v, want %+v", string(c.secret), c.expiry, got, c.want)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	const hash = "$6$salt$abcdefgh"
	shadow, err := ParseShadow("shadow", []byte("u:"+hash+":1::::::\nbroken"+hash+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	gshadow, _ := ParseGShadow("gshadow", []byte("g:"+hash+"::\n"))
	passwd, _ := ParsePasswd("passwd", []byte("u:"+hash+":1:1::/:/bin/sh\n"))
	var shown bytes.Buffer
	for _, v := range []any{shadow, gshadow, passwd} {
		fmt.Fprintf(&shown, "%v %+v %#v %s %q\n", v, v, v, v, v)
		if err := json.NewEncoder(&shown).Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(shown.String(), "$6$") {
		t.Errorf("a hash is shown: %s", shown.String())
	}
}

func TestNoLogin(t *testing.T) {
	for shell, want := range map[string]bool{
		"/usr/sbin/nologin": true, "/sbin/nologin": true, "/bin/false": true, "/usr/bin/false": true,
		"": false, "/bin/sh": false, "/bin/bash": false, "/usr/sbin/nologin ": false, "nologin": false,
	} {
		if NoLogin(shell) != want {
			t.Errorf("NoLogin(%q) = %v", shell, !want)
		}
	}
}

func TestAccountFilesAreBounded(t *testing.T) {
	if _, err := ParsePasswd("passwd", make([]byte, maxAccountFile+1)); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	rs, err := ParseGroup("group", []byte("g:x:1:"+strings.Repeat("m,", maxAccountLine)+"\nh:x:2:\n"))
	if err != nil || len(rs.List) != 1 || len(rs.Bad) != 1 {
		t.Errorf("%v, %d groups, %d bad", err, len(rs.List), len(rs.Bad))
	}
	rs2, _ := ParsePasswd("passwd", bytes.Repeat([]byte("bad\n"), 10*maxBad))
	if len(rs2.Bad) != maxBad {
		t.Errorf("%d bad lines kept, at most %d expected", len(rs2.Bad), maxBad)
	}
}

func FuzzAccountFiles(f *testing.F) {
	for _, seed := range []string{"root:x:0:0:root:/root:/bin/sh\n", "g:x:1:a,b\n", "u:!!:1:0:99999:7:::\n", "+\n", "::::::\n", "a:b\n", "\x00:\n", "u:$1$:::::::1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		lines := bytes.Count(b, []byte("\n")) + 1
		passwd, err := ParsePasswd("f", b)
		if err != nil {
			t.Skip()
		}
		group, _ := ParseGroup("f", b)
		shadow, _ := ParseShadow("f", b)
		gshadow, _ := ParseGShadow("f", b)
		for _, n := range []int{len(passwd.List), len(group.List), len(shadow.List), len(gshadow.List)} {
			if n > lines {
				t.Errorf("%d records of %d lines", n, lines)
			}
		}
		for _, s := range shadow.List {
			if p := passwordOf(s.Secret, s.Expiry); p.Locked && p.Empty || s.Name == "" {
				t.Errorf("%+v of %q", p, string(s.Secret))
			}
		}
		for _, bad := range shadow.Bad {
			if len(bad.Reason) > 100 {
				t.Errorf("a reason quotes: %q", bad.Reason)
			}
		}
	})
}
