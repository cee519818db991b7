package host

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestParseEconf has texts and what libeconf 0.5.1 made of them when it was asked as shadow asks it.
func TestParseEconf(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string // KEY=<value> of each setting that is first of its name
	}{
		"plain":                     {"A 1\nK yes\n", "A=<1> K=<yes>"},
		"the first counts":          {"K yes\nK no\n", "K=<yes>"},
		"comment behind":            {"A 1 # c\n", "A=<1>"},
		"quotes":                    {"B \"x y\" # c\nO \"q\" \nE \"\"\n", "B=<x y> O=<q> E=<>"},
		"quotes that do not match":  {"C \"x\nD x\"y\n", `C=<"x> D=<x"y>`},
		"comment in quotes":         {"F \"a#b\"\n", `F=<"a>`},
		"spacing":                   {"  G\t\tv w  \n", "G=<v w>"},
		"windows":                   {"N x\r\n", "N=<x>"},
		"no value":                  {"H\n", "H=<>"},
		"no value, separated":       {"P \n", "P=<>"},
		"a line more":               {"G v\nH\n", "G=<v\nH>"},
		"lines more":                {"L x\nword\nword2\n#c\nword3\nM y\n", "L=<x\nword\nword2> word3=<> M=<y>"},
		"blanks are a separator":    {" K yes\n  more or\n", "K=<yes> more=<or>"},
		"indented word":             {" K yes\n  more\n", "K=<yes\n  more>"},
		"indented comment":          {"K yes\n # c\nL 1\n\t#d\n", "K=<yes\n > L=<1\n\t>"},
		"empty line ends it":        {"G v\n\nH\n", "G=<v> H=<>"},
		"equals sign is a value":    {"J = no\n", "J=<= no>"},
		"equals sign in the name":   {"J no\nK=no\n", "J=<no\nK=no>"},
		"below a group":             {"K a\n[g]\nK b\nL c\n", "K=<a>"},
		"a line more below a group": {"K a\n[g]\nK b\nmore\n", "K=<a>"},
		"comments only":             {"# K yes\n#\n", ""},
		"empty":                     {"", ""},
	} {
		settings, err := parseEconf("f", []byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for i, s := range settings {
			if first := slices.IndexFunc(settings, func(o LoginSetting) bool { return o.Key == s.Key }); first == i {
				got = append(got, s.Key+"=<"+s.Value+">")
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	for text, want := range map[string]string{
		"K a\n[g\n": "f: line 2: \"[g\", a name in brackets expected", "[]\n": "line 1", "[g] x\n": "line 1", "A \x00\n": "byte 0x00",
		strings.Repeat("A 1\n", maxLoginDefs/4+1): "too large",
	} {
		if _, err := parseEconf("f", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}

// econfTree is a host whose account tools use libeconf, with some files more.
func econfTree(more tree) tree {
	all := tree{"usr/etc/": "", "usr/sbin/useradd": "#!/bin/sh\n"}
	for name, content := range more {
		all[name] = content
	}
	return all
}

// TestLoginSettings has trees and what libeconf 0.5.1 made of them.
func TestLoginSettings(t *testing.T) {
	const vendor = "usr/etc/login.defs"
	for name, c := range map[string]struct {
		tree tree
		want LoginSetting // of K
		from string
		err  error
	}{
		"the vendor's": {tree{vendor: "K no\n"}, LoginSetting{"K", "no", VendorLoginDefsPath, 1}, VendorLoginDefsPath, nil},
		"the host's hides the vendor's": {tree{vendor: "K no\n", "etc/login.defs": "#\nK yes\n"},
			LoginSetting{"K", "yes", LoginDefsPath, 2}, LoginDefsPath, nil},
		"set by the vendor alone, and hidden": {tree{vendor: "K no\n", "etc/login.defs": "B 1\n"}, LoginSetting{}, LoginDefsPath, nil},
		"a link that leads nowhere":           {tree{vendor: "K no\n", "etc/login.defs": "-> /nowhere"}, LoginSetting{"K", "no", VendorLoginDefsPath, 1}, VendorLoginDefsPath, nil},
		"a drop-in":                           {tree{vendor: "K no\n", "etc/login.defs.d/70-site.defs": "K yes\n"}, LoginSetting{"K", "yes", "/etc/login.defs.d/70-site.defs", 1}, VendorLoginDefsPath + ", /etc/login.defs.d/70-site.defs", nil},
		"drop-ins by name": {tree{vendor: "K 0\n", "etc/login.defs.d/b.defs": "K 2\n", "etc/login.defs.d/a.defs": "K 1\n", "etc/login.defs.d/Z.defs": "K 3\n"},
			LoginSetting{"K", "2", "/etc/login.defs.d/b.defs", 1}, "", nil},
		"the vendor's drop-ins, then the host's": {tree{"etc/login.defs": "K 0\n", "usr/etc/login.defs.d/90.defs": "K 9\n", "etc/login.defs.d/10.defs": "K 1\n", vendor: "K v\n"},
			LoginSetting{"K", "1", "/etc/login.defs.d/10.defs", 1}, "/etc/login.defs, /usr/etc/login.defs.d/90.defs, /etc/login.defs.d/10.defs", nil},
		"one of the same name": {tree{vendor: "B 0\n", "usr/etc/login.defs.d/10.defs": "K 9\n", "etc/login.defs.d/10.defs": "B 1\n"}, LoginSetting{}, "", nil},
		"a vendor's drop-in taken away": {tree{vendor: "K 0\n", "usr/etc/login.defs.d/d.defs": "K 9\n", "etc/login.defs.d/d.defs": "-> /dev/null"},
			LoginSetting{"K", "0", VendorLoginDefsPath, 1}, "", nil},
		"other names": {tree{vendor: "K 0\n", "etc/login.defs.d/x.conf": "K 1\n", "etc/login.defs.d/.defs": "K 2\n", "etc/login.defs.d/x.defs.rpmsave": "K 3\n"},
			LoginSetting{"K", "0", VendorLoginDefsPath, 1}, VendorLoginDefsPath, nil},
		"a hidden one":              {tree{vendor: "K 0\n", "etc/login.defs.d/.h.defs": "K 1\n"}, LoginSetting{"K", "1", "/etc/login.defs.d/.h.defs", 1}, "", nil},
		"a folder":                  {tree{vendor: "K 0\n", "etc/login.defs.d/d.defs/": ""}, LoginSetting{"K", "0", VendorLoginDefsPath, 1}, "", nil},
		"doubled":                   {tree{vendor: "K 1\nK 2\n"}, LoginSetting{"K", "1", VendorLoginDefsPath, 1}, "", nil},
		"doubled in a drop-in":      {tree{vendor: "K 0\n", "etc/login.defs.d/1.defs": "K 1\nK 2\n"}, LoginSetting{"K", "2", "/etc/login.defs.d/1.defs", 2}, "", nil},
		"doubled and new":           {tree{vendor: "B 0\n", "etc/login.defs.d/1.defs": "K 1\nK 2\n"}, LoginSetting{"K", "1", "/etc/login.defs.d/1.defs", 1}, "", nil},
		"nothing set":               {tree{vendor: "# K 1\n"}, LoginSetting{}, VendorLoginDefsPath, ErrMalformed},
		"a drop-in to nowhere":      {tree{vendor: "K 0\n", "etc/login.defs.d/d.defs": "-> /nowhere"}, LoginSetting{}, "/etc/login.defs.d/d.defs", ErrMalformed},
		"a damaged drop-in":         {tree{vendor: "K 0\n", "etc/login.defs.d/d.defs": "K \x00"}, LoginSetting{}, "/etc/login.defs.d/d.defs", ErrMalformed},
		"no vendor's file: getdef":  {tree{"etc/login.defs": "K 1\nK 2\n", "etc/login.defs.d/1.defs": "K 3\n"}, LoginSetting{"K", "2", LoginDefsPath, 2}, LoginDefsPath, nil},
		"no file":                   {tree{"etc/": ""}, LoginSetting{}, LoginDefsPath, os.ErrNotExist},
		"the folder is a file":      {tree{vendor: "K 0\n", "etc/login.defs.d": "K 1\n"}, LoginSetting{"K", "0", VendorLoginDefsPath, 1}, "", nil},
		"damage without libeconf":   {tree{"etc/login.defs": "K \x00\n"}, LoginSetting{}, LoginDefsPath, ErrMalformed},
		"value of two lines is odd": {tree{vendor: "K yes\nmore\n"}, LoginSetting{"K", "yes\nmore", VendorLoginDefsPath, 1}, "", nil},
	} {
		got := LoginSettingsOf(econfTree(c.tree).root(t))
		if !errors.Is(got.Err, c.err) || c.from != "" && got.From != c.from {
			t.Errorf("%s: %v from %s, want %v from %s", name, got.Err, got.From, c.err, c.from)
			continue
		}
		if c.err != nil {
			continue
		}
		if s, _ := got.Value.Get("K"); s != c.want {
			t.Errorf("%s: %+v, want %+v", name, s, c.want)
		}
		if yes := strings.EqualFold(c.want.Value, "yes"); got.Value.Bool("K") != yes {
			t.Errorf("%s: Bool is not %v", name, yes)
		}
	}
}

// TestReadsWithEconf lets the machine's useradd tell, and one that names libeconf in the place of a library with a name as long.
func TestReadsWithEconf(t *testing.T) {
	program, err := os.ReadFile("/usr/sbin/useradd")
	const other, econf = "libaudit.so.1", "libeconf.so.0"
	if err != nil || !bytes.Contains(program, []byte(other)) || bytes.Contains(program, []byte(econf)) {
		t.Skipf("needs a useradd that is linked with %s and not with %s: %v", other, econf, err)
	}
	with := string(bytes.ReplaceAll(program, []byte(other), []byte(econf)))
	const vendor = "usr/etc/login.defs"
	for name, c := range map[string]struct {
		tree tree
		want bool
	}{
		"linked":                       {tree{"usr/sbin/useradd": with}, true},
		"not linked":                   {tree{"usr/sbin/useradd": string(program), vendor: "K 1\n"}, false},
		"a script before it":           {tree{"usr/sbin/useradd": "#!/bin/sh\n", "usr/sbin/groupadd": with}, true},
		"scripts only":                 {tree{"usr/sbin/useradd": "#!/bin/sh\n"}, false},
		"scripts and a vendor's file":  {tree{"usr/sbin/useradd": "#!/bin/sh\n", vendor: ""}, true},
		"part of a program":            {tree{"usr/sbin/useradd": with[:2000], "sbin/usermod": string(program)}, false},
		"no tools, no vendor's file":   {tree{"etc/": ""}, false},
		"no tools but a vendor's file": {tree{vendor: ""}, true},
	} {
		if got := ReadsWithEconf(c.tree.root(t)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if ReadsWithEconf(At("/")) {
		t.Error("this machine's tools do not")
	}
}

func FuzzEconf(f *testing.F) {
	for _, seed := range []string{
		"K no\n", `K "no" # x`, "#K no", "K no\r\nA 1", "K \"\"", "\x00", "K \"", "K \" \"", " K\t\v\n", "K", "K a\n #b\n c", "[g]\nK a", "[", "K\nK a\nb\n",
	} {
		f.Add([]byte(seed), []byte("K yes\n"))
	}
	f.Fuzz(func(t *testing.T, base, dropIn []byte) {
		settings, err := parseEconf("f", base)
		if err != nil {
			return
		}
		lines := bytes.Count(base, []byte("\n")) + 1
		for i, s := range settings {
			if s.Key == "" || strings.ContainsAny(s.Key, " \t#\n") || s.Line < 1 || s.Line > lines || i > 0 && s.Line <= settings[i-1].Line {
				t.Fatalf("setting %d of %q: %+v", i, base, s)
			}
			if strings.Contains(strings.SplitN(s.Value, "\n", 2)[0], "#") {
				t.Fatalf("a comment in %+v", s)
			}
		}
		more, err := parseEconf("d", dropIn)
		if err != nil {
			return
		}
		merged := mergeEconf([][]LoginSetting{settings, more})
		for key, s := range mergeEconf([][]LoginSetting{more}) {
			if merged[key].File != "d" {
				t.Fatalf("%+v of the drop-in does not count: %+v", s, merged[key])
			}
		}
		for key, s := range mergeEconf([][]LoginSetting{settings}) {
			if merged[key].File != "d" && cmp.Diff(s, merged[key]) != "" {
				t.Fatalf("%+v is %+v after a drop-in without it", s, merged[key])
			}
		}
	})
}
