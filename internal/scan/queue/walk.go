package queue

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

	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// Bounds of a walk.
const (
	maxDepth   = 256 // directories in one another, each of which is open
	maxEntries = 256 // that are read of a directory at once
)

// walk goes through files, and does not follow symbolic links on its way. Each step is one from an open directory, so nobody who moves
// directories about leads it out of the tree.
type walk struct {
	cross   bool
	ignored *ignored
	// look is asked of each regular file below a directory before anything is opened; true: the file has been dealt with.
	look    func(path string, id *verdicts.Identity) bool
	file    func(h *handle, path string) error // owns the handle; an error ends the walk
	trouble func(path string, err error)
	skipped func(path string)
	folder  func() // a directory is entered
}

// from walks what a person named: a file, or a directory and all below it. A symbolic link that is named is followed.
func (w *walk) from(ctx context.Context, path string) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		w.trouble(path, &os.PathError{Op: "open", Path: path, Err: err})
		return nil //nolint:nilerr // told
	}
	h, err := newHandle(fd, path)
	if err != nil {
		w.trouble(path, err)
		return nil
	}
	return w.visit(ctx, h, path, uint64(h.stat.Dev), 0) //nolint:unconvert // not 64 bits everywhere
}

// visit deals with what stands at a path, and closes the handle.
func (w *walk) visit(ctx context.Context, h *handle, path string, device uint64, depth int) error {
	switch h.stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		if w.ignored.path(path) {
			h.close()
			w.skipped(path)
			return nil
		}
		return w.file(h, path)
	case unix.S_IFDIR:
		defer h.close()
		if w.passes(h, path, device, depth) {
			w.folder()
			return w.directory(ctx, h, path, depth)
		}
		return nil
	}
	h.close() // links, devices, sockets: nothing to scan
	return nil
}

// passes reports whether a directory is entered.
func (w *walk) passes(h *handle, path string, device uint64, depth int) bool {
	other := uint64(h.stat.Dev) != device //nolint:unconvert // not 64 bits everywhere
	switch {
	case depth >= maxDepth:
		w.trouble(path, fmt.Errorf("%s: more than %d directories in one another", path, maxDepth))
		return false
	case w.ignored.path(strings.TrimSuffix(path, "/") + "/"), other && !w.cross, (other || depth == 0) && isPseudo(h.fd):
		w.skipped(path)
		return false
	}
	return true
}

// isPseudo reports whether a directory is of a file system that shows the kernel's own data as files.
func isPseudo(fd int) bool {
	var fs unix.Statfs_t
	return unix.Fstatfs(fd, &fs) == nil && slices.Contains(pseudo, uint32(fs.Type))
}

var pseudo = []uint32{
	unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC,
	unix.SECURITYFS_MAGIC, unix.SELINUX_MAGIC, unix.BPF_FS_MAGIC, unix.DEVPTS_SUPER_MAGIC, unix.EFIVARFS_MAGIC, unix.BINFMTFS_MAGIC, unix.PSTOREFS_MAGIC,
}

func (w *walk) directory(ctx context.Context, h *handle, path string, depth int) error {
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", h.fd), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		w.trouble(path, &os.PathError{Op: "open", Path: path, Err: err})
		return nil
	}
	dir := os.NewFile(uintptr(fd), path)
	defer dir.Close()
	in, err := verdicts.InDirectory(fd)
	if err != nil {
		w.trouble(path, err)
		return nil
	}
	for {
		names, err := dir.Readdirnames(maxEntries)
		for _, name := range names {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			below := filepath.Join(path, name)
			if id, regular := in.Identify(name); regular && !w.ignored.path(below) && w.look(below, &id) {
				continue
			}
			if err := w.entry(ctx, fd, name, below, uint64(h.stat.Dev), depth+1); err != nil { //nolint:unconvert // not 64 bits everywhere
				return err
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				w.trouble(path, err)
			}
			return nil
		}
	}
}

func (w *walk) entry(ctx context.Context, dir int, name, path string, device uint64, depth int) error {
	h, err := hold(dir, name, unix.O_NOFOLLOW, unix.RESOLVE_NO_MAGICLINKS|unix.RESOLVE_BENEATH)
	if errors.Is(err, unix.ENOENT) {
		return nil // deleted meanwhile
	}
	if err != nil {
		w.trouble(path, err)
		return nil
	}
	return w.visit(ctx, h, path, device, depth)
}
