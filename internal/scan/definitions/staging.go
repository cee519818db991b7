package definitions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrUnsettled is in the chain of an error when a file changed while it was copied: its updater is at work, and it is worth trying again.
var ErrUnsettled = errors.New("files are still being written")

// staging is a set in the making: copies that nobody else can write to, so that what is judged is what goes live.
type staging struct {
	store  *Store
	dir    string
	from   string // where its files came from
	bytes  int64
	files  []File
	checks []Check
	drops  []drop   // what did not pass
	kept   []string // files of an earlier set in place of those
	other  []string // names that are no definitions, or do not belong here
	force  bool     // try what was set aside before
	record bool     // set aside what fails; else it is only left out
	aside  []Rejected
}

// drop is a file that did not pass.
type drop struct {
	name string
	key  string // "" where it was not read
}

// newStaging makes an empty one. The store's own is always in the same place, so that a killed program leaves at most one.
func (s *Store) newStaging(dir, from string) (*staging, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	return &staging{store: s, dir: dir, from: from}, os.Chmod(dir, 0o755) // whatever the umask: the scan user reads it
}

func (g *staging) remove() { os.RemoveAll(g.dir) }

func (g *staging) path(name string) string { return filepath.Join(g.dir, name) }

// take copies and judges all definition files of a directory.
func (g *staging) take(ctx context.Context, src *source) error {
	own, err := g.store.builtIn()
	if err != nil {
		return err
	}
	g.other = append(g.other, src.other...)
	for _, name := range src.names {
		if _, ours := own.file(name); ours {
			g.other = append(g.other, name) // the package's is put in its place
			continue
		}
		if err := g.takeOne(ctx, src, name); err != nil {
			return err
		}
	}
	g.dropOrphans()
	return nil
}

func (g *staging) takeOne(ctx context.Context, src *source, name string) error {
	f, st, checks := src.open(name)
	g.checks = append(g.checks, checks...)
	if _, failed := failure(checks); failed {
		g.drops = append(g.drops, drop{name: name})
		return nil
	}
	defer f.Close()
	if g.bytes += st.Size; g.bytes > MaxSet {
		return fmt.Errorf("%s: more than %d bytes of definitions", src.dir.Name(), int64(MaxSet))
	}
	file, err := g.copy(ctx, f, name)
	if err != nil {
		return err
	}
	if err := settled(f, st, file.Size); err != nil {
		return err
	}
	return g.judge(file)
}

// settled reports with an ErrUnsettled that a file is not what it was before it was copied.
func settled(f *os.File, before unix.Stat_t, copied int64) error {
	var after unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &after); err != nil {
		return &os.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	if after.Size != before.Size || after.Mtim != before.Mtim || copied != before.Size {
		return fmt.Errorf("%s: %w", f.Name(), ErrUnsettled)
	}
	return nil
}

// copyStep is after how many bytes a copy looks whether it is still wanted.
const copyStep = 32 << 20

// copy copies a file, within the kernel where the file system can share blocks, makes it last, and hashes the copy.
func (g *staging) copy(ctx context.Context, from *os.File, name string) (File, error) {
	to, err := os.OpenFile(g.path(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return File{}, err
	}
	defer to.Close()
	for {
		if err := ctx.Err(); err != nil {
			return File{}, err
		}
		n, err := io.Copy(to, &io.LimitedReader{R: from, N: copyStep})
		if err != nil {
			return File{}, err
		}
		if n == 0 {
			break
		}
	}
	if err := errors.Join(to.Chmod(0o644), to.Sync()); err != nil {
		return File{}, err
	}
	size, sum, err := hashFile(to)
	return File{Name: name, Size: size, SHA256: sum}, err
}

// judge judges the copy of a file by its content, and keeps or drops it.
func (g *staging) judge(file File) error {
	if r, known := g.store.refused(keyOf(file)); known && !g.force {
		c := Check{File: file.Name, Step: StepRejected, Verdict: Failed, Read: fmt.Sprintf("set aside at %s: %s", r.When.Format("2006-01-02 15:04 UTC"), r.Check), Expected: "other content"}
		g.checks = append(g.checks, c)
		return g.leaveOut(file, c, "", "")
	}
	f, err := os.Open(g.path(file.Name))
	if err != nil {
		return err
	}
	defer f.Close()
	j := judge{g.store.config.Unsigned, g.store.config.Level, g.store.config.FIPS}
	checks, header, err := j.checkContent(f, file.Name)
	if err != nil {
		return err
	}
	file.Header = header
	g.checks = append(g.checks, checks...)
	if c, failed := failure(checks); failed {
		return g.leaveOut(file, c, "", "")
	}
	g.files = append(g.files, file)
	return nil
}

// leaveOut takes a file out of the set. Where it failed by its content, it is set aside.
func (g *staging) leaveOut(file File, c Check, log, engine string) error {
	g.drops = append(g.drops, drop{file.Name, keyOf(file)})
	g.files = slices.DeleteFunc(g.files, func(f File) bool { return f.Name == file.Name })
	if g.record && c.ofContent() {
		r, err := g.store.setFileAside(g.dir, file, Rejected{From: g.from, Check: c, Log: log, Engine: engine})
		if err != nil {
			return err
		}
		g.aside = append(g.aside, r)
	}
	return os.Remove(g.path(file.Name))
}

// dropOrphans leaves out signatures whose database is not in the set.
func (g *staging) dropOrphans() {
	g.files = slices.DeleteFunc(g.files, func(f File) bool {
		if kinds[extension(f.Name)].form != Signature || g.has(signed(f.Name)) {
			return false
		}
		os.Remove(g.path(f.Name))
		g.other = append(g.other, f.Name)
		return true
	})
}

func (g *staging) has(name string) bool {
	return slices.ContainsFunc(g.files, func(f File) bool { return f.Name == name })
}

// substitute puts what an earlier set has of the databases that were dropped in their place: a bad update of one database must not take away what
// its last good version finds. Only what is still as it was proven is taken.
func (g *staging) substitute(ctx context.Context, earlier Set) error {
	for _, d := range g.drops {
		if slices.ContainsFunc(g.files, func(f File) bool { return stem(f.Name) == stem(d.name) && kinds[extension(f.Name)].form != Signature }) {
			continue
		}
		for _, f := range earlier.Files {
			if f.BuiltIn || stem(f.Name) != stem(d.name) || g.has(f.Name) {
				continue
			}
			if err := g.adopt(ctx, earlier.Dir, f); err != nil {
				return err
			}
		}
	}
	g.dropOrphans()
	return nil
}

// adopt copies a file of an earlier set if it is still what it was.
func (g *staging) adopt(ctx context.Context, dir string, f File) error {
	if _, bad := g.store.refused(keyOf(f)); bad && !g.force {
		return nil
	}
	if slices.ContainsFunc(g.drops, func(d drop) bool { return d.key == keyOf(f) }) {
		return nil
	}
	same, err := g.copyProven(ctx, dir, f)
	if err != nil || !same {
		return err
	}
	g.files = append(g.files, f)
	g.kept = append(g.kept, f.Name)
	return nil
}

// copyProven copies a file of a set and reports whether it is still what the set had.
func (g *staging) copyProven(ctx context.Context, dir string, f File) (same bool, err error) {
	from, err := os.OpenFile(filepath.Join(dir, f.Name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, nil // it is gone or no file any more: not the same
	}
	defer from.Close()
	if st, err := from.Stat(); err != nil || !st.Mode().IsRegular() {
		return false, nil // as above
	}
	got, err := g.copy(ctx, from, f.Name)
	if err != nil {
		return false, err
	}
	if got.SHA256 != f.SHA256 {
		return false, os.Remove(g.path(f.Name))
	}
	return true, nil
}

// addBuiltIn puts the package's own files into the set, so that every set can prove itself.
func (g *staging) addBuiltIn(ctx context.Context) error {
	own, err := g.store.builtIn()
	if err != nil {
		return err
	}
	for _, f := range own.Files {
		same, err := g.copyProven(ctx, own.Dir, f)
		if err != nil {
			return err
		}
		if !same {
			return fmt.Errorf("%s: %w", filepath.Join(own.Dir, f.Name), ErrUnsettled)
		}
		g.files = append(g.files, f)
	}
	return nil
}

// set is what has been made so far.
func (g *staging) set() Set {
	slices.SortFunc(g.files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return Set{ID: idOf(g.files), Dir: g.dir, Files: slices.Clone(g.files), From: g.from}
}

// empty reports whether there is nothing in it but what the package brings.
func (g *staging) empty() bool {
	return !slices.ContainsFunc(g.files, func(f File) bool { return !f.BuiltIn })
}
