package layout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/bpf/layout/debiankernel"
	"github.com/ampconnector/amp/internal/host"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

func TestJudge(t *testing.T) {
	tools := &toolchain{tree: "/lib/modules/x/build", compiler: "/usr/bin/gcc", wanted: "gcc-14", text: "gcc-14 (Debian) 14.2.0"}
	for _, c := range []struct {
		name, log string
		why       Why
		detail    string
	}{
		{"compiler", "make: Entering directory '/x'\ngcc: error: unrecognized command-line option '-fmin-function-alignment=16'\nmake: *** [x] Error 1\n", OtherCompiler, "unrecognized"},
		{"plugin", "cc1: error: cannot load plugin ./scripts/gcc-plugins/x.so: undefined symbol\n", OtherCompiler, "gcc-14 (Debian) 14.2.0"},
		{"header", "In file included from structures.c:14:\n./a.h:3:10: fatal error: linux/b.h: No such file or directory\ncompilation terminated.\n", TreeIncomplete, "./a.h:3:10: fatal error: linux/b.h"},
		{"tool", "/bin/sh: 1: ./scripts/basic/fixdep: not found\nmake[2]: *** [x] Error 127\n", TreeIncomplete, "fixdep: not found"},
		{"tool of another machine", "/bin/sh: 1: scripts/mod/modpost: Exec format error\n", TreeIncomplete, "Exec format error"},
		{"rule", "make[2]: *** No rule to make target 'structures.o'.  Stop.\n", TreeIncomplete, "No rule to make target"},
		{"disk", "/tmp/cc.s: Fatal error: can't write 12 bytes to section .text of x.o: 'No space left on device'\n", DiskFull, "No space left"},
		{"code", "structures.c:20:1: error: unknown type name 'u3'\nstructures.c:21:1: error: another\n", BuildFailed, "structures.c:20:1: error: unknown type name 'u3'"},
		{"make", "Makefile:12: *** bad thing.  Stop.\n", BuildFailed, "bad thing"},
		{"unknown", "something\nelse\n\n", BuildFailed, "else"},
		{"silent", "", BuildFailed, ""},
	} {
		e := judge([]byte(c.log), tools, errors.New("exit status 2"))
		if e.Why != c.why || !contains(e.Detail, c.detail) {
			t.Errorf("%s: %v, expected %s with %q", c.name, e, c.why, c.detail)
		}
		if (e.Why == OtherCompiler) != (e.Wanted == "gcc-14") {
			t.Errorf("%s: %q is wanted", c.name, e.Wanted)
		}
	}
}

// made is a root with a tree whose Makefile does what a test wants. $(M) is the folder to build in.
func madeTree(t *testing.T, recipe string) (host.Root, *host.Headers) {
	t.Helper()
	dir, err := os.MkdirTemp("", "amp-layout-test-") // whose way is open for the user that the compiler runs as
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	const tree = "/lib/modules/1.2.3/build"
	for name, text := range map[string]string{
		"Makefile": "structures.o:\n\t" + recipe + "\n", autoConf: "CONFIG_GCC_VERSION=120200\n",
		"include/generated/autoconf.h": "", "include/generated/utsrelease.h": "", "Module.symvers": "",
	} {
		put(t, filepath.Join(dir, tree, name), []byte(text))
	}
	r := host.At(dir)
	debiankernel.AddTool(t, r, "make")
	debiankernel.AddTool(t, r, "gcc")
	return r, &host.Headers{Link: tree, Release: "1.2.3"}
}

func TestDeriveFails(t *testing.T) {
	for _, c := range []struct {
		name, recipe string
		why          Why
		log          bool
	}{
		{"error", "@echo structures.c:1:1: error: no >&2; false", BuildFailed, true},
		{"no object", "@echo nothing to do", BuildFailed, true},
		{"no ELF", "@echo hello > $(M)/structures.o", Malformed, false},
		{"no debug information", "@cp " + abs(t, "testdata/none.o") + " $(M)/structures.o", NoDebugInfo, false},
		{"a link", "@ln -s /etc/shadow $(M)/structures.o", BuildFailed, false},
		{"a FIFO", "@mkfifo $(M)/structures.o", BuildFailed, false},
		{"a folder", "@mkdir $(M)/structures.o", BuildFailed, false},
		{"other structures", "@cp " + abs(t, "testdata/dwarf5.o") + " $(M)/structures.o", Malformed, false},
		{"no room", "@head -c 100M /dev/zero > $(M)/structures.o", DiskFull, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.why == DiskFull && os.Geteuid() != 0 {
				t.Skip("the folder has a limit for root only")
			}
			r, headers := madeTree(t, c.recipe)
			s := Store{Dir: Dir}
			p, err := s.find(r, "1.2.3", headers)
			if err != nil || p.Origin != Derived {
				t.Fatalf("found %+v (%v)", p, err)
			}
			_, err = s.open(t.Context(), r, "1.2.3", p)
			var e *Error
			if !errors.As(err, &e) || e.Why != c.why {
				t.Fatalf("%v, expected %s", err, c.why)
			}
			t.Log(err)
			if c.log {
				if b, err := r.ReadFile(e.Log, maxLog); e.Log == "" || err != nil || len(b) == 0 {
					t.Errorf("log %q has %q (%v)", e.Log, b, err)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(r.Dir(), Dir, "*.o")); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func abs(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	// The compiler's user may not come to the source tree.
	dir, err := os.MkdirTemp("", "amp-layout-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	put(t, filepath.Join(dir, filepath.Base(name)), mustRead(t, path))
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, filepath.Base(name))
}

// Whoever no longer wants the layouts leaves no compiler behind, and one that is root runs as a user that nobody else is.
func TestDeriveEnds(t *testing.T) {
	r, headers := madeTree(t, "@echo ids $$(id -u) $$(id -G); echo pid $$$$; sleep 1000 & sleep 1000")
	s := Store{Dir: Dir}
	p, err := s.find(r, "1.2.3", headers)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err = s.open(ctx, r, "1.2.3", p)
	var e *Error
	if !errors.As(err, &e) || e.Why != TimedOut {
		t.Fatalf("%v, expected %s", err, TimedOut)
	}
	said, err := r.ReadFile(e.Log, maxLog)
	if err != nil {
		t.Fatal(err)
	}
	var shell int
	if m := regexp.MustCompile(`(?m)^pid (\d+)$`).FindSubmatch(said); m != nil {
		shell, _ = strconv.Atoi(string(m[1]))
	}
	if shell == 0 {
		t.Fatalf("the build said %q", said)
	}
	if os.Geteuid() == 0 {
		ids := regexp.MustCompile(`(?m)^ids (\d+) (\d+)$`).FindSubmatch(said)
		if ids == nil || string(ids[1]) != string(ids[2]) {
			t.Fatalf("the build said %q, expected a user and a group of its own and no other", said)
		}
		if uid, err := strconv.Atoi(string(ids[1])); err != nil || uid < firstStranger || uid >= firstStranger+strangers {
			t.Errorf("it was user %s", ids[1])
		}
	}
	for range 50 {
		// What is dead and has not been asked for has no command line.
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", shell)); err != nil || len(b) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("process %d of the build is left", shell)
}

// Two builds are no more one another's business than anybody's.
func TestStrangers(t *testing.T) {
	seen := map[uint32]bool{}
	for range 100 {
		id, err := stranger()
		if err != nil || id < firstStranger || id >= firstStranger+strangers {
			t.Fatalf("user %d, %v", id, err)
		}
		seen[id] = true
	}
	if len(seen) < 99 {
		t.Errorf("%d users of 100", len(seen))
	}
}
