// Package sandbox starts the scan service with nothing that it does not need. The daemon executes itself once more ("ampdaemon
// scan-sandbox …"); that process, which has one thread to care for and all rights of the daemon still, makes namespaces, a view of the
// file system, limits, becomes the scan user, and then executes the service: a program with a C library, as the service is, could do
// that for its own threads no more. What a kernel or a container does not allow is left out, and told in the service's report.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"github.com/ampconnector/amp/internal/scan"
)

// Argument is the daemon's first argument when it is to call Enter.
const Argument = "scan-sandbox"

// Options say what is started, and what it may have.
type Options struct {
	Executable  string   // the daemon's own program, whose main calls Enter; /proc/self/exe stays the same over an upgrade
	Service     string   // program of the service
	Definitions string   // directory; the user must be able to read it
	User, Group uint32   // ids of the scan user; not used with AsRoot
	AsRoot      bool     // uid 0, all the same without a capability
	Workers     int      // scans that run side by side; 0 is 2
	Nice        int      // see nice(2), 0 to 19
	Check       bool     // the service ends after its report: a trial load
	Log         *os.File // gets what the service says on standard error, of each process 1 MiB; stays the caller's; nil for none

	// Memory is how much private memory the service may have, in bytes, what the program itself takes (see Overhead) not counted; 0 for no
	// limit. Beside the definitions it has to hold, for each worker, addresses for a whole file, and for what is unpacked of it: the
	// library keeps them while it reads. Where they are refused, that scan fails, "Can't allocate memory".
	Memory uint64

	// Cgroup is the file by which the process gets into a control group, before it does anything else; nil for none.
	Cgroup *os.File

	// Scratch is how much unpacked archives may take, in bytes; 0 is 512 MiB. They are memory too, and count in a cgroup(7). When it is
	// full, the scan fails, "Can't write to file".
	Scratch uint64
}

// Overhead is private memory in bytes that RLIMIT_DATA counts and that is not the engine's: the Go runtime's, and stacks, which count as
// large as they may grow. With two workers and an engine of next to nothing, 76 to 85 MB were seen.
func Overhead(workers int) uint64 { return 96<<20 + uint64(workers)*stackBytes }

// kernelMemory is what the kernel keeps for the service, in bytes, and counts in a cgroup(7): page tables of the engine's memory, 2 MiB each GiB, and
// sockets; and what it needs of the page cache to go on.
const kernelMemory = 64 << 20

// MemoryMax is what the service may take of memory by its own limits together, in bytes, for a control group: what is beyond that was
// taken past them. 0 is no limit.
func (o Options) MemoryMax() uint64 {
	if o.Memory == 0 {
		return 0
	}
	o = o.withDefaults()
	return o.Memory + Overhead(o.Workers) + o.Scratch + kernelMemory
}

func (o Options) withDefaults() Options {
	if o.Scratch == 0 {
		o.Scratch = defaultScratch
	}
	if o.Workers == 0 {
		o.Workers = defaultWorkers
	}
	return o
}

const (
	defaultScratch = 512 << 20
	defaultWorkers = 2
)

// Process is a started service. Its report is the first message that Conn has; a process that ends before has it closed.
type Process struct {
	PID  int
	Conn *scan.Conn

	process *os.Process
	words   *words
	ended   chan struct{}
	state   *os.ProcessState
	err     error
}

// Start starts the service, which ends when the daemon does, when Conn is closed, or when ctx is done. It does not wait for its report.
func Start(ctx context.Context, o Options) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	conn, theirs, err := scan.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	defer null.Close()
	words, mouth, err := listen(o.Log, maxWords)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	defer mouth.Close()
	p := &Process{Conn: conn, words: words, ended: make(chan struct{})}
	started := make(chan error)
	files := []*os.File{null, null, mouth, theirs}
	if o.Cgroup != nil {
		files = append(files, o.Cgroup)
	}
	go p.run(ctx, o, &os.ProcAttr{Dir: "/", Env: []string{}, Files: files}, started)
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", o.Executable, err), conn.Close())
	}
	return p, nil
}

// run starts the process and waits for its end, on one thread: the kernel ends the process with the thread that started it
// (PR_SET_PDEATHSIG), and this one lives as long as the process or the daemon.
func (p *Process) run(ctx context.Context, o Options, attr *os.ProcAttr, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var err error
	if p.process, err = os.StartProcess(o.Executable, append([]string{o.Executable, Argument}, o.arguments()...), attr); err != nil {
		started <- err
		return
	}
	p.PID = p.process.Pid
	// Where it cannot be killed there is nobody to tell; the caller waits for its end in any case.
	stop := context.AfterFunc(ctx, func() { _ = p.Kill() })
	defer stop()
	started <- nil
	p.state, p.err = p.process.Wait()
	p.words.end()
	close(p.ended)
}

// Wait waits for the process's end and says how it ended. It may be called more than once.
func (p *Process) Wait() (*os.ProcessState, error) {
	<-p.ended
	return p.state, p.err
}

// Shortage waits for the process's end and says what it named itself as what it had too little of; "" where it named nothing.
func (p *Process) Shortage() string {
	<-p.ended
	return p.words.shortage
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Kill ends the process by SIGKILL. That it has ended already is no error.
func (p *Process) Kill() error {
	if err := p.process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	return nil
}

// arguments are what the stage in between is told; see parse.
func (o Options) arguments() []string {
	o = o.withDefaults()
	limit := o.Memory
	if limit > 0 {
		limit += Overhead(o.Workers)
	}
	args := []string{
		"--service=" + o.Service, "--definitions=" + o.Definitions,
		fmt.Sprintf("--user=%d", o.User), fmt.Sprintf("--group=%d", o.Group), "--as-root=" + strconv.FormatBool(o.AsRoot),
		fmt.Sprintf("--memory=%d", limit), fmt.Sprintf("--scratch=%d", o.Scratch), fmt.Sprintf("--nice=%d", o.Nice),
		fmt.Sprintf("--daemon=%d", os.Getpid()), "--cgroup=" + strconv.FormatBool(o.Cgroup != nil), "--",
		fmt.Sprintf("--workers=%d", o.Workers),
	}
	if o.Check {
		args = append(args, "--check")
	}
	return args
}
