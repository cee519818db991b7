package policy

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseExclusions(t *testing.T) {
	text := `<exclusions version="1">
	<path prefix="/var/lib/docker/"/>
	<path prefix="/srv/a&amp;b"/>
	<process path="/usr/bin/rsync" children="true"/>
	<process path="/usr/bin/gcc"/>
	<user uid="1001"/>
	<kind name="map"/>
	<path prefix="/var/lib/docker/"/>
</exclusions>`
	want := Exclusions{
		Paths:     []string{"/srv/a&b", "/var/lib/docker/"},
		Processes: []ProcessExclusion{{"/usr/bin/rsync", true}, {"/usr/bin/gcc", false}},
		Users:     []uint32{1001},
		Kinds:     []string{"map"},
	}
	got, err := ParseExclusions("x.xml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	again, err := ParseExclusions("x.xml", got.Encode())
	if err != nil || !again.Equal(got) {
		t.Errorf("%+v, %v; expected what was encoded:\n%s", again, err, got.Encode())
	}
}

func TestParseExclusionsErrors(t *testing.T) {
	for _, c := range []struct{ name, text, err string }{
		{"other root", `<policy version="1"/>`, "x.xml:1: expected the element <exclusions>, found <policy>"},
		{"no version", `<exclusions/>`, `x.xml:1: <exclusions version="">: expected version="1"`},
		{"unknown class", "<exclusions version=\"1\">\n<file/></exclusions>", "x.xml:2: expected <path>, <process>, <user>, <kind> or </exclusions>, found <file>"},
		{"no value", "<exclusions version=\"1\">\n\n<path/></exclusions>", "x.xml:3: <path> without its attribute prefix"},
		{"children of a path", `<exclusions version="1"><path prefix="/a" children="true"/></exclusions>`, `has no attribute "children"`},
		{"no boolean", `<exclusions version="1"><process path="/a" children="maybe"/></exclusions>`, `children="maybe">: expected true or false`},
		{"content", `<exclusions version="1"><user uid="1"><user uid="2"/></user></exclusions>`, "expected </user>, found <user>"},
		{"root", `<exclusions version="1"><path prefix="/"/></exclusions>`, `<path>: path "/": expected one from the root`},
		{"root with a slash behind it", `<exclusions version="1"><path prefix="//"/></exclusions>`, `<path>: path "//": expected one from the root`},
		{"root as a program", `<exclusions version="1"><process path="/"/></exclusions>`, `<process>: path "/": expected one from the root`},
		{"relative", `<exclusions version="1"><path prefix="a/"/></exclusions>`, `path "a/": expected one from the root`},
		{"not clean", `<exclusions version="1"><path prefix="/a/../etc/"/></exclusions>`, `expected one without`},
		{"double slash", `<exclusions version="1"><path prefix="/a//"/></exclusions>`, `expected one without`},
		{"tab", `<exclusions version="1"><path prefix="/a&#9;b"/></exclusions>`, `without control characters`},
		{"folder as a process", `<exclusions version="1"><process path="/usr/bin/"/></exclusions>`, `expected one without`},
		{"long", `<exclusions version="1"><path prefix="/` + strings.Repeat("a", MaxPathBytes) + `"/></exclusions>`, "has 256 bytes, expected at most 255"},
		{"uid", `<exclusions version="1"><user uid="backup"/></exclusions>`, `uid "backup": expected a number`},
		{"negative uid", `<exclusions version="1"><user uid="-1"/></exclusions>`, `uid "-1": expected a number`},
		{"no user's uid", `<exclusions version="1"><user uid="4294967295"/></exclusions>`, `uid "4294967295": expected a number`},
		{"kind", `<exclusions version="1"><kind name="reads"/></exclusions>`, `kind "reads": expected one of exec, exit`},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, err := ParseExclusions("x.xml", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.err) || !x.Equal(Exclusions{}) {
				t.Errorf("%+v, error %v; expected none and %q", x, err, c.err)
			}
		})
	}
}

func TestAddAndRemove(t *testing.T) {
	var x Exclusions
	for _, e := range []Exclusion{{ByProcess, "/bin/a", false}, {ByUser, "007", false}, {ByProcess, "/bin/a", true}} {
		var err error
		if x, err = x.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	want := []Exclusion{{ByProcess, "/bin/a", true}, {ByUser, "7", false}}
	if diff := cmp.Diff(want, x.All()); diff != "" {
		t.Error(diff)
	}
	before := x
	if y := x.Remove(Exclusion{Class: ByUser, Value: "7"}); y.Has(Exclusion{Class: ByUser, Value: "7"}) || !x.Equal(before) {
		t.Errorf("%+v, and %+v before", y, x)
	}
	if _, err := x.Add(Exclusion{ByPath, "/a", true}); err == nil || !strings.Contains(err.Error(), "no children") {
		t.Errorf("children of a path: %v", err)
	}
	for len(x.Users) < MaxUsers {
		x.Users = append(x.Users, uint32(1000+len(x.Users)))
	}
	if _, err := x.Add(Exclusion{ByUser, "5", false}); err == nil || !strings.Contains(err.Error(), "1024 exclusions by user already") {
		t.Errorf("too many: %v", err)
	}
}

func TestPlus(t *testing.T) {
	x := Exclusions{Paths: []string{"/a/"}, Processes: []ProcessExclusion{{"/bin/a", false}}, Users: []uint32{1}}
	y := Exclusions{Paths: []string{"/b/", "/a/"}, Processes: []ProcessExclusion{{"/bin/a", true}, {"/bin/b", false}}, Users: []uint32{1, 2}, Kinds: []string{"map"}}
	want := Exclusions{
		Paths: []string{"/a/", "/b/"}, Processes: []ProcessExclusion{{"/bin/a", true}, {"/bin/b", false}}, Users: []uint32{1, 2}, Kinds: []string{"map"},
	}
	if diff := cmp.Diff(want, x.Plus(y)); diff != "" {
		t.Error(diff)
	}
	if x.Processes[0].Children {
		t.Error("the first set was changed")
	}
}

func TestLoadExclusions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exclusions.xml")
	if x, err := LoadExclusions(path); !errors.Is(err, fs.ErrNotExist) || !x.Equal(Exclusions{}) {
		t.Errorf("missing: %+v, %v", x, err)
	}
	os.WriteFile(path, []byte("<exclusions version=\"1\">\n<path/></exclusions>"), 0o644)
	if _, err := LoadExclusions(path); err == nil || !strings.HasPrefix(err.Error(), path+":2: ") {
		t.Errorf("malformed: %v; expected file and line", err)
	}
}

func FuzzParseExclusions(f *testing.F) {
	f.Add([]byte(`<exclusions version="1"><path prefix="/a&lt;b/"/><process path="/x" children="1"/><user uid="0"/><kind name="exec"/></exclusions>`))
	f.Add([]byte(`<exclusions version="1"><path prefix="/`))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := ParseExclusions("x.xml", b)
		if err != nil {
			if !x.Equal(Exclusions{}) || !strings.HasPrefix(err.Error(), "x.xml:") {
				t.Errorf("%+v, %v; expected none and an error with the file", x, err)
			}
			return
		}
		if again, err := ParseExclusions("x.xml", x.Encode()); err != nil || !again.Equal(x) {
			t.Errorf("%+v came back as %+v, %v", x, again, err)
		}
	})
}
