package installer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// ownedDirectories are where files of the scan user can be.
var ownedDirectories = []string{"/opt/cisco", "/var/lib/cisco", "/var/log/cisco"}

// maxDepth bounds how deep folders are walked into; each that is open takes a descriptor.
const maxDepth = 64

// ownedFile is a file below one of the connector's folders, or the folder itself, as it was found.
type ownedFile struct {
	path   string // below the root
	uid    uint32
	parent *os.File
	name   string
}

// walkOwned visits the files below the connector's folders. It goes by descriptors and through no symbolic link: the scan user could put one
// in the place of a folder of its own, and would be given what it leads to.
func walkOwned(ctx context.Context, h *Host, visit func(ownedFile) error) error {
	for _, name := range ownedDirectories {
		above, err := h.Root.Path(path.Dir(name))
		if err != nil {
			return err
		}
		parent, err := os.OpenFile(above, os.O_RDONLY|unix.O_DIRECTORY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = walkFile(ctx, parent, path.Base(name), name, 0, visit)
		parent.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func walkFile(ctx context.Context, parent *os.File, name, full string, depth int, visit func(ownedFile) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var st unix.Stat_t
	if err := unix.Fstatat(int(parent.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return ignoreNotExist(&os.PathError{Op: "stat", Path: full, Err: err})
	}
	if err := visit(ownedFile{full, st.Uid, parent, name}); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return err
	}
	if depth == maxDepth {
		return fmt.Errorf("%s: more than %d folders deep", full, maxDepth)
	}
	fd, err := unix.Openat(int(parent.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP): // another one by now
		return nil
	case err != nil:
		return ignoreNotExist(&os.PathError{Op: "open", Path: full, Err: err})
	}
	dir := os.NewFile(uintptr(fd), full)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := walkFile(ctx, dir, n, path.Join(full, n), depth+1, visit); err != nil {
			return err
		}
	}
	return nil
}

// give makes uid the owner of the file, if its owner is still the one that was found.
func (f ownedFile) give(ctx context.Context, h *Host, uid uint32) error {
	fd, err := unix.Openat(int(f.parent.Fd()), f.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return ignoreNotExist(&os.PathError{Op: "open", Path: f.path, Err: err})
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Uid != f.uid || st.Uid == uid {
		return err
	}
	h.Log.InfoContext(ctx, "giving away", "file", f.path, "from", f.uid, "to", uid)
	if err := unix.Fchownat(fd, "", int(uid), -1, unix.AT_EMPTY_PATH); err != nil {
		return explainFull(&os.PathError{Op: "chown", Path: f.path, Err: err})
	}
	killpoint("file-given")
	return nil
}

// syncOwned makes the owners of the files last over a loss of power.
func syncOwned(h *Host) error {
	for _, name := range ownedDirectories {
		path, err := h.Root.Path(name)
		if err != nil {
			return err
		}
		dir, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = unix.Syncfs(int(dir.Fd()))
		dir.Close()
		if err != nil {
			return &os.PathError{Op: "syncfs", Path: path, Err: err}
		}
	}
	return nil
}
