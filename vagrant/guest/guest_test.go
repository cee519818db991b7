package guest

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/ampconnector/amp/vagrant/lab"
)

var (
	guestFlag   = flag.String("guest", "", "name of the guest that this runs in; without it only the scripts' form is checked")
	scriptsFlag = flag.String("scripts", "", "regular expression for the names of the scripts to run; empty is all")
	nightlyFlag = flag.Bool("nightly", false, "run also what make test leaves out in this guest")
	bootFlag    = flag.Int("boot", 1, "how many times the guest has been booted; only scripts for that boot run")
	payloadFlag = flag.String("payload", "/media/amplab", "folder of the payload drive")
)

// TestGuest runs the guest's scripts, the negative ones after the positive ones.
func TestGuest(t *testing.T) {
	if *guestFlag == "" {
		t.Skip("not in a guest of the lab: make lab runs it there")
	}
	only, err := regexp.Compile(*scriptsFlag)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, file := range scripts(t) {
		name := strings.TrimSuffix(filepath.ToSlash(file), ".txtar")
		name = strings.TrimPrefix(name, "testdata/")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		h, err := headerOf(file, text)
		if err != nil {
			t.Error(err)
			continue
		}
		if !h.runsIn(*guestFlag, *bootFlag, *nightlyFlag) || !only.MatchString(name) {
			continue
		}
		ran++
		t.Run(name, func(t *testing.T) { runScript(t, file) })
	}
	if ran == 0 {
		t.Errorf("no script for boot %d of guest %q matches %q", *bootFlag, *guestFlag, *scriptsFlag)
	}
}

// runScript runs one script. A failure shows the whole run, not the last phase alone: the guest is gone afterwards.
func runScript(t *testing.T, file string) {
	testscript.RunT(sequential{t}, testscript.Params{
		Files: []string{file}, Cmds: commands(), RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PAYLOAD", *payloadFlag)
			e.Setenv("PACKAGES", filepath.Join(*payloadFlag, "packages"))
			e.Setenv("GUEST", *guestFlag)
			e.Setenv("LC_ALL", "C.UTF-8")
			e.Setenv("DEBIAN_FRONTEND", "noninteractive")
			return nil
		},
		Condition: condition,
	})
}

// sequential is a testscript.T whose scripts do not run beside one another, nor as tests of their own below their file's test.
type sequential struct{ *testing.T }

func (s sequential) Parallel()                          {}
func (s sequential) Run(_ string, f func(testscript.T)) { f(s) }
func (s sequential) Verbose() bool                      { return testing.Verbose() }

// scripts lists all scripts in the order in which they run.
func scripts(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, dir := range []string{"positive", "negative"} {
		found, err := filepath.Glob(filepath.Join("testdata", dir, "*.txtar"))
		if err != nil || len(found) == 0 {
			t.Fatalf("testdata/%s: %d scripts, %v", dir, len(found), err)
		}
		all = append(all, found...)
	}
	return all
}

// TestScripts checks, anywhere, that each script can be parsed and names guests of the matrix.
func TestScripts(t *testing.T) {
	if *guestFlag != "" {
		t.Skip("in a guest: the matrix is not there")
	}
	m, err := lab.LoadMatrix("../matrix.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range scripts(t) {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		h, err := headerOf(file, a.Comment)
		if err != nil {
			t.Error(err)
		}
		for _, name := range h.all() {
			g, err := m.Guest(name)
			if err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if h.boot > 1 && !g.HasFirmware() {
				t.Errorf("%s: %s is booted only once", file, name)
			}
		}
	}
}
