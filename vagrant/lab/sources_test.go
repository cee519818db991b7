package lab

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const oneLine = `# a comment
deb [arch=amd64,arm64 signed-by=/usr/share/keyrings/x.gpg] http://mirror.invalid/debian bookworm main contrib # more
deb-src http://mirror.invalid/debian bookworm main
deb http://mirror.invalid/debian-security bookworm-security main
deb http://other.invalid/apt stable main
`

const deb822 = `Types: deb deb-src
# http://snapshot.invalid
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .

Types: deb
Enabled: no
URIs: http://off.invalid/
Suites: bookworm

Types: deb-src
URIs: http://source.invalid/
Suites: bookworm
`

func TestMachineSources(t *testing.T) {
	etc := t.TempDir()
	for name, text := range map[string]string{"sources.list": oneLine, "sources.list.d/a.sources": deb822, "sources.list.d/b.list.disabled": "not read"} {
		if err := writeFile(filepath.Join(etc, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := MachineSources(etc)
	if err != nil {
		t.Fatal(err)
	}
	want := []Source{
		{Options: []string{"Architectures: amd64 arm64", "Signed-By: /usr/share/keyrings/x.gpg"}, URIs: []string{"http://mirror.invalid/debian"}, Suites: []string{"bookworm"}, Components: []string{"main", "contrib"}},
		{URIs: []string{"http://mirror.invalid/debian-security"}, Suites: []string{"bookworm-security"}, Components: []string{"main"}},
		{URIs: []string{"http://other.invalid/apt"}, Suites: []string{"stable"}, Components: []string{"main"}},
		{Options: []string{"Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n ."}, URIs: []string{"http://mirror.invalid/debian"}, Suites: []string{"bookworm", "bookworm-updates", "bookworm-backports"}, Components: []string{"main"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("-expected +read\n%s", diff)
	}
	for suite, want := range map[string][][]string{
		"bookworm": {{"bookworm"}, {"bookworm-security"}, {"bookworm", "bookworm-updates"}},
		"trixie":   {{"trixie"}, {"trixie-security"}, {"trixie", "trixie-updates"}},
		"sid":      {{"sid"}, {"sid"}}, // without suites beside it
	} {
		chosen, err := ForSuite(got, suite, "bookworm")
		if err != nil {
			t.Fatal(err)
		}
		var suites [][]string
		for _, s := range chosen {
			suites = append(suites, s.Suites)
		}
		if diff := cmp.Diff(want, suites); diff != "" {
			t.Errorf("%s: -expected +chosen\n%s", suite, diff)
		}
	}
	if _, err := ForSuite(got, "trixie", "jammy"); err == nil {
		t.Error("a suite that the machine cannot know: expected an error")
	}
	if diff := cmp.Diff([]string{"bookworm", "bookworm-updates", "bookworm-backports"}, got[3].Suites); diff != "" {
		t.Errorf("choosing changed the sources: %s", diff)
	}
}

func TestStanza(t *testing.T) {
	all, err := parseDeb822("x", []byte(deb822))
	if err != nil {
		t.Fatal(err)
	}
	again, err := parseDeb822("x", []byte(all[0].stanza()))
	if diff := cmp.Diff(all[:1], again); err != nil || diff != "" {
		t.Errorf("written and read again: %v\n%s", err, diff)
	}
}

func TestBadSources(t *testing.T) {
	for _, text := range []string{"deb [arch=amd64 http://x bookworm main\n", "deb http://x\n", "deb [lang=de] http://x y z\n"} {
		if got, err := parseOneLine("x", []byte(text)); err == nil {
			t.Errorf("%q: %+v, expected an error", text, got)
		}
	}
	if got, err := parseDeb822("x", []byte("Types deb\n")); err == nil {
		t.Errorf("%+v, expected an error", got)
	}
	if _, err := MachineSources(t.TempDir()); err == nil {
		t.Error("no sources at all: expected an error")
	}
}

func FuzzParseSources(f *testing.F) {
	f.Add([]byte(oneLine))
	f.Add([]byte(deb822))
	f.Fuzz(func(_ *testing.T, b []byte) {
		parseOneLine("fuzz", b)
		parseDeb822("fuzz", b)
	})
}

func TestCodename(t *testing.T) {
	name := filepath.Join(t.TempDir(), "os-release")
	if err := os.WriteFile(name, []byte("ID=debian\nVERSION_CODENAME=bookworm\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := codename(name); got != "bookworm" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
