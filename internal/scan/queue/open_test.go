package queue

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// opened is what the file of an event holds, or why it is not opened.
func opened(t *testing.T, e *monitor.Event, target bool) (string, error) {
	t.Helper()
	it := &item{occasion: (&Queue{}).keep(e), target: target}
	f, err := it.open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Error(err)
	}
	return string(b), nil
}

func TestTheFileOfTheEventIsOpened(t *testing.T) {
	for _, without := range []bool{false, true} {
		withoutOpenat2.Store(without)
		defer withoutOpenat2.Store(false)
		w := newWorld(t, nil)
		file := func() monitor.File { return w.file("d/f", "content") }
		path := filepath.Join(w.dir, "d/f")
		for _, tt := range []struct {
			name   string
			meddle func(*monitor.Event)
			want   error
		}{
			{"as it was", func(*monitor.Event) {}, nil},
			{"deleted", func(*monitor.Event) { os.Remove(path) }, errGone},
			{"replaced", func(*monitor.Event) {
				os.Rename(path, path+".old")
				w.file("d/f", "other")
			}, errReplaced},
			{"a link took its place", func(*monitor.Event) {
				os.Rename(path, path+".old")
				os.Symlink(path+".old", path)
			}, errReplaced},
			{"a link took its place, and the inode is not known", func(e *monitor.Event) {
				os.Rename(path, path+".old")
				os.Symlink(path+".old", path)
				e.File.Inode = 0
			}, errIrregular},
			{"a link took its directory's place", func(*monitor.Event) {
				os.Rename(filepath.Dir(path), filepath.Dir(path)+".old")
				os.MkdirAll(w.dir+"/x", 0o755)
				os.WriteFile(w.dir+"/x/f", []byte("secret"), 0o600)
				os.Symlink(w.dir+"/x", filepath.Dir(path))
			}, errReplaced},
			{"another device", func(e *monitor.Event) { e.File.Device++ }, errReplaced},
			{"device not known", func(e *monitor.Event) { e.File.Device = 0 }, nil},
			{"cut path", func(e *monitor.Event) { e.File.Truncated = true }, errGone},
			{"no path from the root", func(e *monitor.Event) { e.File.Path = "d/f" }, errGone},
		} {
			e := wrote(file())
			tt.meddle(e)
			if got, err := opened(t, e, false); !errors.Is(err, tt.want) || err == nil && got != "content" {
				t.Errorf("%s: %q %v, expected %v", tt.name, got, err, tt.want)
			}
			os.RemoveAll(filepath.Dir(path))
			os.RemoveAll(filepath.Dir(path) + ".old")
		}
	}
}

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	w := newWorld(t, nil)
	fifo := filepath.Join(w.dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, w.dir, "/dev/null"} { // a FIFO that was opened for reading would wait for a writer
		if _, err := opened(t, wrote(w.look(path)), false); !errors.Is(err, errIrregular) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestATreeThatIsBusy(t *testing.T) {
	w := newWorld(t, nil)
	f := w.file("f", "x")
	e := monitor.Event{Kind: monitor.FileRename, Process: nobody, File: w.file("g", "y"), Target: f}
	if got, err := opened(t, &e, true); err != nil || got != "x" {
		t.Errorf("%q %v", got, err)
	}
	lease, err := os.OpenFile(f.Path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Close()
	if _, err := unix.FcntlInt(lease.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Skip("no lease can be had here:", err)
	}
	begin := time.Now()
	if _, err := opened(t, &e, true); !errors.Is(err, unix.EAGAIN) || time.Since(begin) > time.Second {
		t.Errorf("a lease: %v after %s", err, time.Since(begin))
	}
}

// run starts a program that waits, and returns what an event of its exec would say of it.
func run(t *testing.T, cmd *exec.Cmd) *monitor.Process {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	start, err := startOf(uint32(cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return &monitor.Process{PID: uint32(cmd.Process.Pid), StartBoot: start}
}

func copyOf(t *testing.T, program, path string) {
	t.Helper()
	b, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestAnExecutedFileThatWasDeletedIsOpened(t *testing.T) {
	w := newWorld(t, nil)
	path := filepath.Join(w.dir, "cat")
	copyOf(t, "/bin/cat", path)
	f := w.look(path)
	p := run(t, exec.Command(path))
	os.Remove(path)
	e := &monitor.Event{Kind: monitor.Exec, Process: p, File: f}
	if got, err := opened(t, e, false); err != nil || !strings.HasPrefix(got, "\x7fELF") {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	e.File.Inode++ // the process executes something else by now
	if _, err := opened(t, e, false); !errors.Is(err, errReplaced) {
		t.Error(err)
	}
	e.File.Inode, e.Kind = f.Inode, monitor.FileMap
	if _, err := opened(t, e, false); !errors.Is(err, errGone) {
		t.Error(err)
	}
}

func TestAnExecutedLinkLeadsToTheProgram(t *testing.T) {
	w := newWorld(t, nil)
	program := w.file("program", "ELF")
	link := filepath.Join(w.dir, "link")
	os.Symlink("program", link)
	e := &monitor.Event{Kind: monitor.Exec, Process: &monitor.Process{PID: 1 << 30, Exe: program}, File: program}
	e.File.Path = link
	if got, err := opened(t, e, false); err != nil || got != "ELF" {
		t.Errorf("%q %v", got, err)
	}
	os.Remove(link) // the program's own name is enough
	if got, err := opened(t, e, false); err != nil || got != "ELF" {
		t.Errorf("%q %v", got, err)
	}
	os.Symlink("program", link)
	script := &monitor.Event{Kind: monitor.Exec, Process: e.Process, File: monitor.File{Path: link}} // of a script only the path is known
	if got, err := opened(t, script, false); err != nil || got != "ELF" {
		t.Errorf("%q %v", got, err)
	}
}

// inside starts a process whose root is another one, as a container's is.
func inside(t *testing.T) (root string, p *monitor.Process) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("chroot needs root")
	}
	root = t.TempDir()
	for _, dir := range []string{"bin", "data", "lib", "lib64", "usr/lib"} {
		os.MkdirAll(filepath.Join(root, dir), 0o755)
	}
	out, err := exec.Command("ldd", "/bin/cat").Output()
	if err != nil {
		t.Skip("ldd cannot be run:", err)
	}
	copyOf(t, "/bin/cat", root+"/bin/cat")
	for _, field := range strings.Fields(string(out)) {
		if strings.HasPrefix(field, "/") {
			os.MkdirAll(filepath.Dir(root+field), 0o755)
			copyOf(t, field, root+field)
		}
	}
	cmd := exec.Command("/bin/cat")
	cmd.SysProcAttr = &unix.SysProcAttr{Chroot: root}
	return root, run(t, cmd)
}

func TestAFileInAContainerIsOpened(t *testing.T) {
	root, p := inside(t)
	w := newWorld(t, nil)
	os.WriteFile(root+"/data/f", []byte("inside"), 0o600)
	os.Symlink("/data", root+"/way") // which leads elsewhere from our root
	f := w.look(root + "/data/f")
	for _, tt := range []struct {
		name, path, container string
		inode                 uint64
		kind                  monitor.Kind
		start                 time.Duration
		want                  error
	}{
		{"by a path from its root", "/data/f", "", f.Inode, monitor.FileWrite, 0, nil},
		{"in a container", "/data/f", "c", f.Inode, monitor.FileWrite, 0, nil},
		{"over a link", "/way/f", "c", f.Inode, monitor.FileWrite, 0, nil},
		{"another inode", "/data/f", "c", f.Inode + 1, monitor.FileWrite, 0, errReplaced},
		{"script", "/data/f", "c", 0, monitor.Exec, 0, nil},
		{"script of a process that is gone", "/data/f", "c", 0, monitor.Exec, time.Second, errGone},
		{"script that is only outside", "/etc/passwd", "c", 0, monitor.Exec, 0, errGone},
	} {
		q := *p
		q.Container = tt.container
		q.StartBoot += tt.start
		e := &monitor.Event{Kind: tt.kind, Process: &q, File: monitor.File{Path: tt.path, Device: f.Device, Inode: tt.inode}}
		if got, err := opened(t, e, false); !errors.Is(err, tt.want) || err == nil && got != "inside" {
			t.Errorf("%s: %q %v, expected %v", tt.name, got, err, tt.want)
		}
	}
}

// One that wrote a file in a container and ended leaves the process that started it, which sees the same.
func TestAFileOfAProcessThatEndedInAContainerIsOpened(t *testing.T) {
	root, p := inside(t)
	w := newWorld(t, nil)
	os.WriteFile(root+"/data/f", []byte("inside"), 0o600)
	f := w.look(root + "/data/f")
	const gone = 1<<22 + 1 // above the highest pid of Linux
	above := []monitor.Ancestor{{PID: gone}, {PID: p.PID}, {PID: 1}}
	for _, tt := range []struct {
		name      string
		inode     uint64
		ancestors []monitor.Ancestor
		want      error
	}{
		{"through an ancestor", f.Inode, above, nil},
		{"another inode", f.Inode + 1, above, errReplaced},
		{"no inode", 0, above, errGone},
		{"no ancestor inside", f.Inode, []monitor.Ancestor{{PID: 1}, {PID: p.PID}}, errGone},
	} {
		e := &monitor.Event{
			Kind: monitor.FileWrite, Process: &monitor.Process{PID: gone, Ancestors: tt.ancestors},
			File: monitor.File{Path: "/data/f", Device: f.Device, Inode: tt.inode},
		}
		if got, err := opened(t, e, false); !errors.Is(err, tt.want) || err == nil && got != "inside" {
			t.Errorf("%s: %q %v, expected %v", tt.name, got, err, tt.want)
		}
	}
}

// A process inside cannot lead the daemon out with "..".
func TestNothingLeadsOutOfAContainer(t *testing.T) {
	root, _ := inside(t)
	os.Symlink("/../../../../etc", root+"/out")
	h, err := holdBelow(root, "/out/passwd", 0)
	if err == nil {
		h.close()
		t.Error("a link leads out")
	}
	os.MkdirAll(root+"/etc", 0o755)
	os.WriteFile(root+"/etc/passwd", []byte("inside"), 0o600)
	if h, err = holdBelow(root, "/../../etc/passwd", 0); err != nil {
		t.Fatal(err)
	}
	defer h.close()
	var st unix.Stat_t
	if unix.Stat(root+"/etc/passwd", &st) != nil || st.Ino != h.stat.Ino {
		t.Error("another file")
	}
}

func TestOpeningLeavesNoDescriptor(t *testing.T) {
	w := newWorld(t, nil)
	fds := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	f := w.file("f", "x")
	wrong := f
	wrong.Inode++
	before := fds()
	for range 50 {
		opened(t, wrote(f), false)
		opened(t, wrote(wrong), false)
		opened(t, wrote(w.look("/dev/null")), false)
	}
	if after := fds(); after > before+2 {
		t.Errorf("%d descriptors, before %d", after, before)
	}
}

func BenchmarkOpen(b *testing.B) {
	var st unix.Stat_t
	path, _ := filepath.Abs("open_test.go")
	if err := unix.Stat(path, &st); err != nil {
		b.Fatal(err)
	}
	it := &item{occasion: (&Queue{}).keep(wrote(monitor.File{Path: path, Device: uint64(st.Dev), Inode: st.Ino}))}
	b.ReportAllocs()
	for b.Loop() {
		f, err := it.open()
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}
