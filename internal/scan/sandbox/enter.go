package sandbox

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/scan"
)

// socket is the descriptor that the service speaks to the daemon over.
const socket = 3

// cgroupFile is the descriptor by which the stage gets into its control group, where it is given one.
const cgroupFile = 4

// ErrDaemonGone is that the daemon ended before the service was started.
var ErrDaemonGone = errors.New("the daemon that asked for this has ended")

// errNoLoader is that the service is there and cannot be executed, for want of glibc's dynamic loader.
var errNoLoader = errors.New("the dynamic loader of glibc is not on this host")

// stage is what the arguments ask for.
type stage struct {
	service, definitions string
	user, group          int
	asRoot               bool
	memory, scratch      uint64
	nice, daemon         int
	cgroup               bool
	rest                 []string // for the service
}

func parse(args []string) (s stage, err error) {
	flags := flag.NewFlagSet(Argument, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&s.service, "service", "", "")
	flags.StringVar(&s.definitions, "definitions", "", "")
	flags.IntVar(&s.user, "user", -1, "")
	flags.IntVar(&s.group, "group", -1, "")
	flags.BoolVar(&s.asRoot, "as-root", false, "")
	flags.Uint64Var(&s.memory, "memory", 0, "")
	flags.Uint64Var(&s.scratch, "scratch", 0, "")
	flags.IntVar(&s.nice, "nice", 0, "")
	flags.IntVar(&s.daemon, "daemon", 0, "")
	flags.BoolVar(&s.cgroup, "cgroup", false, "")
	if err := flags.Parse(args); err != nil {
		return stage{}, err
	}
	s.rest = flags.Args()
	if s.asRoot {
		s.user, s.group = 0, 0
	} else if s.user <= 0 || s.group <= 0 {
		return stage{}, fmt.Errorf("user %d, group %d: expected those of the scan user", s.user, s.group)
	}
	return s, nil
}

// Enter becomes the service, and returns only where it cannot. The daemon is told why, as a report.
func Enter(args []string) error {
	// All of what follows belongs to a thread, and the one that executes the service is the one that passes it on.
	runtime.LockOSThread()
	s, err := parse(args)
	if err == nil {
		err = s.enter()
	}
	report := scan.Report{Stage: scan.StageSandbox, Cause: scan.RightsMissing, Error: err.Error()}
	if errors.Is(err, errNoLoader) {
		report.Cause = scan.LibraryMissing
	}
	conn, connErr := scan.NewConn(socket)
	if connErr != nil {
		return errors.Join(err, connErr)
	}
	return errors.Join(err, conn.SendReport(report))
}

func (s stage) enter() error {
	grouped := s.cgroup && joinGroup()
	// The user goes through the folders that are made here, whatever the umask of whoever started the daemon, or the trial, was.
	unix.Umask(0o022)
	// A terminal's signals are for the daemon.
	if _, err := unix.Setsid(); err != nil {
		return fmt.Errorf("setsid: %w", err)
	}
	// Where memory ends for all, this is what the host can do without. It may be left out where /proc is not writable.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte(oomScore), 0)
	var made scan.Sandbox
	if separate() {
		made |= scan.SandboxNetwork
	}
	limited := dataLimited(rlimitData) // which is out of sight afterwards
	inside, err := s.mounts()
	if err == nil {
		made |= scan.SandboxMounts
	} else {
		fmt.Fprintln(os.Stderr, "scan-sandbox: no view of the file system of its own:", err)
		inside = view{service: s.service, definitions: s.definitions}
	}
	if err := s.limits(); err != nil {
		return err
	}
	if s.memory != 0 && (limited || grouped) {
		made |= scan.SandboxMemory
	}
	if err := s.becomeUser(); err != nil {
		return err
	}
	made |= scan.SandboxCapabilities
	if made&scan.SandboxMounts == 0 {
		if inside.scratch, err = ownScratch(); err != nil {
			return err
		}
		if err := restrictPaths(inside); err == nil {
			made |= scan.SandboxPaths
		} else {
			fmt.Fprintln(os.Stderr, "scan-sandbox: files of the host can be read as far as the user may:", err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil { // here: a change of user takes it back
		return fmt.Errorf("prctl PR_SET_PDEATHSIG: %w", err)
	}
	if os.Getppid() != s.daemon { // it ended before the kernel could promise to tell
		return ErrDaemonGone
	}
	if err := closeOthers(); err != nil {
		return err
	}
	return s.execute(inside, made)
}

// joinGroup gets into the control group. Where that is refused, the limits of setrlimit(2) are all there is.
func joinGroup() bool {
	f := os.NewFile(cgroupFile, "cgroup.procs")
	_, err := f.WriteString("0") // this process
	if err = errors.Join(err, f.Close()); err != nil {
		fmt.Fprintln(os.Stderr, "scan-sandbox: no control group of its own:", err)
		return false
	}
	return true
}

// separate gives the process namespaces of its own, as many as it is allowed. True is returned for that of the network.
func separate() (network bool) {
	for _, n := range []struct {
		flag int
		what string
	}{{unix.CLONE_NEWIPC, "IPC"}, {unix.CLONE_NEWUTS, "host name"}, {unix.CLONE_NEWNET, "network"}} {
		if err := unix.Unshare(n.flag); err != nil {
			fmt.Fprintf(os.Stderr, "scan-sandbox: no %s namespace: %v\n", n.what, err)
		} else {
			network = network || n.flag == unix.CLONE_NEWNET
		}
	}
	return network
}

// oomScore is half of what makes a process the first to be killed for want of memory (proc(5)).
const oomScore = "500"

// Limits that are the same for all: descriptors, and threads of the user; stacks of threads, which archives in archives make use of.
const (
	maxDescriptors = 256
	maxThreads     = 512
	stackBytes     = 8 << 20
)

func (s stage) limits() error {
	for _, l := range []struct {
		what  int
		value uint64
	}{
		{unix.RLIMIT_CORE, 0}, // it would be full of the files that are scanned
		{unix.RLIMIT_NOFILE, maxDescriptors},
		{unix.RLIMIT_NPROC, maxThreads},
		{unix.RLIMIT_STACK, stackBytes},
		{unix.RLIMIT_FSIZE, s.scratch},
		{unix.RLIMIT_MEMLOCK, 0},
	} {
		if err := setLimit(l.what, l.value); err != nil {
			return err
		}
	}
	if err := Lower(s.nice); err != nil {
		return err
	}
	if s.memory == 0 {
		return nil
	}
	return setLimit(unix.RLIMIT_DATA, s.memory)
}

func setLimit(what int, value uint64) error {
	if err := unix.Setrlimit(what, &unix.Rlimit{Cur: value, Max: value}); err != nil {
		return fmt.Errorf("setrlimit %d to %d: %w", what, value, err)
	}
	return nil
}

// rlimitData came with Linux 4.7, which counts private writable memory by RLIMIT_DATA; before, only what brk(2) gave. To try it out would
// leave a line in the kernel's log that reads like trouble.
const rlimitData = "/sys/module/kernel/parameters/ignore_rlimit_data"

// dataLimited is whether the kernel is known to refuse memory beyond RLIMIT_DATA, by the file at path.
func dataLimited(path string) bool {
	b, err := os.ReadFile(path)
	return err == nil && strings.TrimSpace(string(b)) == "N"
}

// closeOthers closes all descriptors that the service is not given. Go opens none that a program inherits; the daemon's parent may have.
func closeOthers() error {
	if err := unix.CloseRange(socket+1, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err == nil {
		return nil
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("getrlimit: %w", err)
	}
	for fd := socket + 1; fd < max(int(limit.Cur), inheritedDescriptors); fd++ { // before Linux 5.9
		unix.CloseOnExec(fd)
	}
	return nil
}

// inheritedDescriptors is up to which number descriptors are looked for that were opened under a higher limit.
const inheritedDescriptors = 4096

// execute replaces this program with the service.
func (s stage) execute(inside view, made scan.Sandbox) error {
	args := append([]string{
		"ampscansvc", "--definitions=" + inside.definitions, "--scratch=" + inside.scratch,
		"--sandbox=" + strconv.FormatUint(uint64(made), 10),
	}, s.rest...)
	// Each further arena of malloc(3) would count against the limit on memory with addresses that it may never use.
	environment := []string{"PATH=/nonexistent", "MALLOC_ARENA_MAX=2"}
	if err := unix.Access(inside.service, unix.X_OK); err != nil {
		return fmt.Errorf("%s, seen as %s: %w", s.service, inside.service, err)
	}
	err := syscall.Exec(inside.service, args, environment)
	if errors.Is(err, unix.ENOENT) {
		err = errNoLoader
	}
	return fmt.Errorf("exec %s: %w", strings.Join(args, " "), err)
}

// Lower sets the nice value of the calling thread, unless it is higher already, as where an administrator has set it for the whole service: to go back
// needs a right that the daemon has not.
func Lower(nice int) error {
	if raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil && 20-raw >= nice { // the system call gives 20 - nice
		return nil
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, nice); err != nil {
		return fmt.Errorf("setpriority %d: %w", nice, err)
	}
	return nil
}
