package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// took is how long a fake service works on a file.
const took = 10 * time.Millisecond

// errTaken makes Send succeed, whatever has become of the service.
var errTaken = errors.New("taken")

// fake is a scan service that does what the names of files ask for.
type fake struct {
	house   *house
	pid     int
	options StartOptions
	report  func(context.Context) (scan.Report, error)

	answers chan answerOrError
	dead    chan struct{}
	die     sync.Once
	exit    Exit

	mu       sync.Mutex
	inFlight map[uint64]string
	most     int
	scanned  []string
}

type answerOrError struct {
	scan.Answer
	err error
}

func (f *fake) PID() int { return f.pid }

func (f *fake) Report(ctx context.Context) (scan.Report, error) {
	r, err := f.report(ctx)
	select {
	case <-f.dead:
		return scan.Report{}, io.EOF
	default:
		return r, err
	}
}

func (f *fake) end(e Exit) {
	f.die.Do(func() {
		f.exit = e
		close(f.dead)
	})
}

func (f *fake) Kill() { f.end(Exit{Signal: syscall.SIGKILL}) }

func (f *fake) Wait() Exit {
	<-f.dead
	return f.exit
}

func (f *fake) Receive() (scan.Answer, error) {
	select { // what was said before the end can be read after it
	case a := <-f.answers:
		return a.Answer, a.err
	default:
	}
	select {
	case a := <-f.answers:
		return a.Answer, a.err
	case <-f.dead:
		select {
		case a := <-f.answers:
			return a.Answer, a.err
		default:
			return scan.Answer{}, io.EOF
		}
	}
}

func (f *fake) say(a scan.Answer) { f.answers <- answerOrError{Answer: a} }

func (f *fake) Send(r scan.Request, file *os.File) error {
	name := filepath.Base(file.Name())
	if at, err := file.Seek(0, io.SeekCurrent); err != nil || at != 0 {
		return fmt.Errorf("offset %d: %w", at, err)
	}
	if _, err := file.Seek(1, io.SeekStart); err != nil { // as an engine that reads
		return err
	}
	if sending := f.house.hook(); sending != nil {
		if err := sending(f, name); errors.Is(err, errTaken) {
			return nil
		} else if err != nil {
			return err
		}
	}
	select {
	case <-f.dead:
		return syscall.EPIPE
	default:
	}
	f.mu.Lock()
	f.inFlight[r.ID] = name
	f.most = max(f.most, len(f.inFlight))
	f.mu.Unlock()
	go f.work(r.ID, name)
	return nil
}

// work is a scan. Names are BEHAVIOUR or BEHAVIOUR-ANYTHING.
func (f *fake) work(id uint64, name string) {
	behaviour, _, _ := strings.Cut(name, "-")
	select {
	case <-time.After(f.house.duration()):
	case <-f.dead:
		return
	}
	f.mu.Lock()
	f.scanned = append(f.scanned, name)
	var others []string
	for other, n := range f.inFlight {
		if other != id {
			others = append(others, n)
		}
	}
	f.mu.Unlock()
	f.house.saw(name, others)
	if behave := f.house.behaviour(); behave != nil {
		behaviour = behave(f, name, behaviour)
	}
	switch behaviour {
	case "crash":
		f.end(Exit{Signal: syscall.SIGSEGV})
		return
	case "hang":
		return
	case "answercrash": // a whole answer, and then the end
		f.say(scan.Answer{ID: id, Result: scan.Clean})
		f.end(Exit{Signal: syscall.SIGSEGV})
		return
	case "unknown":
		f.say(scan.Answer{ID: id + 1000, Result: scan.Clean})
		return
	case "garbage":
		f.answers <- answerOrError{err: errors.New("message of 3 bytes")}
		return
	case "named":
		f.say(scan.Answer{ID: id, Result: scan.Clean, Name: "Eicar"})
		return
	case "nameless":
		f.say(scan.Answer{ID: id, Result: scan.Infected})
		return
	case "zero":
		f.say(scan.Answer{ID: id})
		return
	}
	f.mu.Lock()
	delete(f.inFlight, id)
	f.mu.Unlock()
	a := scan.Answer{ID: id, Result: scan.Clean}
	switch behaviour {
	case "infected":
		a.Result, a.Name = scan.Infected, "Eicar-Test"
	case "failed":
		a.Result, a.Error = scan.Failed, "truncated"
	}
	f.say(a)
	if behaviour == "twice" {
		f.say(a)
	}
}

// house starts fakes, and sees what they do.
type house struct {
	t      *testing.T
	dir    string
	memory *fakeMemory
	sup    *Supervisor
	cancel context.CancelFunc
	ended  chan error

	mu       sync.Mutex
	services []*fake
	others   map[string][]string // by name: what was in flight beside it, the last time
	version  string
	took     time.Duration
	// Of the services that are started from now on.
	startErr error
	report   func(context.Context, StartOptions) (scan.Report, error)
	exit     *Exit // ends before the report
	behave   func(f *fake, name, behaviour string) string
	sending  func(f *fake, name string) error // called by Send
}

func (h *house) duration() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.took
}

func (h *house) behaviour() func(f *fake, name, behaviour string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.behave
}

func (h *house) hook() func(f *fake, name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sending
}

func (h *house) saw(name string, others []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.others[name] = others
}

func (h *house) start(_ context.Context, o StartOptions) (Service, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.startErr != nil {
		return nil, h.startErr
	}
	report, exit := h.report, h.exit
	f := &fake{
		house: h, pid: 100 + len(h.services), options: o, answers: make(chan answerOrError, 1000), dead: make(chan struct{}), inFlight: make(map[uint64]string),
	}
	f.report = func(ctx context.Context) (scan.Report, error) {
		if exit != nil {
			f.end(*exit)
			return scan.Report{}, io.EOF
		}
		return report(ctx, o)
	}
	h.services = append(h.services, f)
	h.writeProc(f.pid)
	return f, nil
}

// writeProc makes what proc(5) has of a service that is as it should be.
func (h *house) writeProc(pid int) {
	dir := filepath.Join(h.dir, strconv.Itoa(pid))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		h.t.Error(err)
	}
	for name, text := range map[string]string{"status": soundStatus, "limits": soundLimits, "statm": "9999 2560 1 1 0 1 0\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			h.t.Error(err)
		}
	}
}

func ready(_ context.Context, _ StartOptions) (scan.Report, error) {
	return scan.Report{
		Stage: scan.StageReady, Engine: "1.4.3", Signatures: 5, Workers: 4,
		Sandbox: scan.SandboxUser | scan.SandboxCapabilities | scan.SandboxSystemCalls | scan.SandboxNetwork,
	}, nil
}

// newHouse makes a supervisor of fakes. change may be nil.
func newHouse(t *testing.T, change func(*Config, *house)) *house {
	t.Helper()
	h := &house{
		t: t, dir: t.TempDir(), memory: &fakeMemory{aside: map[verdicts.Identity]string{}}, others: map[string][]string{}, version: "1", report: ready, took: took,
		ended: make(chan error, 1),
	}
	c := Config{
		Start: h.start, Memory: h.memory, Workers: 3, Deadline: time.Minute, Proc: h.dir, UserName: func(uint32) string { return "cisco-amp-scan-svc" },
		Log: slog.New(slog.DiscardHandler), Definitions: func() Definitions {
			h.mu.Lock()
			defer h.mu.Unlock()
			return Definitions{Version: h.version}
		},
	}
	if change != nil {
		change(&c, h)
	}
	h.sup = New(c)
	return h
}

func (h *house) run() *house {
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	go func() { h.ended <- h.sup.Run(ctx) }()
	return h
}

func (h *house) stop() {
	h.cancel()
	<-h.ended
}

func (h *house) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

func (h *house) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.services)
}

// before are all services but the last.
func (h *house) before() []*fake {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.services[: len(h.services)-1 : len(h.services)-1]
}

// beside is what was in flight when a file was scanned last.
func (h *house) beside(name string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.others[name]
}

func (f *fake) mostInFlight() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.most
}

func (h *house) last() *fake {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.services[len(h.services)-1]
}

// job is one of a file with this name; the name is the identity too.
func (h *house) job(name string) Job {
	path := filepath.Join(h.dir, name)
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	id, err := verdicts.Identify(f)
	if err != nil {
		h.t.Fatal(err)
	}
	return Job{File: f, Identity: id, Path: "/" + name}
}

// scan has a file scanned and closes it.
func (h *house) scan(ctx context.Context, name string) (Answer, error) {
	j := h.job(name)
	defer j.File.Close()
	return h.sup.Scan(ctx, j)
}

// all has files scanned side by side, begun in their order.
func (h *house) all(names ...string) map[string]outcome {
	var mu sync.Mutex
	var wg sync.WaitGroup
	got := make(map[string]outcome)
	for _, name := range names {
		wg.Go(func() {
			a, err := h.scan(context.Background(), name)
			mu.Lock()
			defer mu.Unlock()
			got[name] = outcome{a, err}
		})
	}
	wg.Wait()
	return got
}

type fakeMemory struct {
	mu    sync.Mutex
	epoch verdicts.Epoch
	aside map[verdicts.Identity]string
}

func (m *fakeMemory) Begin(e verdicts.Epoch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e != m.epoch {
		m.epoch = e
		clear(m.aside)
	}
}

func (m *fakeMemory) SetAside(e verdicts.Epoch, id verdicts.Identity, path string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e == m.epoch {
		m.aside[id] = path
	}
}

func (m *fakeMemory) Aside(id verdicts.Identity) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.aside[id]
	return ok
}

func (m *fakeMemory) AsidePaths() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var paths []string
	for _, p := range m.aside {
		paths = append(paths, p)
	}
	return paths
}
