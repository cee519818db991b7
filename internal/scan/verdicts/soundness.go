package verdicts

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// Beside the file stands another one that says how it was left: "closed SIZE CHECKSUM", or "open TIMES" while it is open.
//
// bbolt follows what it reads as if it were pointers. What a damaged page then does to a Go program cannot always be caught (guard catches
// what can), and a daemon that ends on its own cache would end again at the next start. So what was closed is read through before it is
// opened, and a file with which the daemon ended twice in a row, for whatever reason, is not opened a third time.
const mostUnclean = 2

func statePath(path string) string { return path + ".state" }

// checkSound reads how the file was left, and notes that it is open.
func checkSound(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		return noteOpen(path, 1)
	}
	b, _ := os.ReadFile(statePath(path)) // none: one time is what is known
	unclean := 1
	var size, n int64
	var sum uint32
	if _, err := fmt.Sscanf(string(b), "closed %d %x\n", &size, &sum); err == nil {
		isSize, isSum, err := checksumFile(path)
		if err != nil {
			return err
		}
		if isSize != size || isSum != sum {
			return &damage{fmt.Sprintf("it has %d bytes with checksum %08x, and was closed with %d and %08x", isSize, isSum, size, sum)}
		}
		unclean = 0
	} else if _, err := fmt.Sscanf(string(b), "open %d\n", &n); err == nil {
		unclean = int(max(0, min(n, mostUnclean)))
	}
	if unclean >= mostUnclean {
		return &damage{fmt.Sprintf("the daemon ended %d times in a row while it was open", unclean)}
	}
	return noteOpen(path, unclean+1)
}

func noteOpen(path string, times int) error {
	return os.WriteFile(statePath(path), fmt.Appendf(nil, "open %d\n", times), 0o600)
}

func noteClosed(path string) error {
	size, sum, err := checksumFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(statePath(path), fmt.Appendf(nil, "closed %d %08x\n", size, sum), 0o600)
}

func checksumFile(path string) (size int64, sum uint32, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	h := crc32.New(castagnoli)
	size, err = io.Copy(h, f)
	return size, h.Sum32(), err
}
