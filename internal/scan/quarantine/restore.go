package quarantine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

// RestoreOptions say where a file goes.
type RestoreOptions struct {
	To    string // a path from the root; "": where it was
	Force bool   // what stands there gets another name
}

// Restored is what came of it.
type Restored struct {
	Path   string   `json:"path"`
	Moved  string   `json:"moved,omitempty"`  // where what stood there is now
	Missed []string `json:"missed,omitempty"` // what the file had and could not be given
}

// restoring is noted before a file is put to its place.
type restoring struct {
	ID string `json:"id"`
	To Text   `json:"to"`
}

// Restore puts a file to its place, with its content, mode, owner, extended attributes and times, and takes it out of the store. From then on
// its content is left alone; see Allowed.
func (s *Store) Restore(ctx context.Context, id string, o RestoreOptions) (Restored, error) {
	if !isID(id) {
		return Restored{}, fmt.Errorf("%w: %.80q", ErrNoEntry, id)
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return Restored{}, err
	}
	defer unlock()
	e, err := s.entry(id, entrySuffix)
	if err != nil {
		return Restored{}, err
	}
	to := o.To
	switch {
	case to == "" && e.View != "":
		return Restored{}, fmt.Errorf("%w, of %s, at %s; name a place on this host", ErrView, e.View, e.Path)
	case to == "":
		to = string(e.Path)
	}
	p, err := s.atHost(to)
	if errors.Is(err, fs.ErrNotExist) {
		return Restored{}, fmt.Errorf("%w: %w", ErrNoParent, err)
	}
	if err != nil {
		return Restored{}, err
	}
	defer p.close()
	if _, err := p.stat(); err == nil && !o.Force {
		return Restored{}, fmt.Errorf("%s: %w", to, ErrOccupied)
	}
	r := putting{store: s, entry: &e, place: p, force: o.Force, done: Restored{Path: to}}
	if err := s.writeJSON(id+restoreSuffix, restoring{id, Text(to)}); err != nil {
		return Restored{}, err
	}
	if err := r.put(ctx); err != nil {
		return Restored{}, errors.Join(err, s.undoRestore(id, p))
	}
	return r.done, errors.Join(s.drop(id), s.remove(id+restoreSuffix))
}

// atHost opens the folder of a path of the host.
func (s *Store) atHost(name string) (p *place, err error) {
	var errs []error
	for _, dir := range s.hostRoots() {
		if p, err = at(Root{Dir: dir}, name); err == nil {
			return p, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// putting is one file on its way out of the store.
type putting struct {
	store *Store
	entry *Entry
	place *place
	force bool
	done  Restored
}

func (r *putting) put(ctx context.Context) error {
	g, err := r.place.stage(r.entry.ID)
	if err != nil {
		return err
	}
	defer g.close()
	reached("staged")
	if err := r.fill(ctx, g); err != nil {
		return err
	}
	reached("filled")
	if err := r.store.allow(r.entry, r.done.Path); err != nil { // before anybody can see the file
		return err
	}
	if err := r.clear(); err != nil {
		return err
	}
	err = g.put(r.place.name)
	if errors.Is(err, unix.EEXIST) {
		err = fmt.Errorf("%s: %w", r.done.Path, ErrOccupied)
	}
	if err != nil {
		return err
	}
	reached("put")
	_ = g.remove()
	return g.sync() // before it leaves the store
}

// fill makes the file, out of reach of all but root.
func (r *putting) fill(ctx context.Context, g *staged) error {
	s, e := r.store, r.entry
	from, err := os.OpenFile(s.path(e.ID+dataSuffix), os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := g.empty(); err != nil { // of a restore before that was killed
		return err
	}
	fd, err := unix.Openat(g.in, inside, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &os.PathError{Op: "create", Path: g.path, Err: err}
	}
	to := os.NewFile(uintptr(fd), g.path)
	defer to.Close()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(to, sum), &untilDone{ctx, from}); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != e.SHA256 {
		return fmt.Errorf("%s: %w: SHA-256 %s: expected %s", from.Name(), ErrDamaged, got, e.SHA256)
	}
	if r.done.Missed, err = e.apply(to); err != nil {
		return err
	}
	return to.Sync()
}

// clear gives what stands in the way another name; nothing is deleted.
func (r *putting) clear() error {
	if !r.force {
		return nil
	}
	if _, err := r.place.stat(); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	aside := "before-" + r.entry.ID
	if err := renameNew(r.place.dir, r.place.name, r.place.dir, aside); err != nil {
		return &os.PathError{Op: "rename", Path: r.place.path, Err: err}
	}
	r.done.Moved = path.Join(path.Dir(r.place.path), aside)
	reached("cleared")
	return nil
}

// parseRestoring reads what a restore has noted.
func parseRestoring(name string, b []byte) (restoring, error) {
	var r restoring
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("%s: %w", name, err)
	}
	if !isID(r.ID) || !isPath(string(r.To)) {
		return r, fmt.Errorf("%s: id %.80q, to %.80q: expected an entry and a path from the root", name, r.ID, r.To)
	}
	return r, nil
}
