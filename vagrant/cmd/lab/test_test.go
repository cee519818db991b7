package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ampconnector/amp/vagrant/lab"
)

func TestCommands(t *testing.T) {
	guest := lab.Guest{Name: "g", Timeout: 10 * time.Minute, Rooms: []string{"bpf"}, NightlyRooms: []string{"kmod"}}
	files := map[string]string{"testdata/positive/00-install.txtar": "", "guest.test": "", "rooms/bpf.test": "", "rooms/kmod.test": ""}
	for _, c := range []struct {
		run           string
		scripts, room bool
	}{
		{"", true, true},
		{"00-install", true, false},
		{"rooms", false, true},
		{"positive/00|rooms/(bpf|kmod)", true, true},
		{"no-such", false, false},
	} {
		got, err := (&flags{run: c.run}).commands(guest, files)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(got, "./guest.test") != c.scripts || strings.Contains(got, "rooms/bpf.test") != c.room {
			t.Errorf("--run %q: scripts %t and the room %t expected in\n%s", c.run, c.scripts, c.room, got)
		}
		// What is named runs whole.
		if nightly := c.run != ""; strings.Contains(got, "rooms/kmod.test") != (nightly && c.room) || c.scripts && !strings.Contains(got, fmt.Sprintf("-nightly=%t ", nightly)) {
			t.Errorf("--run %q: what make test leaves out expected: %t\n%s", c.run, nightly, got)
		}
	}
	if _, err := (&flags{run: "("}).commands(guest, files); err == nil || !strings.Contains(err.Error(), "--run") {
		t.Errorf("a regular expression that is none: got error %v", err)
	}
}

// A guest under Secure Boot counts its boots, and boots again where a script asks for it.
func TestCommandsOfBoots(t *testing.T) {
	files := map[string]string{"testdata/positive/00-install.txtar": "", "guest.test": ""}
	for _, secure := range []bool{false, true} {
		got, err := (&flags{}).commands(lab.Guest{Name: "g", Timeout: 10 * time.Minute, SecureBoot: secure}, files)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got, "-boot $boot") || strings.Contains(got, "systemctl --no-block reboot") != secure || strings.Contains(got, roomLine+"boot-$boot") != secure {
			t.Errorf("Secure Boot %t:\n%s", secure, got)
		}
		if out, err := exec.CommandContext(t.Context(), "sh", "-n", "-c", got).CombinedOutput(); err != nil {
			t.Errorf("%v: %s in\n%s", err, out, got)
		}
	}
}

// What a guest said comes apart into the streams of its scripts and of its rooms.
func TestKeepStreams(t *testing.T) {
	const scripts = "=== RUN   TestGuest\n--- FAIL: TestGuest (1.00s)\nFAIL\n"
	const room = "=== RUN   TestFile\n--- PASS: TestFile (1.00s)\nPASS\n"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"both":      {scripts + "\n" + roomLine + "bpf\n" + room, []string{"guest/g TestGuest fail", "guest/g  fail", "guest/g/bpf TestFile pass", "guest/g/bpf  pass"}},
		"a room":    {"\n" + roomLine + "bpf\n" + room, []string{"guest/g/bpf TestFile pass", "guest/g/bpf  pass"}},
		"no word":   {roomLine + "bpf\n" + room, []string{"guest/g/bpf TestFile pass", "guest/g/bpf  pass"}},
		"two boots": {scripts + "\n" + roomLine + "boot-2\n" + room, []string{"guest/g TestGuest fail", "guest/g  fail", "guest/g/boot-2 TestFile pass", "guest/g/boot-2  pass"}},
		"a cut one": {roomLine + "bpf\n=== RUN   TestFile\n", []string{"guest/g/bpf  fail"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "results.json")
			if err := keepStreams(t.Context(), path, "guest/g", []byte(c.text)); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for line := range strings.Lines(string(b)) {
				var e struct{ Action, Package, Test string }
				if err := json.Unmarshal([]byte(line), &e); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				if e.Action == "pass" || e.Action == "fail" {
					got = append(got, e.Package+" "+e.Test+" "+e.Action)
				}
			}
			if name == "a cut one" && slices.Contains(got, "guest/g/bpf  pass") || name != "a cut one" && !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// Guests take turns, some at once, and one that fails keeps none from its turn.
func TestSideBySide(t *testing.T) {
	var now, most, ran atomic.Int32
	second := make(chan struct{})
	bad := errors.New("bad")
	err := sideBySide(make([]lab.Guest, 5), func(lab.Guest) error {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		if ran.Add(1) == atOnce {
			close(second)
		}
		<-second // the first one waits for as many as there may be
		return bad
	})
	if !errors.Is(err, bad) || ran.Load() != 5 || most.Load() != atOnce {
		t.Errorf("error %v, %d ran, at most %d at once; expected the error of each, 5 and %d", err, ran.Load(), most.Load(), atOnce)
	}
}
