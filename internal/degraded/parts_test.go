package degraded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

var errLacks = errors.New("left out by the test")

// Kernels before 5.17 tell the two names of a rename apart.
func TestFilesBeforeRename(t *testing.T) {
	dir := t.TempDir()
	o := openSource(t, monitor.Settings{Kinds: allOfThem}, options{groups: namedGroups[1:]})
	w := watchSource(t, o, below(dir))
	act(t, "files", dir)
	in := func(name string) string { return filepath.Join(dir, name) }
	w.find("rename", func(e *monitor.Event) bool {
		return e.Kind == monitor.FileRename && e.File.Path == in("made") && e.Target.Path == in("renamed")
	})
	w.find("rename of a directory", func(e *monitor.Event) bool {
		return e.Kind == monitor.FileRename && e.File.Path == in("dir") && e.Target.Path == in("moved")
	})
	w.find("delete", func(e *monitor.Event) bool { return e.Kind == monitor.FileDelete && e.File.Path == in("moved") })
}

// Kernels before 5.9 tell no names, but open what was written.
func TestFilesByDescriptor(t *testing.T) {
	dir := t.TempDir()
	o := openSource(t, monitor.Settings{Kinds: allOfThem}, options{})
	w := watchSource(t, o, below(dir))
	act(t, "forks", filepath.Join(dir, "written"))
	e := w.find("write", func(e *monitor.Event) bool { return e.Kind == monitor.FileWrite })
	if e != nil && (e.File.Path != filepath.Join(dir, "written") || e.File.Size != 2 || e.File.Inode == 0 || e.Process.PID == 0) {
		t.Errorf("got %+v of %+v", e.File, e.Process)
	}
	if sees := w.Sees(); !sees.Has(monitor.FileWrite) || sees.Has(monitor.FileDelete) || !sees.Has(monitor.Exec) {
		t.Errorf("sees %b", sees)
	}
	descriptors, _ := os.ReadDir("/proc/self/fd")
	act(t, "storm", dir, "200")
	w.find("the last", func(e *monitor.Event) bool {
		return e.Kind == monitor.FileWrite && strings.Contains(e.File.Path, "f199")
	})
	waitUntil(t, "descriptors to be closed", func() bool {
		now, _ := os.ReadDir("/proc/self/fd")
		return len(now) <= len(descriptors)+2
	})
	if !told(w.BlindSpots(), monitor.FileDelete, "only writes") {
		t.Error("no blind spot says that only writes are seen")
	}
}

func told(spots []monitor.BlindSpot, k monitor.Kind, words string) bool {
	for _, s := range spots {
		if s.Kinds.Has(k) && strings.Contains(s.What.EN, words) && s.What.JA != "" {
			return true
		}
	}
	return false
}

// A host with only some of the parts uses those.
func TestPartsThatAreMissing(t *testing.T) {
	t.Run("only files", func(t *testing.T) {
		dir := t.TempDir()
		o := openSource(t, monitor.Settings{Kinds: allOfThem}, options{groups: namedGroups, lacks: [3]error{partProcesses: errNamespace, partFlows: errLacks}})
		w := watchSource(t, o, everything)
		c := actor(t, "waiting")
		in, _ := c.StdinPipe()
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		e := w.find("exec", func(e *monitor.Event) bool { return e.Kind == monitor.Exec && int(e.Process.PID) == c.Process.Pid })
		in.Close()
		c.Wait()
		if e != nil && e.File.Path != executablePath(t) {
			t.Errorf("exec %+v", e.File)
		}
		w.mark(dir)
		if w.Sees().Has(monitor.Exec) || !w.Sees().Has(monitor.FileDelete) || w.Hooks() != "fanotify" {
			t.Errorf("sees %b by %s", w.Sees(), w.Hooks())
		}
		if !told(w.BlindSpots(), monitor.Exit, "initial") || !told(w.BlindSpots(), monitor.FlowOpen, errLacks.Error()) {
			t.Errorf("blind spots %v", w.BlindSpots())
		}
	})
	t.Run("only processes", func(t *testing.T) {
		o := openSource(t, monitor.Settings{Kinds: allOfThem}, options{lacks: [3]error{partFiles: unix.ENOSYS, partFlows: errLacks}})
		w := watchSource(t, o, everything)
		pid := act(t, "storm", t.TempDir(), "0")
		w.find("exec", func(e *monitor.Event) bool { return e.Kind == monitor.Exec && int(e.Process.PID) == pid })
		w.find("exit", func(e *monitor.Event) bool { return e.Kind == monitor.Exit && int(e.Process.PID) == pid })
		if !told(w.BlindSpots(), monitor.FileWrite, "CONFIG_FANOTIFY") || w.Hooks() != "process connector" {
			t.Errorf("%s, blind spots %v", w.Hooks(), w.BlindSpots())
		}
	})
	t.Run("only flows", func(t *testing.T) {
		o := openSource(t, monitor.Settings{Kinds: allOfThem}, options{lacks: [3]error{partFiles: unix.EPERM, partProcesses: unix.EPERM}})
		w := watchSource(t, o, everything)
		waitUntil(t, "the first dump", func() bool { return w.flows.cost.Load() > 0 })
		a := startTalker(t).says()
		e := w.find("open", func(e *monitor.Event) bool { return e.Kind == monitor.FlowOpen && e.Flow.Local == a[1] })
		if e != nil && e.Process.Exe.Path != executablePath(t) {
			t.Errorf("process %+v", e.Process)
		}
	})
	t.Run("none", func(t *testing.T) {
		_, err := open(context.Background(), monitor.Settings{}, options{lacks: [3]error{unix.ENOSYS, errSilent, errLacks}})
		if !errors.Is(err, unix.ENOSYS) || !errors.Is(err, errSilent) || !errors.Is(err, errLacks) {
			t.Errorf("error %v", err)
		}
	})
}

// In namespaces of its own a process is told why it has what it has. The test binary asks itself there.
func TestProbeInNamespaces(t *testing.T) {
	for name, tt := range map[string]struct {
		flags uintptr
		want  string
	}{
		"pid":     {syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, "yes no yes"},
		"network": {syscall.CLONE_NEWNET, "yes no yes"},
		"user":    {syscall.CLONE_NEWUSER, "no no yes"},
		"none":    {0, "yes yes yes"},
	} {
		t.Run(name, func(t *testing.T) {
			openSource(t, monitor.Settings{}, options{groups: namedGroups}).Close()
			c := actor(t, "probe", name)
			c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: tt.flags}
			if tt.flags&syscall.CLONE_NEWUSER != 0 {
				c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			}
			out, err := c.Output()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 7 {
				t.Skipf("needs the right to make namespaces: %v", err)
			}
			if got, reasons, _ := strings.Cut(string(out), "\n"); got != tt.want {
				t.Errorf("got %s, want %s; %s", got, tt.want, reasons)
			}
		})
	}
}

func actOnProbe(args []string) error {
	if args[0] == "pid" {
		// Without a /proc of its own the process cannot be told apart.
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
			return err
		}
	}
	p := Probe(context.Background())
	var words []string
	for _, s := range []monitor.Support{p.Files, p.Processes, p.Flows} {
		word := "unknown"
		if s.Known && s.Yes {
			word = "yes"
		} else if s.Known {
			word = "no"
		}
		words = append(words, word)
	}
	fmt.Println(strings.Join(words, " "))
	fmt.Println(p)
	return nil
}

func TestProbeWithoutTime(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if p := Probe(ctx); p.Files.Known || p.Processes.Known || p.Flows.Known || p.Support().Known || p.Support().Reason.EN == "" {
		t.Errorf("got %+v", p)
	}
}

// What is mounted while the source runs is watched, and can be unmounted all the same.
func TestNewMount(t *testing.T) {
	w := watch(t, monitor.Settings{Kinds: allOfThem}, everything)
	dir := t.TempDir()
	for range 2 {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
			t.Skipf("needs the right to mount a tmpfs: %v", err)
		}
		t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) }) // should the test end before
		var st unix.Stat_t
		unix.Stat(dir, &st)
		waitUntil(t, "the mount to be watched", func() bool {
			w.source.mu.Lock()
			defer w.source.mu.Unlock()
			for _, s := range w.files.systems {
				if s.device == uint64(st.Dev) && s.points[0] == dir {
					return s.how == byName
				}
			}
			return false
		})
		act(t, "storm", dir, "1")
		w.find("delete on the tmpfs", func(e *monitor.Event) bool {
			return e.Kind == monitor.FileDelete && e.File.Path == filepath.Join(dir, "f0")
		})
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
			unix.Unmount(dir, unix.MNT_DETACH)
		}
		waitUntil(t, "the mount to be forgotten", func() bool {
			w.source.mu.Lock()
			defer w.source.mu.Unlock()
			for _, s := range w.files.systems {
				if s.points[0] == dir {
					return false
				}
			}
			return true
		})
		w.mu.Lock()
		w.events = nil
		w.mu.Unlock()
	}
}

// An overlay gives handles by which nothing is found, or none: what it cannot tell by name it tells by descriptor.
func TestOverlay(t *testing.T) {
	w := watch(t, monitor.Settings{Kinds: allOfThem}, everything)
	base := t.TempDir()
	// The layers are on a tmpfs: an overlay on an overlay, as in a container, is refused.
	if err := unix.Mount("tmpfs", base, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs the right to mount a tmpfs: %v", err)
	}
	defer unix.Unmount(base, unix.MNT_DETACH)
	for _, d := range []string{"lower", "upper", "work", "merged"} {
		os.Mkdir(filepath.Join(base, d), 0o755)
	}
	merged := filepath.Join(base, "merged")
	options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", base)
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		t.Skipf("needs overlayfs: %v", err)
	}
	defer unix.Unmount(merged, unix.MNT_DETACH)
	how := uncovered
	waitUntil(t, "the overlay to be watched", func() bool {
		w.source.mu.Lock()
		defer w.source.mu.Unlock()
		for _, s := range w.files.systems {
			if s.points[0] == merged {
				how = s.how
				return how != uncovered
			}
		}
		return false
	})
	t.Log("watched with coverage", how)
	act(t, "forks", filepath.Join(merged, "written"))
	w.find("write", func(e *monitor.Event) bool {
		return e.Kind == monitor.FileWrite && e.File.Path == filepath.Join(merged, "written")
	})
}

// A queue that is full is counted, and the source goes on.
func TestFanotifyOverflow(t *testing.T) {
	dir := t.TempDir()
	o := openSource(t, monitor.Settings{Kinds: allOfThem}, options{groups: namedGroups})
	act(t, "storm", dir, fmt.Sprint(o.files.queueEvents)) // nobody reads yet
	c, _ := o.Counts()
	if c.QueueBytes < c.QueueSize/2 {
		t.Errorf("%d of %d bytes wait, expected about all", c.QueueBytes, c.QueueSize)
	}
	w := watchSource(t, o, below(dir))
	w.mark(dir)
	c, _ = w.Counts()
	if c.Kinds[0].Full == 0 {
		t.Errorf("counts %+v", c.Kinds[0])
	}
}

// The process connector counts what it could not keep.
func TestConnectorOverflow(t *testing.T) {
	o := openSource(t, monitor.Settings{Kinds: allOfThem}, options{groups: namedGroups})
	unix.SetsockoptInt(o.processes.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
	for range 20 {
		exec.Command("true").Run()
	}
	w := watchSource(t, o, everything)
	pid := act(t, "storm", t.TempDir(), "0")
	waitUntil(t, "the loss to be counted", func() bool {
		c, _ := w.Counts()
		return c.Kinds[0].Full > 0
	})
	unix.SetsockoptInt(o.processes.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
	waitUntil(t, "an exec to be seen", func() bool {
		pid = act(t, "storm", t.TempDir(), "0")
		return len(w.all(func(e *monitor.Event) bool { return e.Kind == monitor.Exec && int(e.Process.PID) == pid })) > 0
	})
}

// What nobody asks for wakes nobody.
func TestConnectorFilter(t *testing.T) {
	openSource(t, monitor.Settings{}, options{groups: namedGroups}).Close()
	p, err := openProcConnector(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if p.unfiltered {
		t.Skip("this kernel does not endure a filter")
	}
	if err := p.set(monitor.ProcessKinds &^ monitor.KindsOf(monitor.Trace)); err != nil {
		t.Fatal(err)
	}
	act(t, "storm", t.TempDir(), "10") // it has threads
	act(t, "trace")
	buf, all := make([]byte, 4096), 0
	for ; ; all++ {
		n, err := p.receive(buf)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		var e procEvent
		if ok, err := e.parse(buf[:n]); !ok || err != nil || e.what == procPtrace {
			t.Errorf("message %#x of %d and %d came through", uint32(e.what), e.thread, e.pid)
		}
	}
	if all == 0 {
		t.Error("no message")
	}
}

// A kernel that does not endure a filter tells everything, and what nobody asked for is left out here.
func TestConnectorWithoutFilter(t *testing.T) {
	o := openSource(t, monitor.Settings{}, options{groups: namedGroups})
	o.processes.close()
	var err error
	if o.processes, err = newProcConnector(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	if err := o.Set(monitor.Settings{Kinds: allOfThem}); err != nil {
		t.Fatal(err)
	}
	w := watchSource(t, o, everything)
	pid := act(t, "storm", t.TempDir(), "100") // it has threads
	w.find("exit", func(e *monitor.Event) bool { return e.Kind == monitor.Exit && int(e.Process.PID) == pid })
	exits := w.all(func(e *monitor.Event) bool { return e.Kind == monitor.Exit && int(e.Process.PID) == pid })
	if c, _ := w.Counts(); len(exits) != 1 || c.Kinds[0].Damaged != 0 {
		t.Errorf("%d exits, expected one; %d messages could not be read", len(exits), c.Kinds[0].Damaged)
	}
}

func TestCloseWhileBusy(t *testing.T) {
	for range 5 {
		o := openSource(t, monitor.Settings{Kinds: allOfThem}, options{groups: namedGroups})
		dir := t.TempDir()
		ended := make(chan error, 1)
		started := make(chan struct{}, 1)
		go func() {
			ended <- o.Run(context.Background(), func(*monitor.Event) {
				select {
				case started <- struct{}{}:
				default:
				}
			})
		}()
		c := actor(t, "storm", dir, "100000")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		<-started
		go o.Set(monitor.Settings{Kinds: monitor.ProcessKinds})
		go o.Counts()
		go o.Activity()
		go o.BlindSpots()
		if err := o.Close(); err != nil {
			t.Error(err)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("Run does not return")
		}
		c.Process.Kill()
		c.Wait()
		if err := errors.Join(o.Close(), o.Set(monitor.Settings{})); err != nil {
			t.Error(err)
		}
		if c, err := o.Counts(); err != nil || c.Total().Handled == 0 {
			t.Errorf("counts %+v, error %v", c.Total(), err)
		}
	}
}

// The handler may close the source.
func TestCloseInHandler(t *testing.T) {
	o := openSource(t, monitor.Settings{Kinds: allOfThem}, options{groups: namedGroups})
	go exec.Command("true").Run()
	err := o.Run(context.Background(), func(*monitor.Event) { o.Close() })
	if err != nil {
		t.Error(err)
	}
}

func TestAllKinds(t *testing.T) {
	for k := range allOfThem.All {
		if k.String() == "unknown" {
			t.Errorf("kind %d", k)
		}
	}
	if want := monitor.ProcessKinds | monitor.FileKinds | monitor.NetworkKinds; allOfThem&want != want {
		t.Errorf("%b lacks some of %b", allOfThem, want)
	}
}
