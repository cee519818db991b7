package connector

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/capability"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/internal/scan/quarantine"
	"github.com/ampconnector/amp/internal/scan/queue"
)

// hostRoots lead to the host's files as the first process sees them. The daemon's own view is made read-only by its unit; a file system that
// is read-only for the host itself stays so.
var hostRoots = []string{"/proc/1/root", "/"}

// quarantinePatience is how long it may take to take one file: to ask whose it is, and to copy it.
const quarantinePatience = 2 * time.Minute

// ownTree is the connector's own: a false alarm must not take it away.
const ownTree = "/opt/cisco/"

// Why a file is left alone.
var (
	errOwned    = errors.New("a package has brought it; the policy allows such files with quarantine=\"all\"")
	errNotAsked = errors.New("it cannot be told whether a package has brought it")
	errOwn      = errors.New("it is the connector's own; install the package again")
)

// quarantine takes a file away, if the policy asks for that. Where there is no entry, and nothing is said of why, the policy does not.
func (s *scanner) quarantine(f *queue.Finding, about *monitor.Found) (taken quarantine.Entry, done queue.Done) {
	settings := s.settings.Load()
	if settings.Quarantine != policy.QuarantineUnowned && settings.Quarantine != policy.QuarantineAll {
		return taken, done
	}
	ctx, stop := context.WithTimeout(context.Background(), quarantinePatience)
	defer stop()
	finding := findingOf(f, about)
	finding.Permit = func(ctx context.Context, root quarantine.Root, path string) error {
		return s.permit(ctx, settings.Quarantine, root, path)
	}
	err := withRights(func() (err error) {
		taken, err = s.places.quarantine.Take(ctx, f.File, finding)
		return err
	})
	if err != nil {
		s.log.Warn("a file was not taken into the quarantine", "path", f.Path, "error", err)
		return quarantine.Entry{}, queue.Done{LeftAlone: err.Error(), Again: errors.Is(err, quarantine.ErrChanged)}
	}
	s.log.Warn("a file was taken into the quarantine", "path", string(taken.Path), "id", taken.ID, "other_names", taken.Names)
	return taken, queue.Done{Quarantined: taken.ID}
}

// quarantineState counts anew each time: ampcli changes the store too.
func (s *scanner) quarantineState() *control.Quarantine {
	u, err := s.places.quarantine.Usage()
	q := &control.Quarantine{Files: u.Files, Bytes: u.Bytes, MaxFiles: u.MaxFiles, MaxBytes: u.MaxBytes, Unfinished: u.Unfinished}
	if err != nil {
		q.Error = err.Error()
	}
	return q
}

// findingOf is what the quarantine has to know of a finding.
func findingOf(f *queue.Finding, about *monitor.Found) quarantine.Finding {
	q := quarantine.Finding{Identity: f.Identity, SHA256: about.SHA256, Paths: []string{f.Path}}
	q.Why = quarantine.Why{Name: f.Answer.Name, Engine: about.Engine, Definitions: about.Definitions}
	p := f.Event.Process
	if p == nil {
		return q
	}
	q.Why.Event, q.Why.PID, q.Why.UID, q.Why.Process = f.Event.Kind.String(), p.PID, p.UID, quarantine.Text(p.Exe.Path)
	if q.Why.Process == "" {
		q.Why.Process = quarantine.Text(p.Comm)
	}
	q.Roots = append(q.Roots, viewOf(p.PID, p))
	for _, a := range p.Ancestors {
		if a.PID > 1 {
			q.Roots = append(q.Roots, viewOf(a.PID, p))
		}
	}
	return q
}

// viewOf is what a process sees of the file system; one in a container, or one with folders of its own, sees another one than the host.
func viewOf(pid uint32, p *monitor.Process) quarantine.Root {
	name := "container " + p.Container
	if p.Container == "" {
		name = fmt.Sprintf("process %d", pid)
	}
	return quarantine.Root{Dir: fmt.Sprintf("/proc/%d/root", pid), View: name}
}

// permit refuses what the policy does not give. Whose a file is, only the host's own package database tells.
func (s *scanner) permit(ctx context.Context, asked policy.Quarantine, root quarantine.Root, path string) error {
	switch {
	case root.View == "" && strings.HasPrefix(path, ownTree):
		return errOwn
	case asked == policy.QuarantineAll:
		return nil
	case root.View != "":
		return fmt.Errorf("%w: it is in the view of %s", errNotAsked, root.View)
	}
	owner := s.places.owner(ctx, path)
	switch {
	case !owner.Known():
		return fmt.Errorf("%w: %w", errNotAsked, owner.Err)
	case owner.Value.Package != "":
		return fmt.Errorf("%w: %s", errOwned, owner.Value.Package)
	}
	return nil
}

// packageOwner asks the package databases of this host.
func packageOwner(ctx context.Context, path string) host.Reading[host.PackageOwner] {
	return host.FindPackageOwner(ctx, host.At("/"), path)
}

// recoverQuarantine deals with what a daemon before this one did not come to the end of.
func (s *scanner) recoverQuarantine(ctx context.Context) {
	if err := withRights(func() error { return s.places.quarantine.Recover(ctx) }); err != nil {
		s.log.Error("the quarantine has files that were not taken to the end", "error", err)
	}
}

// quarantineRights are needed to take names out of the folders of others: CAP_DAC_OVERRIDE to write to these, CAP_FOWNER where the sticky bit
// keeps that for the owners. The daemon has them at hand, and in effect for nothing else.
const quarantineRights = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FOWNER

// withRights does something with them in effect. They are those of a thread, which is one for this alone and ends with it. Where the daemon
// does not have them, the kernel says what cannot be done without.
func withRights(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		raise()
		done <- do()
	}()
	return <-done
}

// raise puts them into effect for this thread, as far as it is permitted to.
func raise() {
	sets, err := capability.Get()
	if err != nil {
		return
	}
	sets.Effective |= quarantineRights & sets.Permitted
	_ = sets.Set() // never refused for what is permitted
}
