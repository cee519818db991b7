package monitor

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// The test's own process and a child of it, read from the machine's proc(5).
func TestProcessesOfThisMachine(t *testing.T) {
	child := exec.Command("cat", "-")
	child.Dir = "/usr"
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); child.Wait() }()
	// Its arguments are there only when it runs: Start returns a little before.
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	table := NewProcesses(ProcessesOptions{Labels: true})
	p := table.Read(uint32(child.Process.Pid))
	if p == nil {
		t.Fatal("the child is not there")
	}
	if p.PPID != uint32(os.Getpid()) || p.UID != uint32(os.Getuid()) || p.Exe.Inode == 0 || p.StartBoot == 0 || p.Directory != "/usr" || !slices.Equal(p.Args, []string{"cat", "-"}) {
		t.Errorf("%+v", p)
	}
	if age := time.Since(p.Start); age < -time.Second || age > time.Minute {
		t.Errorf("it started %v ago", age)
	}
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Ancestors) < 2 || p.Ancestors[0].PID != uint32(os.Getpid()) || p.Ancestors[0].Exe != self || p.Ancestors[1].PID != uint32(os.Getppid()) {
		t.Errorf("ancestors %+v", p.Ancestors)
	}
	if table.Current(p.PID) != p || table.Current(1<<30) != nil {
		t.Error("the table does not find it by its pid")
	}
	id := ProcessID{PID: p.PID, Start: p.StartBoot + 3*time.Millisecond}
	q := table.Of(&Sight{ID: id, UID: p.UID, EUID: p.EUID, AUID: p.AUID, Time: id.Start + time.Minute})
	if q != p || q.StartBoot != id.Start {
		t.Errorf("an event that tells the start more exactly: %+v", q)
	}
	stranger := table.Of(&Sight{ID: ProcessID{PID: p.PID, Start: id.Start - time.Second}, Comm: "x", Time: id.Start})
	if stranger == q || stranger.Exe.Path != "" {
		t.Errorf("another process of the same pid got %+v", stranger)
	}
}

// tree is a proc(5) of recorded processes.
type tree struct {
	t    *testing.T
	root string
}

func newTree(t *testing.T) tree { return tree{t, t.TempDir()} }

// add makes a process that started so many ticks after the boot.
func (p tree) add(pid, ppid int, comm, exe string, ticks int, cgroup string) {
	p.t.Helper()
	dir := filepath.Join(p.root, fmt.Sprint(pid))
	if err := os.MkdirAll(dir+"/attr", 0o755); err != nil {
		p.t.Fatal(err)
	}
	stat := fmt.Sprintf("%d (%s) S %d 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %d 1 2 3", pid, comm, ppid, ticks)
	for name, text := range map[string]string{
		"stat": stat, "cmdline": comm + "\x00-x\x00", "cgroup": cgroup, "loginuid": "1001", "attr/current": "u:r:" + comm + "_t:s0\x00",
		"status": "Name:\t" + comm + "\nUmask:\t0022\nUid:\t5\t6\t7\t8\n",
	} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"exe": exe, "cwd": "/home/" + comm} {
		os.Remove(dir + "/" + name)
		if err := os.Symlink(to, dir+"/"+name); err != nil {
			p.t.Fatal(err)
		}
	}
}

// table was opened at 100 s, and proc(5) is read at 200 s.
func (p tree) table(o ProcessesOptions) *Processes {
	now := 100 * time.Second
	o.Proc, o.Boot = p.root, func() time.Duration { return now }
	o.Wall = func(boot time.Duration) time.Time { return at.Add(boot) }
	t := NewProcesses(o)
	now = 200 * time.Second
	return t
}

func sight(pid uint32, start time.Duration, ppid uint32, parentStart time.Duration, comm string, at time.Duration) *Sight {
	return &Sight{ID: ProcessID{pid, start}, Parent: ProcessID{ppid, parentStart}, UID: 10, EUID: 11, AUID: 12, Comm: comm, ParentComm: "sh", Time: at}
}

const second = time.Second

func TestProcessFromBefore(t *testing.T) {
	p := newTree(t)
	p.add(1, 0, "systemd", "/usr/lib/systemd/systemd", 1, "0::/init.scope\n")
	p.add(50, 1, "sh", "/bin/dash", 1000, "0::/a\n")
	p.add(60, 50, "odd) (x", "/opt/odd", 2000, "0::/system.slice/docker-"+containerID+".scope\n")
	table := p.table(ProcessesOptions{Labels: true})
	got := table.Of(sight(60, 20*second+1234, 50, 10*second+5, "odd) (x", 150*second)).Clone()
	want := Process{
		PID: 60, PPID: 50, UID: 10, EUID: 11, AUID: 12, Start: at.Add(20*second + 1234), StartBoot: 20*second + 1234, Comm: "odd) (x", Parent: "sh",
		Exe: File{Path: "/opt/odd"}, Args: []string{"odd) (x", "-x"}, Directory: "/home/odd) (x", Container: containerID, Label: "",
		Ancestors: []Ancestor{{50, 10*second + 5, "/bin/dash"}, {1, 10 * time.Millisecond, "/usr/lib/systemd/systemd"}},
	}
	if !got.Equal(want) {
		t.Errorf("%+v\nexpected %+v", got, want)
	}
	// The parent is known now, and needs no look into proc(5).
	opened := table.proc.opened
	parent := table.Of(&Sight{ID: ProcessID{50, 10*second + 5}, UID: 5, EUID: 6, AUID: 1001, Time: 150 * second})
	if table.proc.opened != opened || parent.Exe.Path != "/bin/dash" || parent.Label != "u:r:sh_t:s0" || parent.Parent != "systemd" {
		t.Errorf("%+v", parent)
	}
}

func TestReusedPIDLendsNothing(t *testing.T) {
	p := newTree(t)
	p.add(60, 50, "new", "/bin/new", 9000, "0::/\n")
	p.add(50, 60, "late", "/bin/late", 9500, "0::/\n") // made after its would-be child
	table := p.table(ProcessesOptions{})
	got := table.Of(sight(60, 20*second, 50, 0, "old", 150*second))
	if got.Exe.Path != "" || got.Args != nil || got.Directory != "" || got.Comm != "old" {
		t.Errorf("%+v", got)
	}
	if want := (Ancestor{PID: 50, Exe: "sh"}); len(got.Ancestors) != 1 || got.Ancestors[0] != want {
		t.Errorf("%+v, expected %+v", got.Ancestors, want)
	}
}

func TestForkWithoutExec(t *testing.T) {
	p := newTree(t)
	table := p.table(ProcessesOptions{})
	run := func(exe string, start, now time.Duration) {
		table.Exec(sight(50, start, 1, 0, "sh", now), &Execution{Exe: File{Path: exe, Inode: 7}, Args: []string{"sh", "-c"}, Directory: "/d"})
	}
	run("/bin/dash", 110*second, 110*second)
	got := table.Of(sight(51, 111*second, 50, 110*second, "sh", 111*second)).Clone()
	if got.Exe.Path != "/bin/dash" || got.Exe.Inode != 7 || !slices.Equal(got.Args, []string{"sh", "-c"}) || got.Directory != "/d" || got.PPID != 50 || got.Ancestors[0].Exe != "/bin/dash" {
		t.Errorf("a fork: %+v", got)
	}
	// The next child is from before the parent's second exec: what it executes is what the parent did execute.
	run("/bin/other", 110*second, 115*second)
	if got := table.Of(sight(52, 114*second, 50, 110*second, "sh", 115*second)); got.Exe.Path != "" {
		t.Errorf("a fork from before the exec got %q", got.Exe.Path)
	}
	if got := table.Of(sight(53, 116*second, 50, 110*second, "sh", 116*second)); got.Exe.Path != "/bin/other" {
		t.Errorf("a fork from after the exec got %q", got.Exe.Path)
	}
	if got := table.Of(sight(54, 116*second, 50, 110*second, "ls", 116*second)); got.Exe.Path != "" {
		t.Errorf("a process that calls itself otherwise than its parent got %q", got.Exe.Path)
	}
	orphan := table.Of(sight(51, 111*second, 1, 0, "sh", 120*second))
	if orphan.PPID != 50 || orphan.Parent != "sh" || orphan.Ancestors[0].PID != 50 {
		t.Errorf("an orphan: %+v", orphan)
	}
}

func TestExecOfKnownProcess(t *testing.T) {
	table := newTree(t).table(ProcessesOptions{})
	table.Exec(sight(50, 110*second, 1, 0, "sh", 110*second), &Execution{Exe: File{Path: "/bin/dash"}, Args: []string{"sh"}, Directory: "/a"})
	p := table.Of(sight(51, 111*second, 50, 110*second, "sh", 111*second))
	forked := p.version
	q := table.Exec(sight(51, 111*second, 50, 110*second, "ls", 111*second), &Execution{Exe: File{Path: "/bin/ls", Truncated: true}, Args: []string{"ls", strings.Repeat("x", 5000), "z"}, Directory: "/b"})
	if p != q || q.version == forked || q.Exe.Path != "/bin/ls" || !q.Exe.Truncated || q.Comm != "ls" || q.Directory != "/b" || len(q.Args) != 2 || len(q.Args[1]) != maxArgsBytes-3 {
		t.Errorf("%+v", q)
	}
	version := q.version
	if table.Of(sight(51, 111*second, 50, 110*second, "ls", 112*second)).version != version {
		t.Error("an event that says nothing new is a change")
	}
	s := sight(51, 111*second, 50, 110*second, "ls", 112*second)
	s.EUID = 0
	if got := table.Of(s); got.version == version || got.EUID != 0 || got.Exe.Path != "/bin/ls" {
		t.Errorf("credentials: %+v", got)
	}
}

// A lost exec shows in the name of a process, and is made up for from proc(5), but not again and again.
func TestLostExec(t *testing.T) {
	p := newTree(t)
	table := p.table(ProcessesOptions{})
	table.Exec(sight(50, 110*second, 1, 0, "sh", 110*second), &Execution{Exe: File{Path: "/bin/dash"}})
	p.add(50, 1, "perl", "/bin/perl", 11000, "0::/\n")
	if got := table.Of(sight(50, 110*second, 1, 0, "perl", 111*second)); got.Exe.Path != "/bin/dash" {
		t.Errorf("a process that changes its name before its exec is told got %q", got.Exe.Path)
	}
	table.Of(sight(50, 110*second, 1, 0, "x", 111*second))
	if got := table.Of(sight(50, 110*second, 1, 0, "perl", 120*second)); got.Exe.Path != "/bin/perl" {
		t.Errorf("executes %q", got.Exe.Path)
	}
	opened := table.proc.opened
	for i := range 100 {
		table.Of(sight(50, 110*second, 1, 0, fmt.Sprint("name", i), 300*second))
	}
	if n := table.proc.opened - opened; n > maxChecks {
		t.Errorf("%d looks into proc(5)", n)
	}
}

func TestContainersOfProcesses(t *testing.T) {
	p := newTree(t)
	table := p.table(ProcessesOptions{})
	see := func(pid uint32, start time.Duration, cgroup uint64, comm string) *Process {
		s := sight(pid, start, 50, 110*second, comm, start)
		s.Cgroup = cgroup
		return table.Of(s)
	}
	s := sight(50, 110*second, 1, 0, "sh", 110*second)
	s.Cgroup = 5
	table.Exec(s, &Execution{Exe: File{Path: "/bin/dash"}})
	p.add(51, 50, "sh", "/bin/dash", 11100, "0::/docker/"+containerID+"\n")
	if got := see(51, 111*second, 6, "sh"); got.Container != containerID || got.Exe.Path != "/bin/dash" {
		t.Errorf("%+v", got)
	}
	opened := table.proc.opened
	if got := see(52, 111*second, 6, "sh"); got.Container != containerID { // it is not even in proc(5)
		t.Errorf("another of the same cgroup: %+v", got)
	}
	if got := see(53, 111*second, 5, "sh"); got.Container != "" {
		t.Errorf("outside: %+v", got)
	}
	if got := see(53, 111*second, 6, "sh"); got.Container != containerID {
		t.Errorf("after it was moved: %+v", got)
	}
	if table.proc.opened != opened {
		t.Error("known cgroups were read again")
	}
}

// Where there are hierarchies beside the unified one, its id says nothing.
func TestContainersOfLegacyHierarchies(t *testing.T) {
	p := newTree(t)
	p.add(50, 1, "dockerd", "/usr/bin/dockerd", 1000, "3:memory:/system.slice/docker.service\n0::/system.slice/docker.service\n")
	table := p.table(ProcessesOptions{})
	s := sight(50, 10*second, 1, 0, "dockerd", 150*second)
	s.Cgroup = 1
	table.Of(s)
	runc := sight(51, 160*second, 50, 10*second, "runc:[2:INIT]", 160*second)
	runc.Cgroup, runc.ParentComm = 1, "dockerd"
	table.Exec(runc, &Execution{Exe: File{Path: "/usr/bin/runc"}})
	p.add(51, 50, "nginx", "/usr/sbin/nginx", 16000, "3:memory:/docker/"+containerID+"\n0::/system.slice/docker.service\n")
	s = sight(51, 160*second, 50, 10*second, "nginx", 161*second)
	s.Cgroup = 1
	if got := table.Exec(s, &Execution{Exe: File{Path: "/usr/sbin/nginx"}}); got.Container != containerID {
		t.Errorf("%+v", got)
	}
	opened := table.proc.opened
	child := sight(52, 162*second, 51, 160*second, "nginx", 162*second)
	child.Cgroup = 1
	if got := table.Of(child); got.Container != containerID || got.Exe.Path != "/usr/sbin/nginx" || table.proc.opened != opened {
		t.Errorf("its child: %+v", got)
	}
}

func TestAncestors(t *testing.T) {
	table := newTree(t).table(ProcessesOptions{})
	long := "/" + strings.Repeat("x", maxAncestorPath)
	for pid := uint32(2); pid < 20; pid++ {
		start := 110*second + time.Duration(pid)
		exe := fmt.Sprint("/bin/", pid)
		if pid == 17 {
			exe = long
		}
		table.Exec(sight(pid, start, pid-1, start-1, fmt.Sprint("comm", pid), start), &Execution{Exe: File{Path: exe}})
	}
	got := table.Current(19)
	if len(got.Ancestors) != maxAncestors || got.Ancestors[0].Exe != "/bin/18" || got.Ancestors[1].Exe != "comm17" || got.Ancestors[7].Exe != "/bin/11" || got.Ancestors[7].PID != 11 {
		t.Errorf("%+v", got.Ancestors)
	}
}

func TestEndedProcessIsRememberedForAWhile(t *testing.T) {
	table := newTree(t).table(ProcessesOptions{Limit: 64})
	living := sight(1, 109*second, 0, 0, "init", 110*second)
	table.Exec(living, &Execution{Exe: File{Path: "/sbin/init"}})
	for pid := uint32(2); pid < 300; pid++ {
		s := sight(pid, 110*second, 1, 109*second, "x", 110*second)
		table.Exec(s, &Execution{Exe: File{Path: "/bin/x"}})
		table.Exit(s.ID)
		if table.Current(pid) != nil {
			t.Fatalf("%d has not ended", pid)
		}
		if pid > 20 {
			late := sight(pid-10, 110*second, 1, 109*second, "x", 111*second)
			if got := table.Of(late); got.Exe.Path != "/bin/x" {
				t.Fatalf("%d executed %q", pid-10, got.Exe.Path)
			}
		}
		table.Of(living)
	}
	if got := table.Current(1); got == nil || got.Exe.Path != "/sbin/init" || table.Len() > 64 {
		t.Errorf("%+v, %d are remembered", got, table.Len())
	}
}

// Processes that come and go leave one that is quiet in its place, for longer than they stay.
func TestEndedGoFirst(t *testing.T) {
	table := newTree(t).table(ProcessesOptions{Limit: 64})
	x := &Execution{Exe: File{Path: "/bin/x"}}
	for pid := uint32(1); pid < 200; pid++ {
		if pid == 64 {
			table.Exec(sight(1_000_000, 110*second, 0, 0, "quiet", 110*second), x)
		}
		s := sight(pid, 110*second, 0, 0, "x", 110*second)
		table.Exec(s, x)
		table.Exit(s.ID)
		if pid == 64+100 && table.Current(1_000_000) == nil {
			t.Error("the quiet one was forgotten")
		}
	}
}

// What a source's buffers hold afterwards must not show in the table.
func TestStringsAreCopied(t *testing.T) {
	table := newTree(t).table(ProcessesOptions{})
	buffer := []byte("comm/exe/path/argument/directory")
	text := func(from, to int) string { return unsafe.String(&buffer[from], to-from) }
	s := sight(50, 110*second, 1, 0, text(0, 4), 110*second)
	s.ParentComm = text(0, 2)
	p := table.Exec(s, &Execution{Exe: File{Path: text(4, 13)}, Args: []string{text(14, 22)}, Directory: text(22, 32)})
	copy(buffer, bytes.Repeat([]byte{'?'}, len(buffer)))
	if p.Comm != "comm" || p.Parent != "co" || p.Exe.Path != "/exe/path" || p.Args[0] != "argument" || p.Directory != "/directory" {
		t.Errorf("%+v", p)
	}
}

// A sight may be made from what the table handed out, though that is forgotten for the new one.
func TestStringsOfTheTableItself(t *testing.T) {
	p := newTree(t)
	for pid := range 60 {
		p.add(1000+pid, 0, strings.Repeat("y", 15), "/"+strings.Repeat("z", 100), 100, "0::/\n")
	}
	table := p.table(ProcessesOptions{Limit: 64})
	for pid := uint32(1); pid < 60; pid++ {
		other := ProcessID{pid + 2000, 110 * second}
		table.Exec(sight(other.PID, other.Start, 0, 0, "other", 110*second), &Execution{Exe: File{Path: "/bin/other"}})
		last := table.Exec(sight(pid, 110*second, 0, 0, fmt.Sprint("comm", pid), 110*second), &Execution{Exe: File{Path: "/bin/x"}, Directory: "/" + strings.Repeat("d", 1000)})
		s := sight(pid+500, 111*second, pid+1000, 1*second, last.Comm, 111*second)
		s.ParentComm = "parent" + last.Comm
		x := Execution{Exe: File{Path: last.Exe.Path}, Directory: last.Directory}
		table.drop(table.find(ProcessID{pid, 110 * second}))
		if pid%2 == 0 { // the new process gets its place, and the parent that is read that of the other
			table.drop(table.find(other))
		}
		got := table.Exec(s, &x)
		if got.Comm != fmt.Sprint("comm", pid) || got.Exe.Path != "/bin/x" || got.Directory != "/"+strings.Repeat("d", 1000) || got.Ancestors[0].Exe != "/"+strings.Repeat("z", 100) {
			t.Fatalf("%d: %+v", pid, got)
		}
	}
}

// Where there is hardly any memory, the process that is asked for is known all the same, with its ancestors.
func TestTinyTable(t *testing.T) {
	p := newTree(t)
	deep := "/" + strings.Repeat("z/", 1500)
	for pid := 1; pid < 10; pid++ {
		p.add(pid, pid-1, "sh", deep, pid, "0::/\n")
	}
	table := p.table(ProcessesOptions{Limit: 64, Bytes: 10_000})
	for pid := uint32(10); pid < 200; pid++ {
		got := table.Exec(sight(pid, 110*second, 9, 90*time.Millisecond, "x", 110*second), &Execution{Exe: File{Path: deep}, Directory: deep})
		if got.PID != pid || got.Exe.Path != deep || got.Ancestors[0].PID != 9 {
			t.Fatalf("%d: %+v", pid, got)
		}
	}
	table = p.table(ProcessesOptions{})
	table.Exec(sight(199, 110*second, 0, 0, "x", 110*second), &Execution{Exe: File{Path: deep}, Directory: deep})
	before := table.Memory()
	table.drop(table.find(ProcessID{199, 110 * second})) // what is large is not kept for the next one
	if freed := before - table.Memory(); freed < 2*len(deep) {
		t.Errorf("%d bytes were freed", freed)
	}
}

func TestKnownProcessCostsNoAllocation(t *testing.T) {
	table := newTree(t).table(ProcessesOptions{Limit: 256})
	s := sight(50, 110*second, 0, 0, "sh", 110*second)
	x := &Execution{Exe: File{Path: "/bin/dash"}, Args: []string{"sh", "-c", "x"}, Directory: "/"}
	table.Exec(s, x)
	for name, f := range map[string]func(){
		"event":         func() { table.Of(s) },
		"exec":          func() { table.Exec(s, x) },
		"change":        func() { s.UID++; table.Of(s) },
		"fork and exit": func() { s.ID.PID++; table.Exec(s, x); table.Exit(s.ID) },
	} {
		for range 1000 {
			f()
		}
		if n := testing.AllocsPerRun(1000, f); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// A fork bomb of processes that nothing is known of, and a host with very many processes.
func TestManyProcesses(t *testing.T) {
	const processes = 100_000
	table := newTree(t).table(ProcessesOptions{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most := 0
	for i := range uint32(processes) {
		s := sight(i+2, 110*second+time.Duration(i)*time.Microsecond, 1, 0, fmt.Sprint("bomb", i), 111*second)
		table.Of(s)
		if i%3 == 0 {
			table.Exec(s, &Execution{Exe: File{Path: "/" + strings.Repeat("d/", 1500)}, Args: []string{strings.Repeat("a", 400)}, Directory: "/" + strings.Repeat("e/", int(i)%2000)})
		}
		most = max(most, table.Memory())
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	const cap = 6_000_000
	heap := int(after.HeapAlloc) - int(before.HeapAlloc)
	t.Logf("%d processes remembered, %d bytes counted (at most %d), %d on the heap, %d looks into proc(5)", table.Len(), table.Memory(), most, heap, table.proc.opened)
	if most > cap || heap > cap {
		t.Errorf("%d bytes were counted, %d are on the heap, expected at most %d", most, heap, cap)
	}
	if table.proc.opened > processReads*(readBurst+2) {
		t.Errorf("%d looks into proc(5)", table.proc.opened)
	}
	runtime.KeepAlive(table)
}

// What the budget did not allow at first is read later.
func TestSpentBudget(t *testing.T) {
	p := newTree(t)
	p.add(60, 1, "old", "/bin/old", 2000, "0::/\n")
	table := p.table(ProcessesOptions{Reads: 1})
	for pid := range uint32(readBurst) {
		table.Of(sight(pid+100, 20*second, 0, 0, "x", 150*second))
	}
	if got := table.Of(sight(60, 20*second, 0, 0, "old", 150*second)); got.Exe.Path != "" {
		t.Fatalf("beyond the budget: %+v", got)
	}
	if got := table.Of(sight(60, 20*second, 0, 0, "old", 152*second)); got.Exe.Path != "/bin/old" {
		t.Errorf("%+v", got)
	}
	if table.Read(61) != nil {
		t.Error("a process that is not there")
	}
}

func BenchmarkProcesses(b *testing.B) {
	table := NewProcesses(ProcessesOptions{})
	s := sight(50, 110*second, 1, 0, "sh", 110*second)
	x := &Execution{Exe: File{Path: "/usr/bin/dash"}, Args: []string{"sh", "-c", "x"}, Directory: "/root"}
	s.Parent.PID = 0
	s.ID.Start = table.opened + 1
	s.Time = s.ID.Start
	table.Exec(s, x)
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			table.Of(s)
		}
	})
	b.Run("exec", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			table.Exec(s, x)
		}
	})
	b.Run("fork", func(b *testing.B) {
		b.ReportAllocs()
		parent := s.ID
		c := *s
		c.Parent = parent
		for b.Loop() {
			table.Of(s)
			c.ID.PID++
			table.Of(&c)
			table.Exit(c.ID)
		}
	})
}

// Whoever starts programs, and does nothing else, stays known, however many it starts: it would have to be read from proc(5) anew else.
func TestProcessesKeepParents(t *testing.T) {
	table := NewProcesses(ProcessesOptions{Limit: smallestTable, Proc: t.TempDir()})
	x := &Execution{Exe: File{Path: "/usr/bin/dash"}}
	shell := sight(50, 110*second, 0, 0, "sh", 110*second)
	table.Exec(shell, x)
	for n := range uint32(20 * smallestTable) {
		at := 120*second + time.Duration(n)
		child := sight(1000+n, at, 50, 110*second, "true", at)
		if p := table.Exec(child, x); len(p.Ancestors) != 1 || p.Ancestors[0].Exe != "/usr/bin/dash" {
			t.Fatalf("child %d has the ancestors %+v", n, p.Ancestors)
		}
		table.Exit(child.ID)
	}
	if table.proc.opened != 0 {
		t.Errorf("%d processes were looked for in proc(5)", table.proc.opened)
	}
}
