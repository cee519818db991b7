package host

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/ownmounts"
)

func TestParseDpkgOwner(t *testing.T) {
	for _, c := range []struct{ out, path, want string }{
		{"coreutils: /bin/ls\n", "/bin/ls", "coreutils"},
		{"libc6:amd64: /lib/ld.so\n", "/lib/ld.so", "libc6:amd64"},
		{"diversion by dash from: /bin/sh\ndiversion by dash to: /bin/sh.distrib\ndash: /bin/sh\n", "/bin/sh", "dash"},
		{"local diversion from: /bin/x\nlocal diversion to: /bin/x.real\n", "/bin/x", ""},
		{"a, b:i386: /srv/two\n", "/srv/two", "a"},
		{"a: /srv/two\n", "/srv/tw", ""},
		{"a: /srv/x: /y\n", "/srv/x: /y", "a"},
		{"", "/x", ""},
	} {
		if got := parseDpkgOwner(c.out, c.path); got != c.want {
			t.Errorf("%q: %q, expected %q", c.out, got, c.want)
		}
	}
}

func TestParseRPMOwner(t *testing.T) {
	const out = "P bash.x86_64\nA 8\nF aa11 /usr/bin/bash\nF  /usr/bin/sh\nF bb22 /usr/share/with space\n"
	for _, c := range []struct {
		out, path, pkg, sum string
		known               bool
	}{
		{out, "/usr/bin/bash", "bash.x86_64", "aa11", true},
		{out, "/usr/share/with space", "bash.x86_64", "bb22", true},
		{out, "/usr/bin/sh", "bash.x86_64", "", false},
		{out + "P other.noarch\nA 1\nF cc33 /usr/bin/sh\n", "/usr/bin/sh", "bash.x86_64", "", false},
		{strings.Replace(out, "A 8", "A (none)", 1), "/usr/bin/bash", "bash.x86_64", "aa11", true},
		{strings.Replace(out, "A 8", "A 77", 1), "/usr/bin/bash", "bash.x86_64", "", false},
		{"file /x is not owned by any package\n", "/x", "", "", false},
		{"", "/x", "", "", false},
	} {
		pkg, digest := parseRPMOwner(c.out, []string{c.path})
		d, err := digest()
		if pkg != c.pkg || (err == nil) != c.known || d.hex != c.sum {
			t.Errorf("%s: %q, %q, %v; expected %+v", c.path, pkg, d.hex, err, c)
		}
	}
}

func FuzzParseOwner(f *testing.F) {
	f.Add("P bash.x86_64\nA 8\nF aa11 /usr/bin/bash\n", "/usr/bin/bash")
	f.Add("diversion by dash from: /bin/sh\ndash: /bin/sh\n", "/bin/sh")
	f.Fuzz(func(t *testing.T, out, path string) {
		parseDpkgOwner(out, path)
		_, digest := parseRPMOwner(out, []string{path})
		if d, err := digest(); err == nil && (d.hash == nil || d.hex == "") {
			t.Errorf("a digest without a value: %+v", d)
		}
	})
}

// ownedRoot is a root whose tools answer as those of a distribution do.
func ownedRoot(t *testing.T, files map[string]string) Root {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("usr/bin", filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	return At(dir)
}

// askInside runs the tools of a root in it, as ask does those of the running host.
func askInside(ctx context.Context, r Root, tool string, args ...string) ([]byte, int, error) {
	path, ok := FindTool(r, tool)
	if !ok {
		return nil, 0, errNoTool
	}
	path, err := r.Path(path)
	if err != nil {
		return nil, 0, err
	}
	out, err := exec.CommandContext(ctx, path, args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out, exit.ExitCode(), nil
	}
	return out, 0, err
}

func TestFindPackageOwner(t *testing.T) {
	r := ownedRoot(t, map[string]string{
		"usr/bin/good": "good", "usr/bin/changed": "changed", "usr/bin/nosum": "nosum", "srv/mine": "mine",
		"usr/bin/dpkg-query": `#!/bin/sh
shift
for f; do case "$f" in /bin/good|/bin/changed|/bin/nosum) echo "tools:amd64: $f";; *) echo "dpkg-query: no path found matching pattern $f" >&2; s=1;; esac; done
exit $s
`,
		"var/lib/dpkg/status":                   "Package: tools\n",
		"var/lib/dpkg/info/tools:amd64.md5sums": fmt.Sprintf("%x  bin/good\n%x  bin/changed\n", md5.Sum([]byte("good")), md5.Sum([]byte("as it was"))),
	})
	checkOwners(t, r, "tools:amd64")
}

func TestFindPackageOwnerRPM(t *testing.T) {
	r := ownedRoot(t, map[string]string{
		"usr/bin/good": "good", "usr/bin/changed": "changed", "usr/bin/nosum": "nosum", "srv/mine": "mine",
		"usr/bin/rpm": fmt.Sprintf(`#!/bin/sh
case "$4" in /srv/*) echo "file $4 is not owned by any package"; exit 1;; esac
printf 'P tools.x86_64\nA 8\nF %x /usr/bin/good\nF %x /usr/bin/changed\nF  /usr/bin/nosum\n'
`, sha256.Sum256([]byte("good")), sha256.Sum256([]byte("as it was"))),
		"var/lib/rpm/rpmdb.sqlite": "x",
	})
	checkOwners(t, r, "tools.x86_64")
}

func checkOwners(t *testing.T, r Root, pkg string) {
	t.Helper()
	for path, want := range map[string]struct {
		pkg            string
		known, matches bool
	}{
		"/usr/bin/good":    {pkg, true, true},
		"/bin/good":        {pkg, true, true},
		"/usr/bin/changed": {pkg, true, false},
		"/usr/bin/nosum":   {pkg, false, false},
		"/srv/mine":        {"", false, false},
	} {
		got := findPackageOwner(t.Context(), questions{r, askInside}, path)
		if !got.Known() || got.Value.Package != want.pkg || got.Value.Matches.Known() != want.known || got.Value.Matches.Value != want.matches {
			t.Errorf("%s: %+v, expected %+v", path, got, want)
		}
	}
}

func TestPackageOwnerIsNotKnown(t *testing.T) {
	if got := findPackageOwner(t.Context(), questions{At(t.TempDir()), askInside}, "/bin/sh"); !errors.Is(got.Err, errNoPackageDatabase) {
		t.Errorf("no database: %+v", got)
	}
	r := ownedRoot(t, map[string]string{"var/lib/dpkg/status": "x"})
	if got := findPackageOwner(t.Context(), questions{r, askInside}, "/bin/sh"); !errors.Is(got.Err, errNoTool) {
		t.Errorf("no tool: %+v", got)
	}
	r = ownedRoot(t, map[string]string{"var/lib/dpkg/status": "x", "usr/bin/dpkg-query": "#!/bin/sh\necho damaged >&2; exit 2\n"})
	if got := findPackageOwner(t.Context(), questions{r, askInside}, "/bin/sh"); got.Err == nil {
		t.Errorf("a damaged database: %+v", got)
	}
	if got := FindPackageOwner(t.Context(), r, "/bin/sh"); !errors.Is(got.Err, ErrNotRunning) {
		t.Errorf("an image: %+v", got)
	}
}

// The running host has a shell, and that belongs to a package.
func TestPackageOwnerOnThisMachine(t *testing.T) {
	r := At("/")
	if _, ok := FindTool(r, "dpkg-query"); !ok {
		t.Skip("no dpkg-query")
	}
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Skip(err)
	}
	got := FindPackageOwner(t.Context(), r, shell)
	if !got.Known() || got.Value.Package == "" || !got.Value.Matches.Known() || !got.Value.Matches.Value {
		t.Errorf("%+v", got)
	}
	mine := filepath.Join(t.TempDir(), "mi*ne")
	if err := os.WriteFile(mine, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := FindPackageOwner(t.Context(), r, mine); !got.Known() || got.Value.Package != "" {
		t.Errorf("%+v", got)
	}
}

// A machine that is overloaded is the one of which it matters who its programs belong to.
func TestPackageDatabaseThatIsSlow(t *testing.T) {
	const tool = "/usr/bin/dpkg-query"
	if _, err := os.Stat(tool); err != nil {
		t.Skip(err)
	}
	ownmounts.Run(t, func(t *testing.T) {
		slow := filepath.Join(t.TempDir(), "slow")
		if err := os.WriteFile(slow, fmt.Appendf(nil, "#!/bin/sh\nsleep %f\necho coreutils: /usr/bin/env\n", (askTimeout+time.Second/2).Seconds()), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(slow, tool, "", unix.MS_BIND, ""); err != nil {
			t.Skipf("needs to mount: %v", err)
		}
		if owner := FindPackageOwner(t.Context(), At("/"), "/usr/bin/env"); owner.Err != nil || owner.Value.Package != "coreutils" {
			t.Errorf("%q, %v; expected coreutils", owner.Value.Package, owner.Err)
		}
	})
}
