package policy

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// MaxBytes is the size that a policy file may have.
const MaxBytes = 1 << 20

// Load reads the policy file at path, which the caller has resolved below its root. Where there is no file it returns the default
// policy together with an error that is fs.ErrNotExist: the caller decides whether that is worth a word. Any other error comes with
// an empty policy and names the file, and the line where there is one.
func Load(path string) (Policy, error) {
	b, err := read(path)
	if os.IsNotExist(err) {
		return Default(), err
	}
	if err != nil {
		return Policy{}, err
	}
	return Parse(path, b)
}

// LoadExclusions reads the exclusions of a host. Where there is no file it returns none, together with an error that is
// fs.ErrNotExist; otherwise as Load.
func LoadExclusions(path string) (Exclusions, error) {
	b, err := read(path)
	if err != nil {
		return Exclusions{}, err
	}
	return ParseExclusions(path, b)
}

// read gives the bytes of a regular file of a bounded size.
func read(path string) ([]byte, error) {
	// O_NONBLOCK keeps a FIFO in the file's place from hanging the reader.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: expected a regular file, found %s", path, st.Mode().Type())
	}
	return io.ReadAll(io.LimitReader(f, MaxBytes+1))
}
