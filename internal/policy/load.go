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
	// O_NONBLOCK keeps a FIFO in the file's place from hanging the reader.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if os.IsNotExist(err) {
		return Default(), err
	}
	if err != nil {
		return Policy{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Policy{}, err
	}
	if !st.Mode().IsRegular() {
		return Policy{}, fmt.Errorf("%s: expected a regular file, found %s", path, st.Mode().Type())
	}
	b, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return Policy{}, err
	}
	return Parse(path, b)
}
