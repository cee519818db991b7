package installer

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

// serviceHost is a root directory with a systemctl that only keeps a record, played as the running host.
type serviceHost struct {
	*Host
	t   *testing.T
	dir string
}

func testServiceHost(t *testing.T) serviceHost {
	t.Helper()
	dir := t.TempDir()
	h := NewHost(host.At(dir), slog.New(slog.DiscardHandler))
	h.Live = true
	return serviceHost{h, t, dir}
}

func (h serviceHost) write(name, text string, mode os.FileMode) {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode)); err != nil {
		h.t.Fatal(err)
	}
}

// systemd puts in a systemctl that keeps the unit's state in files and says it the way systemctl does.
func (h serviceHost) systemd(enabled, active bool) {
	h.write("run/systemd/system/.keep", "", 0o644)
	h.write("state/told", "", 0o644)
	if enabled {
		h.write("state/enabled", "", 0o644)
	}
	if active {
		h.write("state/active", "", 0o644)
	}
	h.write("usr/bin/systemctl", `#!/bin/sh
cd `+h.dir+`/state
case $1 in --root=*) shift ;; esac
case $1 in
is-*) [ ! -e warns ] || echo "Warning: something is odd" >&2 ;;
esac
case $1 in
is-active) if [ -e deaf ]; then echo "Failed to retrieve unit state: Connection timed out"; exit 1; elif [ -e active ]; then echo active; else echo inactive; exit 3; fi ;;
is-enabled) if [ -e masked ]; then echo masked; exit 1; elif [ -e enabled ]; then echo enabled; else echo disabled; exit 1; fi ;;
daemon-reload) ;;
*) printf '%s ' "$1" >> told ;;
esac
case $1 in
start | restart) [ ! -e broken ] || { echo "Job for cisco-amp.service failed."; exit 1; }; : > active ;;
stop) rm -f active ;;
preset) [ -e preset-disable ] || : > enabled ;;
enable) : > enabled ;;
disable) rm -f enabled ;;
esac
`, 0o755)
}

// told is what systemctl was told to do, beside questions and reloads.
func (h serviceHost) told() string {
	b, err := os.ReadFile(filepath.Join(h.dir, "state/told"))
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// apply runs the items of one action and returns the remarks and errors.
func (h serviceHost) apply(act ServiceAction, o Occasion) string {
	h.t.Helper()
	results, err := Run(h.t.Context(), h.Host, Plan{Name: "test", Items: serviceItems(ourFacts(), act, o)}, Options{})
	var said []string
	for _, r := range results {
		if s := r.Item.Step.(*Service); s.Left != (fault.Text{}) {
			said = append(said, s.Left.EN)
		}
	}
	if err != nil {
		said = append(said, err.Error())
	}
	return strings.Join(said, "\n")
}

func TestServiceUnderSystemd(t *testing.T) {
	first := Occasion{Format: "rpm", First: true}
	later := Occasion{Format: "rpm"}
	person := Occasion{}
	tests := []struct {
		name    string
		state   string // words: enabled active masked preset-disable broken forbid
		action  ServiceAction
		on      Occasion
		told    string
		remarks string // part of what is said; "" means that nothing is
	}{
		{"first install", "", EnableAndStart, first, "preset start", ""},
		{"first install, preset disables", "preset-disable", EnableAndStart, first, "preset", "it is disabled; when it should: systemctl enable --now cisco-amp.service"},
		{"first install, masked", "masked", EnableAndStart, first, "", "it is masked; when it should: systemctl unmask"},
		{"first install, policy-rc.d", "forbid", EnableAndStart, first, "preset", "/usr/sbin/policy-rc.d forbids it (exit status 101)"},
		{"twice", "enabled active", EnableAndStart, first, "", ""},
		{"later, disabled", "", EnableAndStart, later, "", "it is disabled"},
		{"later, enabled", "enabled", EnableAndStart, later, "start", ""},
		{"a person, disabled", "", EnableAndStart, person, "start", ""},
		{"a person, policy-rc.d is for packages", "forbid", EnableAndStart, person, "start", ""},
		{"a person, masked", "masked", EnableAndStart, person, "", "it is masked"},
		{"does not start", "enabled broken", EnableAndStart, later, "start", "systemctl start cisco-amp.service: exit status 1: Job for cisco-amp.service failed."},
		{"new program", "enabled active", Renew, later, "restart", ""},
		{"new program, policy-rc.d", "enabled active forbid", Renew, later, "", "still runs the earlier program: /usr/sbin/policy-rc.d forbids it"},
		{"new program, a person", "enabled active forbid", Renew, person, "restart", ""},
		{"stop", "enabled active", stop, later, "stop", ""},
		{"a warning beside the answer", "enabled active warns", StopAndDisable, later, "disable stop", ""},
		{"a warning beside the answer, masked", "masked warns", EnableAndStart, person, "", "it is masked"},
		{"stop is not forbidden: the program goes away", "enabled active forbid", stop, later, "stop", ""},
		{"stop and disable", "enabled active", StopAndDisable, later, "disable stop", ""},
		{"stop what is stopped", "", StopAndDisable, later, "", ""},
		{"look anew, nobody answers", "enabled active", Restart, person, "restart", ""},
		{"look anew, masked", "masked", Restart, person, "", "is masked: systemctl unmask"},
		{"process 1 does not answer", "enabled active deaf", stop, later, "", "systemctl is-active cisco-amp.service: exit status 1: Failed to retrieve unit state"},
		{"process 1 does not answer, start", "enabled deaf", start, later, "", "Failed to retrieve unit state: Connection timed out"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := testServiceHost(t)
			h.systemd(false, false)
			for _, word := range strings.Fields(tt.state) {
				h.write("state/"+word, "", 0o644)
			}
			if strings.Contains(tt.state, "forbid") {
				h.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
			}
			said := h.apply(tt.action, tt.on)
			if got := h.told(); got != tt.told {
				t.Errorf("systemctl was told %q, want %q", got, tt.told)
			}
			if tt.remarks == "" && said != "" || !strings.Contains(said, tt.remarks) {
				t.Errorf("said %q, want %q", said, tt.remarks)
			}
		})
	}
}

// A daemon that answers is asked over its socket, and systemctl, whose every call takes longer than that, not at all.
func TestLookAnewAsksTheDaemonAlone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: only root may ask for an evaluation")
	}
	for _, answers := range []bool{true, false} {
		h := testServiceHost(t)
		h.systemd(true, true)
		asked := filepath.Join(h.dir, "state/asked")
		if answers {
			h.write("usr/bin/systemctl", "#!/bin/sh\n: > "+asked+"\n", 0o755)
			evaluating(t, h.dir, control.Answer{Status: &control.Status{}}, control.Answer{Status: &control.Status{}})
		}
		h.write(pidFile, fmt.Sprintln(os.Getpid()), 0o644)
		pid, err := os.Open(filepath.Join(h.dir, pidFile))
		if err != nil {
			t.Fatal(err)
		}
		defer pid.Close()
		if err := unix.Flock(int(pid.Fd()), unix.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		s := &Service{Action: Restart, Unit: "cisco-amp.service"}
		r, err := runOne(t, h.Host, s, false)
		if err != nil || r.Outcome != Done || LookedAnew(s) != answers || !s.WasActive {
			t.Errorf("answers: %v: %+v, %v, looked %v, was active %v", answers, r, err, LookedAnew(s), s.WasActive)
		}
		if _, err := os.Stat(asked); err == nil {
			t.Error("systemctl was called")
		}
	}
}

func TestServiceUndo(t *testing.T) {
	for _, tt := range []struct {
		action ServiceAction
		state  string
		told   string
	}{
		{enable, "", "preset disable"},
		{start, "enabled", "start"}, // the unit may be starting at boot, and the undo its ExecStartPre
		{stop, "enabled active", "stop start"},
		{StopAndDisable, "enabled active", "disable stop enable start"},
	} {
		h := testServiceHost(t)
		h.systemd(strings.Contains(tt.state, "enabled"), strings.Contains(tt.state, "active"))
		s := serviceItems(ourFacts(), tt.action, Occasion{Format: "rpm", First: true})[0].Step
		for _, do := range []func() error{
			func() error { return s.Prepare(t.Context(), h.Host) },
			func() error { return s.Apply(t.Context(), h.Host) },
			func() error { return s.Undo(t.Context(), h.Host) },
			func() error { return s.Undo(t.Context(), h.Host) }, // again, as after an interrupted undo
		} {
			if err := do(); err != nil {
				t.Errorf("%s: %v", tt.action, err)
			}
		}
		if got := h.told(); got != tt.told {
			t.Errorf("%s: systemctl was told %q, want %q", tt.action, got, tt.told)
		}
	}
}

func TestPolicyStatuses(t *testing.T) {
	for status, forbids := range map[int]bool{0: false, 1: false, 100: true, 101: true, 102: true, 104: false, 105: false, 106: true} {
		h := testServiceHost(t)
		h.write("usr/sbin/policy-rc.d", fmt.Sprintf("#!/bin/sh\n[ \"$*\" = 'cisco-amp start' ] || exit 99\nexit %d\n", status), 0o755)
		if got := policyForbids(t.Context(), h.Host, "cisco-amp.service", "start"); (got != fault.Text{}) != forbids {
			t.Errorf("exit status %d: %q, want a refusal: %v", status, got, forbids)
		}
	}
}

// TestPlainProcess starts, replaces and stops a daemon on a host without systemd.
func TestPlainProcess(t *testing.T) {
	h := testServiceHost(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	daemon := func(how string) {
		h.write("opt/cisco/amp/bin/ampdaemon", fmt.Sprintf("#!/bin/sh\nexport AMP_TEST_DAEMON=%s AMP_TEST_PID=%s\nexec %s -test.run='^TestDaemonProcess$'\n",
			how, filepath.Join(h.dir, pidFile), self), 0o755)
	}
	h.write("run/cisco-amp/.keep", "", 0o644)
	running := func() int {
		pid, err := runningProcess(h.Host)
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	t.Cleanup(func() { stopProcess(t.Context(), h.Host) })

	daemon("dies")
	if said := h.apply(start, Occasion{}); !strings.Contains(said, "ended at once: exit status 3; its last words: no definitions") {
		t.Errorf("a daemon that dies: %q", said)
	}
	daemon("lives")
	if said := h.apply(start, Occasion{}); said != "" || running() == 0 {
		t.Fatalf("start: %q, process %d", said, running())
	}
	if left, err := filepath.Glob(filepath.Join(h.dir, filepath.Dir(pidFile), "start-*")); len(left) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
	before := running()
	if said := h.apply(start, Occasion{}); said != "" || running() != before {
		t.Errorf("start again: %q, process %d, want %d", said, running(), before)
	}
	if said := h.apply(Renew, Occasion{}); said != "" || running() == before || running() == 0 {
		t.Errorf("replace: %q, process %d", said, running())
	}
	if said := h.apply(stop, Occasion{}); said != "" || running() != 0 {
		t.Errorf("stop: %q, process %d", said, running())
	}
	// As with a kernel before 5.3. One that has ended is no error.
	if said := h.apply(start, Occasion{}); said != "" {
		t.Errorf("start: %q", said)
	}
	pid := running()
	for range 2 {
		if err := stopByNumber(t.Context(), h.Host, pid); err != nil || running() != 0 {
			t.Errorf("stop process %d by its number: %v, process %d", pid, err, running())
		}
		awaitEnd(t, pid)
	}
	h.write(pidFile[1:], "1\n", 0o644) // stale: nobody holds its lock, so process 1 is left alone
	if said := h.apply(stop, Occasion{}); said != "" {
		t.Errorf("stale pid file: %q", said)
	}
}

// A link in the place of the log may be anybody's, where the folder is not root's alone.
func TestLogOfPlainProcessIsNoLink(t *testing.T) {
	h := testServiceHost(t)
	h.write("opt/cisco/amp/bin/ampdaemon", "#!/bin/sh\necho intruder\n", 0o755)
	h.write("run/cisco-amp/.keep", "", 0o644)
	h.write("etc/another", "as it was", 0o644)
	h.write("var/log/cisco/.keep", "", 0o644)
	if err := os.Symlink("/etc/another", filepath.Join(h.dir, processLog)); err != nil {
		t.Fatal(err)
	}
	if said := h.apply(start, Occasion{}); !strings.Contains(said, processLog) || !strings.Contains(said, syscall.ELOOP.Error()) {
		t.Errorf("start: %q, expected that the log is a link", said)
	}
	if b, err := os.ReadFile(filepath.Join(h.dir, "etc/another")); string(b) != "as it was" {
		t.Errorf("what the link leads to: %q, %v", b, err)
	}
}

// TestDaemonProcess is the daemon of TestPlainProcess.
func TestDaemonProcess(t *testing.T) {
	switch os.Getenv("AMP_TEST_DAEMON") {
	case "":
		t.Skip("not started by TestPlainProcess")
	case "dies":
		fmt.Fprintln(os.Stderr, "no definitions")
		os.Exit(3)
	}
	if fi, err := os.Stat(filepath.Dir(os.Getenv("NOTIFY_SOCKET"))); err != nil || fi.Mode().Perm() != 0o700 {
		fmt.Fprintln(os.Stderr, "others can come to", os.Getenv("NOTIFY_SOCKET"))
		os.Exit(4)
	}
	f, err := os.OpenFile(os.Getenv("AMP_TEST_PID"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	f.Truncate(0)
	fmt.Fprintln(f, os.Getpid())
	c, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "STATUS=up\nREADY=1\n")
	<-ended
	os.Exit(0)
}

func TestMountedAtRoot(t *testing.T) {
	for mountinfo, want := range map[string]bool{
		"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n28 27 0:23 / /proc rw - proc proc rw\n": true,
		"63 43 0:39 / /proc rw,relatime - proc proc rw\n":                                       false, // as seen in a chroot
		"": false,
	} {
		if got := mountedAtRoot(mountinfo); got != want {
			t.Errorf("%q: %v, want %v", mountinfo, got, want)
		}
	}
}

// What is shown of the daemon's look at the host is what a person would type for it: ours goes on meanwhile.
func TestCommandToLookAnew(t *testing.T) {
	for vendor, want := range map[bool]string{false: "systemctl reload-or-restart cisco-amp.service", true: "systemctl restart cisco-amp.service"} {
		s := &Service{Action: Restart, Unit: "cisco-amp.service", Vendor: vendor}
		if got := s.Commands(); !slices.Equal(got, []string{want}) {
			t.Errorf("vendor's %t: %q, expected %q", vendor, got, want)
		}
	}
}

// awaitEnd waits until a process, which is no child of the test's, is gone.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}
