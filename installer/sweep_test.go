package installer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/host"
)

// sweep kills a program that applies a plan at every kill point that it reaches, and looks at the host after each: right after
// Recover alone, and after the next run. The program is this test binary itself, so that the tests of other steps can use it.
type sweep struct {
	plan      string                    // a name in sweepPlans
	root      func(t *testing.T) string // makes the host as it is before the plan
	recovered func(root string) error   // what has to hold after Recover alone, wherever the run was killed
	planned   func(root string) error   // what has to hold after the next run
	twice     bool                      // kill Recover, too, at each of its own points
	slow      time.Duration             // how long one run may take; 0 is a minute
}

// sweepPlans makes the plan of a sweep in the program that is to be killed.
var sweepPlans = map[string]func(ctx context.Context, h *Host) Plan{}

// Environment of the program that is to be killed.
const (
	sweepPlanEnv = "AMP_SWEEP_PLAN"
	sweepRootEnv = "AMP_SWEEP_ROOT"
	sweepOnlyEnv = "AMP_SWEEP_RECOVER_ONLY"
	killAtEnv    = "AMP_KILL_AT"
	killListEnv  = "AMP_KILL_LIST"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(sweepPlanEnv); name != "" {
		if err := sweptProgram(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// sweptProgram is what is killed: what each of our programs does.
func sweptProgram(name string) error {
	ctx := context.Background()
	h := NewHost(host.At(os.Getenv(sweepRootEnv)), slog.New(slog.NewTextHandler(os.Stderr, nil)))
	lock, err := Acquire(ctx, h, "sweep", time.Minute)
	if err != nil {
		return err
	}
	if _, err := Recover(ctx, h); err != nil || os.Getenv(sweepOnlyEnv) != "" {
		return errors.Join(err, lock.Release())
	}
	_, err = Run(ctx, h, sweepPlans[name](ctx, h), Options{})
	return errors.Join(err, lock.Release())
}

// run does the sweep. A test binary without kill points builds one with them and lets that do it.
func (s sweep) run(t *testing.T) {
	t.Helper()
	if !killpoints {
		runWithKillpoints(t)
		return
	}
	points := s.points(t)
	t.Logf("%d kill points", len(points))
	for _, p := range points {
		t.Run(p, func(t *testing.T) { s.once(t, p) })
	}
	t.Run("power", func(t *testing.T) {
		d := newDisk(t)
		for _, p := range append(points, afterAll) {
			t.Run(p, func(t *testing.T) { s.withoutPower(t, d, p) })
		}
	})
	if s.twice {
		for _, p := range points {
			t.Run("twice/"+p, func(t *testing.T) { s.again(t, p) })
		}
	}
}

func runWithKillpoints(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("the sweep builds a second test binary: not with -short")
	}
	cmd := exec.Command("go", "test", "-count=1", "-tags", "killpoints", "-run", "^"+t.Name()+"$", "-v", ".")
	cmd.Env = append(os.Environ(), inMemory()...)
	// Mounts of its own: in a namespace that another test makes meanwhile, a copy of them would keep a file system from being unmounted
	// for good, and what is mounted next would be the same again, without power.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", summary(out))
}

// inMemory puts temporary folders where syncing costs nothing. SIGKILL loses nothing that was not synced, so nothing is missed.
func inMemory() []string {
	const dir = "/dev/shm"
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil || st.Type != unix.TMPFS_MAGIC || st.Flags&(unix.ST_NOEXEC|unix.ST_RDONLY) != 0 || st.Bavail*uint64(st.Bsize) < 64<<20 {
		return nil
	}
	return []string{"TMPDIR=" + dir}
}

// summary keeps of a verbose run what is not a single point.
func summary(out []byte) string {
	var keep []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "kill points") || strings.HasPrefix(line, "ok") {
			keep = append(keep, strings.TrimSpace(line))
		}
	}
	return strings.Join(keep, "; ")
}

// points lists the kill points of an undisturbed run, which has to succeed, and checks that a second run changes nothing.
func (s sweep) points(t *testing.T) []string {
	t.Helper()
	root := s.root(t)
	points := s.listed(t, root, false)
	if err := s.planned(root); err != nil {
		t.Fatalf("undisturbed: %v", err)
	}
	if again := s.listed(t, root, false); len(again) > 0 {
		t.Fatalf("the second run reaches %v, nothing expected", again)
	}
	return points
}

func (s sweep) listed(t *testing.T, root string, recoverOnly bool) []string {
	t.Helper()
	list := filepath.Join(t.TempDir(), "list")
	s.mustEnd(t, root, recoverOnly, killListEnv+"="+list)
	b, err := os.ReadFile(list)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

// once kills at one point, then looks.
func (s sweep) once(t *testing.T, point string) {
	root := s.root(t)
	s.mustDie(t, root, false, point)
	s.mustEnd(t, root, true)
	if err := s.recovered(root); err != nil {
		t.Errorf("after Recover: %v", err)
	}
	s.mustEnd(t, root, false)
	if err := s.planned(root); err != nil {
		t.Errorf("after the next run: %v", err)
	}
}

// afterAll is no kill point: the program has ended.
const afterAll = "after-all"

// withoutPower loses all that nobody synced when the program reaches one point, or has ended, then looks.
func (s sweep) withoutPower(t *testing.T, d disk, point string) {
	root := s.root(t)
	d.Sync(t)
	if point == afterAll {
		s.mustEnd(t, root, false)
	} else {
		s.mustDie(t, root, false, point)
	}
	d.losePower(t)
	s.mustEnd(t, root, true)
	if err := s.recovered(root); err != nil {
		t.Errorf("after Recover: %v", err)
	}
	s.mustEnd(t, root, false)
	if err := s.planned(root); err != nil {
		t.Errorf("after the next run: %v", err)
	}
}

// again kills at one point, and what recovers from it at each of its points.
func (s sweep) again(t *testing.T, point string) {
	first := s.root(t)
	s.mustDie(t, first, false, point)
	for _, second := range s.listed(t, first, true) {
		root := s.root(t)
		s.mustDie(t, root, false, point)
		s.mustDie(t, root, true, second)
		s.mustEnd(t, root, true)
		if err := s.recovered(root); err != nil {
			t.Errorf("killed in Recover at %s: after the next Recover: %v", second, err)
		}
		s.mustEnd(t, root, false)
		if err := s.planned(root); err != nil {
			t.Errorf("killed in Recover at %s: after the next run: %v", second, err)
		}
	}
}

func (s sweep) mustDie(t *testing.T, root string, recoverOnly bool, point string) {
	t.Helper()
	out, err := s.start(root, recoverOnly, killAtEnv+"="+point)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("not killed at %s: %v\n%s", point, err, out)
	}
}

func (s sweep) mustEnd(t *testing.T, root string, recoverOnly bool, environ ...string) {
	t.Helper()
	if out, err := s.start(root, recoverOnly, environ...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func (s sweep) start(root string, recoverOnly bool, environ ...string) ([]byte, error) {
	slow := s.slow
	if slow == 0 {
		slow = time.Minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), slow)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), sweepPlanEnv+"="+s.plan, sweepRootEnv+"="+root)
	if recoverOnly {
		cmd.Env = append(cmd.Env, sweepOnlyEnv+"=1")
	}
	cmd.Env = append(cmd.Env, environ...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	// A tool that the killed program left running holds the pipe of its output; it is not waited for here.
	cmd.WaitDelay = time.Millisecond
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	return out.Bytes(), err
}
