package quarantine

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// place is a name in a directory, whether there is a file or not. The directory is held by its descriptor: nobody who moves directories
// about leads it elsewhere.
type place struct {
	root Root
	path string // from the root
	dir  int    // O_PATH
	name string
}

func (p *place) close() { unix.Close(p.dir) }

// at opens the directory of a path, step by step, and follows no symbolic link: one on the way is an error. That is what openat2(2) does with
// RESOLVE_NO_SYMLINKS, which kernels before 5.6 lack, and which systemd takes from services that may not make setuid files.
func at(root Root, name string) (*place, error) {
	if !isPath(name) {
		return nil, fmt.Errorf("path %.80q: expected a clean one from the root, of at most %d bytes", name, maxPath)
	}
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
	dir, err := unix.Open(root.Dir, flags, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: root.Dir, Err: err}
	}
	folder, last := path.Split(name)
	for step := range strings.SplitSeq(strings.Trim(folder, "/"), "/") {
		if step == "" {
			continue // the root
		}
		next, err := unix.Openat(dir, step, flags|unix.O_NOFOLLOW, 0)
		unix.Close(dir)
		if err != nil {
			return nil, &os.PathError{Op: "open the folder of", Path: name, Err: fmt.Errorf("%s: %w", step, err)}
		}
		dir = next
	}
	return &place{root, name, dir, last}, nil
}

// stat looks at what stands at the place, not at what a link leads to.
func (p *place) stat() (st unix.Stat_t, err error) { return statAt(p.dir, p.name) }

func statAt(dir int, name string) (st unix.Stat_t, err error) {
	if err = unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		err = &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return st, err
}

// sync makes what was done in the directory last.
func (p *place) sync() error {
	fd, err := unix.Openat(p.dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path.Dir(p.path), Err: err}
	}
	defer unix.Close(fd)
	if err := unix.Fsync(fd); err != nil && !errors.Is(err, unix.EINVAL) { // file systems without such a thing
		return &os.PathError{Op: "fsync", Path: path.Dir(p.path), Err: err}
	}
	return nil
}

// staged is a directory beside a file, into which only root comes. Whoever owns the directory around it may move it, but not what is in it.
type staged struct {
	*place
	in   int    // O_PATH, of the directory
	self string // its name
}

// inside is the name of the one file in a staged directory.
const inside = "file"

func stagedName(id string) string { return ".amp-quarantine-" + id }

// stage makes the directory.
func (p *place) stage(id string) (*staged, error) {
	if err := unix.Mkdirat(p.dir, stagedName(id), 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, &os.PathError{Op: "mkdir", Path: path.Join(path.Dir(p.path), stagedName(id)), Err: err}
	}
	return p.staged(id)
}

// staged opens a directory that there is, if nobody else has made it.
func (p *place) staged(id string) (*staged, error) {
	g := &staged{place: p, self: stagedName(id)}
	name := path.Join(path.Dir(p.path), g.self)
	var err error
	if g.in, err = unix.Openat(p.dir, g.self, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(g.in, &st); err != nil {
		g.close()
		return nil, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	if st.Uid != uint32(os.Geteuid()) || st.Mode&0o077 != 0 {
		g.close()
		return nil, fmt.Errorf("%s: owner %d, mode %#o: expected %d and nothing for others", name, st.Uid, st.Mode&0o7777, os.Geteuid())
	}
	return g, nil
}

func (g *staged) close() { unix.Close(g.in) }

// file looks at what is in it.
func (g *staged) file() (unix.Stat_t, error) { return statAt(g.in, inside) }

// take moves what stands at the place into it, whatever that is. Nothing is replaced: whoever owns the directory around it may have put another one of
// root's there, with a file of that name.
func (g *staged) take() error {
	err := unix.Renameat2(g.dir, g.name, g.in, inside, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // a file system without such a thing, or Linux before 3.15
		err = unix.Renameat(g.dir, g.name, g.in, inside)
	}
	if err != nil {
		return &os.PathError{Op: "rename", Path: g.path, Err: err}
	}
	return nil
}

// put moves what is in it to a name of the directory, if nothing stands there.
func (g *staged) put(name string) error {
	err := renameNew(g.in, inside, g.dir, name)
	if err != nil {
		return &os.PathError{Op: "rename to", Path: path.Join(path.Dir(g.path), name), Err: err}
	}
	return nil
}

// renameNew renames without replacing anything. A file system that has no such thing (EINVAL) makes a hard link and takes the old name away.
func renameNew(from int, name string, to int, as string) error {
	err := unix.Renameat2(from, name, to, as, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	if err := unix.Linkat(from, name, to, as, 0); err != nil {
		return err
	}
	return unix.Unlinkat(from, name, 0)
}

// empty deletes the file in it.
func (g *staged) empty() error {
	if err := unix.Unlinkat(g.in, inside, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return &os.PathError{Op: "unlink", Path: g.path, Err: err}
	}
	return nil
}

// remove takes the directory away. Where its owner has moved it, it stays, and is empty.
func (g *staged) remove() error {
	if err := unix.Unlinkat(g.dir, g.self, unix.AT_REMOVEDIR); err != nil && !errors.Is(err, unix.ENOENT) {
		return &os.PathError{Op: "rmdir", Path: path.Join(path.Dir(g.path), g.self), Err: err}
	}
	return nil
}
