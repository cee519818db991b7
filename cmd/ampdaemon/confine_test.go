package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/scan/sandbox"
)

const confinedEnv = "AMP_TEST_CONFINED"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sandbox.Argument {
		fmt.Println(sandbox.Enter(os.Args[2:]))
		os.Exit(1)
	}
	if os.Getenv(mainEnv) != "" {
		main()
		os.Exit(0)
	}
	if folder := os.Getenv(serviceEnv); folder != "" {
		if err := scanFromConfined(folder); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv(confinedEnv) != "" {
		if err := confinedProgram(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// confinedProgram confines itself twice, as a daemon does whose unit did it before, and prints what its threads and a program that it
// starts may do.
func confinedProgram() error {
	for range 2 {
		if err := confine(); err != nil {
			return err
		}
	}
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		return err
	}
	for _, status := range threads {
		b, err := os.ReadFile(status)
		if err != nil {
			return err
		}
		fmt.Printf("%s\n", b)
	}
	out, err := exec.Command("cat", "/proc/self/status").CombinedOutput()
	fmt.Printf("%s\n", out)
	return err
}

var rights = regexp.MustCompile(`(?m)^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs):\s*(\S+)$`)

func TestConfine(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: others have no capabilities to give up")
	}
	// Built as the daemon is: with cgo, Go cannot speak for all threads.
	binary := filepath.Join(t.TempDir(), "confined")
	build := exec.Command("go", "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), confinedEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var allowed, atHand uint64
	for _, c := range capabilities {
		allowed |= 1 << c.number
		if c.atHand {
			atHand |= 1 << c.number
		}
	}
	own, _, _ := strings.Cut(string(out), "Name:\tcat") // a program that it executes has them in effect, as all of root's do
	for _, f := range rights.FindAllStringSubmatch(own, -1) {
		var caps uint64
		if _, err := fmt.Sscanf(f[2], "%x", &caps); f[1] == "CapEff" && (err != nil || caps&atHand != 0) {
			t.Errorf("CapEff is %s, expected nothing of %x", f[2], atHand)
		}
	}
	found := rights.FindAllStringSubmatch(string(out), -1)
	if len(found) < 3*6 { // more than one thread, and the program
		t.Fatalf("%d values of rights, at least 18 expected, in\n%s", len(found), out)
	}
	for _, f := range found {
		name, value := f[1], f[2]
		var caps uint64
		if name != "NoNewPrivs" {
			if _, err := fmt.Sscanf(value, "%x", &caps); err != nil {
				t.Fatal(err)
			}
		}
		switch name {
		case "NoNewPrivs":
			if value != "1" {
				t.Errorf("a thread may gain rights by executing a program")
			}
		case "CapInh", "CapAmb":
			if caps != 0 {
				t.Errorf("%s is %s, none expected", name, value)
			}
		default:
			if caps&^allowed != 0 || caps&(1<<unix.CAP_SYS_ADMIN) == 0 {
				t.Errorf("%s is %s, expected within %x, with CAP_SYS_ADMIN", name, value, allowed)
			}
		}
	}
}

// The daemon and its unit say the same.
func TestUnitGivesTheSame(t *testing.T) {
	b, err := os.ReadFile("../../packaging/files/cisco-amp.service")
	if err != nil {
		t.Fatal(err)
	}
	var given []string
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "CapabilityBoundingSet="); ok {
			given = strings.Fields(v)
		}
	}
	var kept []string
	for _, c := range capabilities {
		kept = append(kept, c.name)
	}
	slices.Sort(given)
	slices.Sort(kept)
	if !slices.Equal(given, kept) {
		t.Errorf("the unit gives %v, the daemon keeps %v", given, kept)
	}
}

// The devices of a unit hold for all of its commands, also for those that are otherwise free: what loads the modules reads why the kernel refuses one.
func TestUnitDevices(t *testing.T) {
	b, err := os.ReadFile("../../packaging/files/cisco-amp.service")
	if err != nil {
		t.Fatal(err)
	}
	var allowed []string
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "DeviceAllow="); ok {
			allowed = append(allowed, v)
		}
	}
	if want := []string{"char-misc r", "/dev/kmsg r"}; !slices.Equal(allowed, want) {
		t.Errorf("the unit allows %q, expected %q", allowed, want)
	}
}
