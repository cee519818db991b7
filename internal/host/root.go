package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"syscall"

	securejoin "github.com/cyphar/filepath-securejoin"
	"golang.org/x/sys/unix"
)

// What can be wrong with a file that was named, beside not being there. They are bad input, not a state of the host.
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrTooLarge   = errors.New("too large")
	ErrMalformed  = errors.New("malformed")
)

// maxEntries bounds a directory listing.
const maxEntries = 1 << 16

// Root is a directory that stands for /.
type Root struct{ dir string }

// At returns the root at dir; "" and "/" are the running host. It touches nothing: Check tells whether dir is there.
func At(dir string) Root {
	if dir == "" {
		return Root{"/"}
	}
	abs, err := filepath.Abs(dir)
	if err != nil { // no working directory any more; errors come when something is read
		abs = filepath.Clean(dir)
	}
	return Root{abs}
}

// Dir is the directory that stands for /.
func (r Root) Dir() string {
	if r.dir == "" {
		return "/"
	}
	return r.dir
}

// Live reports whether the root is the running host's own.
func (r Root) Live() bool { return r.Dir() == "/" }

// Check reports why the root cannot be looked at: it does not exist, or is not a directory that may be searched.
func (r Root) Check() error {
	fi, err := os.Stat(r.Dir())
	if err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if !fi.IsDir() {
		return fmt.Errorf("root: open %s: %w", r.Dir(), syscall.ENOTDIR)
	}
	if err := unix.Access(r.Dir(), unix.X_OK); err != nil {
		return fmt.Errorf("root: search %s: %w", r.Dir(), err)
	}
	return nil
}

// Path resolves name below the root. Symbolic links, absolute ones too, are followed as if the root were /, so that those
// of an image never lead out of it. What does not exist yet is joined as it is.
func (r Root) Path(name string) (string, error) {
	return securejoin.SecureJoin(r.Dir(), name)
}

// parent resolves all of name but its last element.
func (r Root) parent(name string) (string, error) {
	clean := filepath.Join("/", name)
	dir, err := r.Path(filepath.Dir(clean))
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(clean)), nil
}

// ReadFile reads a regular file of at most limit bytes. It never blocks: a FIFO, device, socket or directory is
// ErrNotRegular, a longer file is ErrTooLarge, and both errors name the file.
func (r Root) ReadFile(name string, limit int64) ([]byte, error) {
	path, err := r.Path(name)
	if err != nil {
		return nil, err
	}
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("read %s: %w: more than %d bytes", path, ErrTooLarge, limit)
	}
	return b, nil
}

// openRegular opens a path that has been resolved. The type is looked at before opening, because opening a device can have
// effects of its own (a watchdog, a tape), and again after, because the name may have changed in between.
func openRegular(path string) (*os.File, error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if err := regular(path, fi); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	fi, err = f.Stat()
	if err == nil {
		err = regular(path, fi)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

var typeNames = map[fs.FileMode]string{
	fs.ModeDir:                        "a directory",
	fs.ModeSymlink:                    "a symbolic link",
	fs.ModeNamedPipe:                  "a FIFO",
	fs.ModeSocket:                     "a socket",
	fs.ModeDevice:                     "a block device",
	fs.ModeDevice | fs.ModeCharDevice: "a character device",
}

func regular(path string, fi fs.FileInfo) error {
	if fi.Mode().IsRegular() {
		return nil
	}
	what := typeNames[fi.Mode().Type()]
	if what == "" {
		what = fi.Mode().Type().String()
	}
	return fmt.Errorf("open %s: %w but %s", path, ErrNotRegular, what)
}

// Stat describes what name leads to; links are followed inside the root.
func (r Root) Stat(name string) (fs.FileInfo, error) {
	path, err := r.Path(name)
	if err != nil {
		return nil, err
	}
	return os.Lstat(path)
}

// Lstat describes name itself, a symbolic link included.
func (r Root) Lstat(name string) (fs.FileInfo, error) {
	path, err := r.parent(name)
	if err != nil {
		return nil, err
	}
	return os.Lstat(path)
}

// Readlink returns the text of the symbolic link name, as it stands there.
func (r Root) Readlink(name string) (string, error) {
	path, err := r.parent(name)
	if err != nil {
		return "", err
	}
	return os.Readlink(path)
}

// ReadDir lists a directory, sorted by name. More than 65 536 entries are ErrTooLarge.
func (r Root) ReadDir(name string) ([]fs.DirEntry, error) {
	path, err := r.Path(name)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(maxEntries + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(entries) > maxEntries {
		return nil, fmt.Errorf("read %s: %w: more than %d entries", path, ErrTooLarge, maxEntries)
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
	return entries, nil
}

// exists reports whether name leads to something; an error other than "not there" counts as not known and is returned.
func (r Root) exists(name string) (bool, error) {
	_, err := r.Stat(name)
	switch {
	case err == nil:
		return true, nil
	case securejoin.IsNotExist(err):
		return false, nil
	}
	return false, err
}
