package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/supervise"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

const actAsService = "AMP_TEST_ACTS_AS_SCAN_SERVICE"

func TestMain(m *testing.M) {
	if os.Getenv(actAsService) != "" {
		serve()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// connection is a socket of which each message is JSON.
func connection(fd uintptr) *net.UnixConn {
	f := os.NewFile(fd, "socket")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		panic(err)
	}
	return c.(*net.UnixConn)
}

// serve is a scan service: a process that gets descriptors, and ends on a file that says so.
func serve() {
	c := connection(3)
	say := func(v any) {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		if _, err := c.Write(b); err != nil {
			os.Exit(4)
		}
	}
	say(scan.Report{Stage: scan.StageReady, Engine: "test", Workers: 2})
	buf, oob := make([]byte, scan.MaxMessage), make([]byte, 64)
	for {
		n, on, _, _, err := c.ReadMsgUnix(buf, oob)
		if err != nil || n == 0 {
			os.Exit(0)
		}
		var r scan.Request
		messages, err := unix.ParseSocketControlMessage(oob[:on])
		if err != nil || json.Unmarshal(buf[:n], &r) != nil {
			os.Exit(5)
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil {
			os.Exit(6)
		}
		go func() {
			f := os.NewFile(uintptr(fds[0]), "file")
			defer f.Close()
			content, _ := io.ReadAll(f)
			a := scan.Answer{ID: r.ID, Result: scan.Clean}
			switch {
			case bytes.Contains(content, []byte("POISON")):
				unix.Kill(os.Getpid(), unix.SIGKILL)
			case bytes.Contains(content, []byte("EICAR")):
				a.Result, a.Name = scan.Infected, "Eicar-Test"
			}
			say(a)
		}()
	}
}

// process is such a service, from the daemon's side.
type process struct {
	cmd *exec.Cmd
	c   *net.UnixConn
}

func startProcess(context.Context, supervise.StartOptions) (supervise.Service, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(fds[1]), "theirs")
	defer theirs.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.ExtraFiles = append(os.Environ(), actAsService+"=1"), []*os.File{theirs}
	p := &process{cmd, connection(uintptr(fds[0]))}
	return p, cmd.Start()
}

func (p *process) PID() int { return p.cmd.Process.Pid }
func (p *process) Kill()    { p.cmd.Process.Kill() }

func (p *process) Wait() supervise.Exit {
	p.cmd.Wait()
	return supervise.ExitOf(p.cmd.ProcessState)
}

func (p *process) read(v any) error {
	buf := make([]byte, scan.MaxMessage)
	n, err := p.c.Read(buf)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		p.c.Close()
		return err
	}
	return json.Unmarshal(buf[:n], v)
}

func (p *process) Report(context.Context) (r scan.Report, err error) { return r, p.read(&r) }
func (p *process) Receive() (a scan.Answer, err error)               { return a, p.read(&a) }

func (p *process) Send(r scan.Request, f *os.File) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) { _, _, err = p.c.WriteMsgUnix(b, unix.UnixRights(int(fd)), nil) })
	return errors.Join(err, cerr)
}

// The whole way, from events over a process that is killed again and again to verdicts: none is wrong, and no file is lost.
func TestFromEventsToVerdictsWhileTheServiceIsKilled(t *testing.T) {
	dir := t.TempDir()
	quiet := slog.New(slog.DiscardHandler)
	store := verdicts.New(filepath.Join(dir, "verdicts.db"), verdicts.Options{Log: quiet})
	sup := supervise.New(supervise.Config{Start: startProcess, Memory: store, Log: quiet})
	var mu sync.Mutex
	found, aside := map[string]Finding{}, map[string]bool{}
	q := New(Config{
		Scanner: sup, Memory: store, Log: quiet,
		OnVerdict:  func(f Finding) Done { mu.Lock(); found[filepath.Base(f.Path)] = f; mu.Unlock(); return Done{} },
		OnSetAside: func(f Finding) { mu.Lock(); aside[filepath.Base(f.Path)] = true; mu.Unlock() },
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { store.Run(ctx) })
	running.Go(func() {
		if err := sup.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	running.Go(func() { q.Run(ctx) })
	defer running.Wait()
	defer cancel()

	w := &world{t: t, dir: dir}
	const files = 120
	for i := range files {
		content := "clean"
		switch {
		case i == 50 || i == 51:
			content = fmt.Sprint("POISON ", i)
		case i%10 == 0:
			content = bad
		}
		q.Offer(&monitor.Event{Kind: monitor.FileWrite, Process: nobody, File: w.file(fmt.Sprint("f/", i), fmt.Sprint(content, i))})
	}
	deadline := time.After(time.Minute)
	done := func() bool {
		c := q.Counts()
		return c.Scanned+c.SetAside+c.Failures+c.Known == files
	}
	for killed := false; !done(); {
		// Once, before the first poison: nobody is set aside for an end from outside.
		if pid := sup.State().PID; pid != 0 && !killed && q.Counts().Scanned < 40 {
			syscall.Kill(pid, syscall.SIGTERM)
			killed = true
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-deadline:
			t.Fatalf("not done: %+v %+v", q.Counts(), sup.State())
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(found) != files/10-1 || len(aside) != 2 || !aside["50"] || !aside["51"] || q.Counts().Failures != 0 {
		t.Errorf("found %d, aside %v, %+v", len(found), aside, q.Counts())
	}
	for name := range found {
		if !strings.HasSuffix(name, "0") || name == "50" {
			t.Errorf("%s is told as infected", name)
		}
	}
	st := sup.State()
	if len(st.Ends) < 3 || st.State == control.ScanFailed || len(st.SetAside) != 2 {
		t.Errorf("%+v", st)
	}
	for _, e := range st.Ends {
		if e.Signal != "SIGKILL" && e.Signal != "SIGTERM" || e.Hung {
			t.Errorf("%+v", e)
		}
	}
}
