package remediate

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// Tool is amp-remediate behind its command line. Its methods are the subcommands and return the exit code.
type Tool struct {
	Stdin      io.Reader
	Stdout     io.Writer      // the diagnosis, or the JSON
	Stderr     io.Writer      // errors, warnings, the question, and progress under JSON
	Terminal   bool           // Stdin is a terminal: a person can be asked
	Progress   bool           // Stderr is a terminal: work that takes long may be animated
	Language   fault.Language // of all that is for a person
	JSON       bool
	JSONWords  fault.Language // of the texts in the JSON; the zero value is English, on which programs may rest
	Root       string         // "" or "/" is the running host; anything else is an image, which is only inspected
	Kernel     string         // release to judge; "" is the running one
	DryRun     bool
	Yes        bool
	Privileged bool // the process is root
	Exclusions ExclusionChoice
	Rollback   bool   // with fault 6 or 7: the newest definitions are dropped
	Boot       string // with fault 11 or 16: release of the kernel that is to boot from now on

	hands hands // what touches the host; its zero value is the real thing
}

// matter is one fault on its way through a run.
type matter struct {
	finding fault.Finding
	plan    plan
	result  fault.Text // the last word, empty until it is known
	code    int
	settled bool // nothing is left to do about it in this run
}

// settle records the last word.
func (m *matter) settle(code int, words fault.Text) {
	m.code, m.result, m.settled = code, words, true
}

// image reports whether a mounted image is inspected, and not the running host.
func (t *Tool) image() bool { return !host.At(t.Root).Live() }

// prepare checks the root directory and makes it absolute, so that it means the same everywhere below.
func (t *Tool) prepare() error {
	if t.Root == "" {
		return nil
	}
	abs, err := filepath.Abs(t.Root)
	if err != nil {
		return errRoot.wrong(t.Root, err)
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errNoRoot.wrong(t.Root)
	case err != nil:
		return errRoot.wrong(t.Root, err)
	case !info.IsDir():
		return errRootIsNone.wrong(t.Root)
	}
	t.Root = abs
	return nil
}

// gather reads the facts once. An error is one of the input: a root that is none, a kernel that the image does not settle.
func (t *Tool) gather(ctx context.Context) (*health.Facts, error) {
	if err := t.prepare(); err != nil {
		return nil, err
	}
	f := t.hands.gather(ctx, health.Options{Root: t.Root, Kernel: t.Kernel})
	// An image without a kernel, a container's, needs none to be judged.
	if k := f.Host.Kernel; k.Err != nil && (t.Kernel != "" || errors.Is(k.Err, host.ErrSeveralKernels)) {
		return nil, errKernel.wrong(k.Err)
	}
	return f, nil
}

// usage reports an error of usage or input.
func (t *Tool) usage(err error) int {
	t.complain(err)
	return ExitUsage
}

// badInput says which files of the host could be opened and yet not understood. A file that is not there, or that this user may not read, is not bad.
func (t *Tool) badInput(f *health.Facts) bool {
	bad := false
	for _, err := range []error{f.Host.Distribution.Err, f.Host.LoginDefs.Err, f.Policy.Err} {
		if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, host.ErrNotRunning) {
			continue
		}
		t.complain(errBadFile.wrong(err))
		bad = true
	}
	return bad
}
