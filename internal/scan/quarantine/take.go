package quarantine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// Take copies a file into the store and takes its name away. f is the very descriptor that was scanned. Where it returns an error, the file
// is where it was, unless the error says otherwise.
func (s *Store) Take(ctx context.Context, f *os.File, found Finding) (Entry, error) {
	p, err := s.find(f, &found)
	if err != nil {
		return Entry{}, err
	}
	defer p.close()
	if found.Permit != nil {
		if err := found.Permit(ctx, p.root, p.path); err != nil {
			return Entry{}, err
		}
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return Entry{}, err
	}
	defer unlock()
	t := taking{store: s, file: f, found: &found, place: p}
	t.entry = Entry{Path: Text(p.path), View: p.root.View, Taken: s.now().UTC(), Why: found.Why}
	if t.entry.ID, err = s.newID(); err != nil {
		return Entry{}, err
	}
	if err := t.keep(ctx); err != nil {
		return Entry{}, errors.Join(err, t.forget())
	}
	if err := t.takeName(); err != nil {
		if t.stuck {
			return Entry{}, err // whoever has the lock next deals with it
		}
		return Entry{}, errors.Join(err, t.forget())
	}
	_ = s.rename(t.entry.ID+takingSuffix, t.entry.ID+entrySuffix) // it is in the store now; else whoever has the lock next does this
	return t.entry, nil
}

// find looks which of the names that a file may have is one.
func (s *Store) find(f *os.File, found *Finding) (*place, error) {
	paths := found.Paths
	if link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd())); err == nil { // follows renames since it was opened
		paths = append([]string{link}, paths...)
	}
	var roots []Root
	for _, dir := range s.hostRoots() {
		roots = append(roots, Root{Dir: dir})
	}
	var other error
	for _, root := range append(roots, found.Roots...) {
		for _, name := range paths {
			if !isPath(name) {
				continue
			}
			p, err := at(root, name)
			if err != nil {
				continue
			}
			st, err := p.stat()
			if err == nil && is(f, &st) {
				return p, nil
			}
			if err == nil {
				other = fmt.Errorf("another file is %s", name)
			}
			p.close()
		}
	}
	if other != nil {
		return nil, fmt.Errorf("%w: %w", ErrNamed, other)
	}
	return nil, ErrNamed
}

// is reports whether what stat(2) told of is the open file.
func is(f *os.File, st *unix.Stat_t) bool {
	var own unix.Stat_t
	return unix.Fstat(int(f.Fd()), &own) == nil && own.Dev == st.Dev && own.Ino == st.Ino && st.Mode&unix.S_IFMT == unix.S_IFREG
}

// taking is one file on its way into the store.
type taking struct {
	store *Store
	file  *os.File
	found *Finding
	place *place
	entry Entry
	stuck bool // the file is neither in its place nor only in the store
}

// keep stores the content and what is known of the file, and notes that its name is to go.
func (t *taking) keep(ctx context.Context) error {
	s, e := t.store, &t.entry
	if err := errors.Join(e.describe(t.file), t.unchanged()); err != nil {
		return err
	}
	if err := s.room(e.Size); err != nil {
		return err
	}
	if err := s.permitted(t.found.SHA256, e.Why.Name); err != nil {
		return err
	}
	if err := t.copy(ctx); err != nil {
		return fmt.Errorf("copy it into the quarantine: %w", err)
	}
	if err := errors.Join(t.unchanged(), s.permitted(e.SHA256, e.Why.Name)); err != nil {
		return err
	}
	if t.found.SHA256 != "" && t.found.SHA256 != e.SHA256 {
		return fmt.Errorf("%w: SHA-256 %s: expected %s", ErrChanged, e.SHA256, t.found.SHA256)
	}
	if err := e.check(); err != nil { // what is written can be read
		return err
	}
	return s.writeJSON(e.ID+takingSuffix, e)
}

// unchanged reports with an error that the file is not what it was before the scan.
func (t *taking) unchanged() error {
	now, err := verdicts.Identify(t.file)
	if err != nil {
		return err
	}
	if now != t.found.Identity {
		return ErrChanged
	}
	return nil
}

// copy copies the content. Nobody executes the copy: its mode is for root to read, and its directory for root to enter.
func (t *taking) copy(ctx context.Context) error {
	s, e := t.store, &t.entry
	to, err := s.create(e.ID + dataSuffix + durable.NewSuffix)
	if err != nil {
		return err
	}
	defer to.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, sum), &untilDone{ctx, io.NewSectionReader(t.file, 0, e.Size+1)})
	if err != nil {
		return err
	}
	if n != e.Size {
		return fmt.Errorf("%w: %d bytes: expected %d", ErrChanged, n, e.Size)
	}
	e.SHA256 = hex.EncodeToString(sum.Sum(nil))
	if err := errors.Join(to.Chmod(0o400), to.Sync()); err != nil {
		return err
	}
	reached("copied")
	return s.rename(e.ID+dataSuffix+durable.NewSuffix, e.ID+dataSuffix)
}

// forget takes what was stored away again.
func (t *taking) forget() error {
	s, id := t.store, t.entry.ID
	return errors.Join(s.remove(id+takingSuffix), s.remove(id+dataSuffix), s.remove(id+dataSuffix+durable.NewSuffix))
}

// takeName takes the file's name away.
func (t *taking) takeName() error {
	g, err := t.place.stage(t.entry.ID)
	if err != nil {
		return t.hindered(err)
	}
	defer g.close()
	reached("staged")
	st, err := t.place.stat()
	if err != nil || !is(t.file, &st) {
		return errors.Join(fmt.Errorf("%w: another file is %s, or none", ErrNamed, t.place.path), g.remove())
	}
	if err := t.unchanged(); err != nil {
		return errors.Join(err, g.remove())
	}
	reached("checked")
	if err := g.take(); err != nil {
		return errors.Join(t.hindered(err), g.remove())
	}
	reached("moved")
	if err := t.right(g); err != nil {
		err = errors.Join(err, g.back(t.entry.ID))
		t.stuck = !g.gone()
		return err
	}
	if err := g.empty(); err != nil {
		err = errors.Join(t.hindered(err), g.back(t.entry.ID))
		t.stuck = !g.gone()
		return err
	}
	reached("unlinked")
	_ = errors.Join(g.remove(), g.sync()) // from here on it is in the store, whatever that comes to
	return nil
}

// right reports with an error that what was moved is not the file that was scanned. Its ctime is another one, since it was renamed.
func (t *taking) right(g *staged) error {
	st, err := g.file()
	switch {
	case err != nil:
		return err
	case !is(t.file, &st):
		return fmt.Errorf("%w: another file became %s", ErrNamed, t.place.path)
	case st.Size != t.entry.Size || momentOf(st.Mtim) != t.entry.Modified:
		return ErrChanged
	}
	return nil
}

// back puts what was moved to where it was. Where something stands there by now, it gets a name beside it, which the error says.
func (g *staged) back(id string) error {
	err := g.put(g.name)
	if errors.Is(err, unix.EEXIST) {
		beside := "amp-" + id
		if err = g.put(beside); err == nil {
			err = fmt.Errorf("what was at %s for a moment is now %s", g.path, path.Join(path.Dir(g.path), beside))
			return errors.Join(err, g.remove(), g.sync())
		}
	}
	if err != nil {
		return fmt.Errorf("it is in %s: %w", path.Join(path.Dir(g.path), g.self), err)
	}
	return errors.Join(g.remove(), g.sync())
}

// gone reports whether nothing is left in the staged directory.
func (g *staged) gone() bool {
	_, err := g.file()
	return errors.Is(err, unix.ENOENT)
}

// hindered says in words what keeps a name from being taken away, where that can be found out.
func (t *taking) hindered(err error) error {
	switch {
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("its file system is read-only: %w", err)
	case !errors.Is(err, unix.EPERM):
		return err
	}
	if how := fixed(int(t.file.Fd())); how != "" {
		return fmt.Errorf("it is %s: %w", how, err)
	}
	fd, oerr := unix.Openat(t.place.dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if oerr != nil {
		return err
	}
	defer unix.Close(fd)
	if how := fixed(fd); how != "" {
		return fmt.Errorf("its folder is %s: %w", how, err)
	}
	return err
}

// room reports with an error that a file of a size has no room any more.
func (s *Store) room(size int64) error {
	u, err := s.Usage()
	if err != nil {
		return err
	}
	most, entries := orDefault(s.Bytes, defaultBytes), orDefault(s.Entries, defaultEntries)
	if u.Bytes+size > most || u.Files >= entries {
		return fmt.Errorf("%w: %d files, %d bytes, and one of %d bytes to come: expected at most %d files, %d bytes; make room with: ampcli quarantine delete ID",
			ErrFull, u.Files, u.Bytes, size, entries, most)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(s.Dir, &fs); err != nil {
		return &os.PathError{Op: "statfs", Path: s.Dir, Err: err}
	}
	if left := int64(fs.Bavail) * fs.Bsize; left-size < spare {
		return fmt.Errorf("%w: its disk has %d bytes left, and one of %d bytes to come: expected that %d stay free", ErrFull, left, size, spare)
	}
	return nil
}

// spare is what the store leaves free on its disk, in bytes: whoever brings files to be found must not fill it.
const spare = 16 << 20

// untilDone ends a reading with its context.
type untilDone struct {
	ctx context.Context //nolint:containedctx // lives as long as one call
	r   io.Reader
}

func (u *untilDone) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(b)
}
