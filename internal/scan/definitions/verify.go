package definitions

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ampconnector/amp/internal/scan"
)

const verifyName = "verify"

// Verify checks and tries the definitions of a directory and changes nothing. All files are checked; those that pass are tried together. A set of the store is also
// compared with what it was when it was proven. An ErrNotProven comes with the checks that could be made.
func (s *Store) Verify(ctx context.Context, dir string) ([]Check, scan.Report, error) {
	if set, ok := s.own(dir); ok {
		report, checks, err := s.again(ctx, set)
		return checks, report, err
	}
	src, err := openSource(dir)
	if err != nil {
		return nil, scan.Report{}, err
	}
	defer src.Close()
	if len(src.names) == 0 {
		return nil, scan.Report{}, fmt.Errorf("%s: %w", dir, ErrNothing)
	}
	scratch, done, err := s.scratch(ctx)
	if err != nil {
		return nil, scan.Report{}, err
	}
	defer done()
	g, err := s.newStaging(scratch, dir)
	if err != nil {
		return nil, scan.Report{}, err
	}
	defer g.remove()
	g.force = true
	if err := g.take(ctx, src); err != nil {
		return nil, scan.Report{}, err
	}
	if g.empty() {
		return g.checks, scan.Report{}, nil
	}
	if err := g.addBuiltIn(ctx); err != nil {
		return g.checks, scan.Report{}, err
	}
	t, err := g.prove(ctx, Set{}, "")
	return g.checks, t.report, err
}

// own returns the set of the store that a path leads to.
func (s *Store) own(dir string) (Set, bool) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return Set{}, false
	}
	if b, err := filepath.EvalSymlinks(s.config.BuiltIn); err == nil && b == real {
		set, err := s.builtIn()
		return set, err == nil
	}
	sets, err := filepath.EvalSymlinks(s.sets())
	if err != nil || filepath.Dir(real) != sets || !isID(filepath.Base(real)) {
		return Set{}, false
	}
	set, err := s.readSet(filepath.Base(real))
	return set, err == nil
}

// scratch is where copies are made: in the store, where there is room for a set, or in a temporary folder where there is none or it may not be written to.
func (s *Store) scratch(ctx context.Context) (dir string, done func(), err error) {
	if st, err := os.Stat(s.sets()); err == nil && st.IsDir() && os.Geteuid() == 0 {
		unlock, err := s.lock(ctx)
		return s.path(verifyName), unlock, err
	}
	parent, err := os.MkdirTemp("", "amp-definitions-")
	if err != nil {
		return "", nil, err
	}
	// The scan user gets to the copies, and only to them.
	if err := os.Chmod(parent, 0o711); err != nil {
		os.RemoveAll(parent)
		return "", nil, err
	}
	return filepath.Join(parent, verifyName), func() { os.RemoveAll(parent) }, nil
}
