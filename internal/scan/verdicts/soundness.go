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
// opened, and a file with which the daemon ended twice in a row, for whatever reason, is not opened a third time. That is judged when a process
// opens it first: one that lets go of it, as while the disk is full, and takes it up again has not ended.
const mostUnclean = 2

func statePath(path string) string { return path + ".state" }

// checkSound reads how the file was left: how many times in a row the daemon ended while it was open, and what says so.
func checkSound(path string) (unclean int, left []byte, err error) {
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		return 0, opened(0), nil
	}
	left, _ = os.ReadFile(statePath(path)) // none: one time is what is known
	unclean = 1
	var size, n int64
	var sum uint32
	if _, err := fmt.Sscanf(string(left), "closed %d %x\n", &size, &sum); err == nil {
		isSize, isSum, err := checksumFile(path)
		if err != nil {
			return 0, nil, err
		}
		if isSize != size || isSum != sum {
			return 0, nil, &damage{fmt.Sprintf("it has %d bytes with checksum %08x, and was closed with %d and %08x", isSize, isSum, size, sum)}
		}
		return 0, left, nil
	}
	if _, err := fmt.Sscanf(string(left), "open %d\n", &n); err == nil {
		unclean = int(max(0, min(n, mostUnclean)))
	}
	if unclean >= mostUnclean {
		return 0, nil, &damage{fmt.Sprintf("the daemon ended %d times in a row while it was open", unclean)}
	}
	return unclean, opened(unclean), nil
}

func opened(times int) []byte { return fmt.Appendf(nil, "open %d\n", times) }

func noteOpen(path string, times int) error { return noteLeft(path, opened(times)) }

// noteLeft notes how the file is left.
func noteLeft(path string, left []byte) error { return os.WriteFile(statePath(path), left, 0o600) }

func noteClosed(path string) error {
	size, sum, err := checksumFile(path)
	if err != nil {
		return err
	}
	return noteLeft(path, fmt.Appendf(nil, "closed %d %08x\n", size, sum))
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
