package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestFreeID(t *testing.T) {
	const two = "SYS_UID_MIN 200\nSYS_UID_MAX 201\n"
	for name, c := range map[string]struct {
		defs, passwd string
		elsewhere    []uint32 // of a directory service
		avoid        uint32
		want         uint32
		is           error
		says         []string
	}{
		"built in":                {want: 999},
		"as set":                  {defs: two, want: 201},
		"hexadecimal":             {defs: "SYS_UID_MIN 0xc8\nSYS_UID_MAX 0xc9\n", want: 201},
		"the highest is taken":    {defs: two, passwd: "a:x:201:1::/:/bin/false\n", want: 200},
		"that of a service":       {defs: two, elsewhere: []uint32{201}, want: 200},
		"one that owns files":     {defs: two, avoid: 201, want: 200},
		"below UID_MIN":           {defs: "UID_MIN 500\n", want: 499},
		"a batch is taken":        {defs: "SYS_UID_MIN 100\nSYS_UID_MAX 999\n", elsewhere: ids(930, 999), want: 929},
		"reaches into people's":   {defs: "SYS_UID_MAX 5000\n", want: 999},
		"reaches beyond people's": {defs: "SYS_UID_MIN 990\nSYS_UID_MAX 60001\n", passwd: "a:x:60001:1::/:/bin/false\n", want: 999},
		"no number": {defs: "SYS_UID_MIN abc\nSYS_UID_MAX 101\n", passwd: "a:x:101:1::/:/bin/false\n", is: ErrNoFreeID,
			says: []string{`SYS_UID_MIN 101 (built in, since "abc" of /etc/login.defs, line 1, is no number)`}},
		"exhausted": {defs: two, passwd: "a:x:200:1::/:/bin/false\n", elsewhere: []uint32{201}, is: ErrNoFreeID, says: []string{
			"all 2 system uids from SYS_UID_MIN 200 (/etc/login.defs, line 1) to SYS_UID_MAX 201 (/etc/login.defs, line 2) are taken, 1 of them in /etc/passwd and 1 by a directory service",
			"a higher maximum below UID_MIN 1000 (built in, since login.defs does not set it)"}},
		"turned round": {defs: "#\nSYS_UID_MIN 900\nSYS_UID_MAX 100\n", is: ErrMalformed,
			says: []string{"turned round", "SYS_UID_MIN 900 (/etc/login.defs, line 2) is above SYS_UID_MAX 100 (/etc/login.defs, line 3)"}},
		"negative":           {defs: "SYS_UID_MIN -5\n", is: ErrMalformed, says: []string{"SYS_UID_MIN -5 (/etc/login.defs, line 1) is no id"}},
		"too large":          {defs: "SYS_UID_MAX 4294967295\n", is: ErrMalformed, says: []string{"is no id: 0 to 4294967294 expected"}},
		"all of people's":    {defs: "SYS_UID_MIN 2000\nSYS_UID_MAX 3000\n", is: ErrMalformed, says: []string{"lies in that of people's accounts, UID_MIN 1000"}},
		"damaged":            {defs: "SYS_UID_MIN 1\x00\n", is: errRangeUnknown, says: []string{"line 1: byte 0x00"}},
		"from the lowest on": {defs: "SYS_UID_MIN 0\nSYS_UID_MAX 1\n", passwd: "a:x:1:1::/:/bin/false\n", is: ErrNoFreeID},
	} {
		tr := tree{"etc/passwd": "root:x:0:0::/:/bin/sh\n" + c.passwd, "etc/nsswitch.conf": "passwd: files ldap\n"}
		if c.defs != "" {
			tr["etc/login.defs"] = c.defs
		}
		r := tr.root(t)
		a := readAccounts(context.Background(), r)
		a.taken = func(_ string, asked []uint32) ([]uint32, error) {
			return slices.DeleteFunc(slices.Clone(asked), func(id uint32) bool { return !slices.Contains(c.elsewhere, id) }), nil
		}
		got, err := a.freeID(UIDs, LoginSettingsOf(r), func(id uint32) bool { return id == c.avoid })
		if got != c.want || !errors.Is(err, c.is) {
			t.Errorf("%s: %d, %v; want %d, %v", name, got, err, c.want, c.is)
		}
		for _, words := range c.says {
			if !strings.Contains(fmt.Sprint(err), words) {
				t.Errorf("%s: %v\nwant %s in it", name, err, words)
			}
		}
	}
}

func ids(first, last uint32) (all []uint32) {
	for id := first; id <= last; id++ {
		all = append(all, id)
	}
	return all
}

func TestFreeIDIsLookedForWhereItIsMissing(t *testing.T) {
	f := Gather(context.Background(), tree{"etc/passwd": "root:x:0:0::/:/bin/sh\n", "etc/group": svc + ":x:990:\n", "etc/login.defs": "SYS_UID_MAX 100\n"}.root(t), Options{}).Account
	if !errors.Is(f.FreeUID.Err, ErrMalformed) || f.FreeGID.Err != nil || f.FreeGID.Value != 0 {
		t.Errorf("uid %+v, gid %+v", f.FreeUID, f.FreeGID)
	}
}
