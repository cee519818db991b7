package kmod

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/ampconnector/amp/internal/host"
)

// unpackedDir is where unpacked copies are of modules that the kernel's own modules have packed.
func unpackedDir(release string) string { return path.Join(BuiltDir, release+"-unpacked") }

// errPacked is a packed module that cannot be unpacked.
var errPacked = errors.New("cannot be unpacked")

// loadInstalled loads the module that the kernel's own modules have: DKMS builds ours there where an administrator has it do so, and others that make
// packages of kernel modules may. Where those are is told by depmod(8), whose order also says which of two is meant.
func (l *loader) loadInstalled(m *module) error {
	release := l.kernel.Release
	file, b, err := m.installed(l.root, release)
	if err != nil {
		return err
	}
	if path.Ext(file) == ".ko" {
		return l.load(m, path.Dir(file), signedDir(release))
	}
	// The kernel unpacks by itself since Linux 5.17, where it is configured to, and not all ways: a copy is what every kernel takes.
	dir := unpackedDir(release)
	if err := putModules(l.root, dir, map[string][]byte{m.file(): b}); err != nil {
		return err
	}
	return l.load(m, dir, dir)
}

// installed reads the module that the modules of a kernel have, unpacked. The error is fs.ErrNotExist where they have none of the name.
func (m *module) installed(r host.Root, release string) (file string, b []byte, err error) {
	file = moduleFile(r, release, m.name)
	if file == "" {
		return "", nil, fmt.Errorf("%s in the modules of %s: %w", m.name, release, fs.ErrNotExist)
	}
	if b, err = r.ReadFile(file, maxModule); err == nil {
		b, err = unpack(path.Ext(file), b)
	}
	if err != nil {
		return file, nil, fmt.Errorf("%s: %w", file, err)
	}
	return file, b, nil
}

// unpack unpacks a module, by the end of its name, to at most 64 MiB. The ways are those that a kernel may be built with (CONFIG_MODULE_COMPRESS).
func unpack(end string, b []byte) ([]byte, error) {
	from, err := unpacker(end, bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPacked, err)
	}
	defer from.Close()
	out, err := io.ReadAll(io.LimitReader(from, maxModule+1))
	if err == nil && len(out) > maxModule {
		err = fmt.Errorf("%w: more than %d bytes", host.ErrTooLarge, maxModule)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPacked, err)
	}
	return out, nil
}

// unpacker is no table, so that programs which unpack nothing are linked without the libraries.
func unpacker(end string, from io.Reader) (io.ReadCloser, error) {
	switch end {
	case ".ko":
		return io.NopCloser(from), nil
	case ".gz":
		return gzip.NewReader(from)
	case ".xz":
		r, err := xz.NewReader(from)
		return io.NopCloser(r), err
	case ".zst":
		r, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxModule))
		if err != nil {
			return nil, err
		}
		return r.IOReadCloser(), nil
	}
	return nil, fmt.Errorf("it ends in %q, expected .ko, .gz, .xz or .zst", end)
}
