package host

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of Folder.
const (
	maxNames    = 4096
	maxUnpacked = 256 << 20 // bytes of a compressed file that are gone through
)

// Folder is a directory to read files of. No link in it leads out of it, whoever changes it meanwhile.
type Folder struct {
	root *os.Root
	name string
}

// OpenFolder opens a directory. Links on the way to it are followed inside the root.
func (r Root) OpenFolder(name string) (*Folder, error) {
	path, err := r.Path(name)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &Folder{root, name}, nil
}

// Close closes it.
func (f *Folder) Close() error { return f.root.Close() }

// Names lists what is not a directory in the folder and in those below it, so many of them deep (0: in it alone), by its path from there, in lexical
// order, as far as match says so. More than 4096 are ErrTooLarge. What could be listed is returned beside an error.
func (f *Folder) Names(deep int, match func(path string) bool) (names []string, err error) {
	var errs []error
	walkErr := fs.WalkDir(f.root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			errs = append(errs, err)
		case d.IsDir() && path != "." && strings.Count(path, "/") >= deep:
			return fs.SkipDir
		case !d.IsDir() && match(path):
			if len(names) == maxNames {
				return fmt.Errorf("list %s: %w: more than %d files", f.name, ErrTooLarge, maxNames)
			}
			names = append(names, path)
		}
		return nil
	})
	return names, errors.Join(append(errs, walkErr)...)
}

// End is the end of a file.
type End struct {
	Content  []byte
	Size     int64 // bytes of the file, unpacked where it is compressed
	Modified time.Time
}

// ReadEnd reads at most limit bytes of the end of a regular file; one whose name ends in .gz is unpacked. A FIFO, device, socket or directory is
// ErrNotRegular. What is appended meanwhile is not read.
func (f *Folder) ReadEnd(name string, limit int64) (End, error) {
	file, fi, err := f.open(name)
	if err != nil {
		return End{}, err
	}
	defer file.Close()
	if strings.HasSuffix(name, ".gz") {
		b, size, err := unpackedEnd(io.LimitReader(file, fi.Size()), limit)
		if err != nil {
			return End{}, fmt.Errorf("unpack %s/%s: %w", f.name, name, err)
		}
		return End{b, size, fi.ModTime()}, nil
	}
	from := max(0, fi.Size()-limit)
	b, err := io.ReadAll(io.LimitReader(io.NewSectionReader(file, from, fi.Size()-from), limit))
	return End{b, from + int64(len(b)), fi.ModTime()}, err
}

// open opens a regular file, and looks at its type before and after, as openRegular does.
func (f *Folder) open(name string) (*os.File, fs.FileInfo, error) {
	path := f.name + "/" + name
	fi, err := f.root.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if err := regular(path, fi); err != nil {
		return nil, nil, err
	}
	file, err := f.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	fi, err = file.Stat()
	if err == nil {
		err = regular(path, fi)
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, fi, nil
}

// unpackedEnd is the end of what gzip(1) compressed, and its whole size.
func unpackedEnd(r io.Reader, limit int64) (end []byte, size int64, err error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, 0, err
	}
	chunk := make([]byte, 64<<10)
	for {
		n, err := z.Read(chunk)
		size += int64(n)
		end = append(end, chunk[:n]...)
		if int64(len(end)) > 2*limit {
			end = append(end[:0], end[int64(len(end))-limit:]...)
		}
		switch {
		case errors.Is(err, io.EOF):
			return bytes.Clone(end[max(0, int64(len(end))-limit):]), size, nil
		case err != nil:
			return nil, size, err
		case size > maxUnpacked:
			return nil, size, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, maxUnpacked)
		}
	}
}
