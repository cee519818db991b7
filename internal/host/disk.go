package host

import (
	"context"
	"fmt"
	"path/filepath"

	securejoin "github.com/cyphar/filepath-securejoin"
	"golang.org/x/sys/unix"
)

// diskPaths is where the product writes. A path that is not there yet is answered for its closest parent that is.
var diskPaths = []string{"/", "/etc", "/opt", "/var", "/var/lib/cisco", "/var/log/cisco"}

// disks reads the room at each path. The kernel may never answer for a network file system whose server is away, so the
// question is left behind when ctx ends.
func disks(ctx context.Context, r Root) []DiskFact {
	facts := make([]DiskFact, 0, len(diskPaths))
	for _, path := range diskPaths {
		answer := make(chan DiskFact, 1)
		go func() { answer <- disk(r, path) }()
		select {
		case fact := <-answer:
			facts = append(facts, fact)
		case <-ctx.Done():
			err := fmt.Errorf("statfs %s: no answer: %w", path, ctx.Err())
			facts = append(facts, DiskFact{path, NotKnown[uint64]("statfs", err), NotKnown[bool]("statfs", err)})
		}
	}
	return facts
}

func disk(r Root, path string) DiskFact {
	st, at, err := statfs(r, path)
	from := "statfs " + at
	if err != nil {
		return DiskFact{path, NotKnown[uint64](from, err), NotKnown[bool](from, err)}
	}
	block := uint64(st.Bsize)
	if st.Frsize > 0 {
		block = uint64(st.Frsize)
	}
	return DiskFact{path, Read(st.Bavail*block, from), Read(st.Flags&unix.ST_RDONLY != 0, from)}
}

// statfs asks for path or its closest parent that exists, and says which.
func statfs(r Root, path string) (st unix.Statfs_t, at string, err error) {
	for at = path; ; at = filepath.Dir(at) {
		real, err := r.Path(at)
		if err == nil {
			err = unix.Statfs(real, &st)
		}
		if err == nil || at == "/" || !securejoin.IsNotExist(err) {
			if err != nil {
				err = fmt.Errorf("statfs %s: %w", at, err)
			}
			return st, at, err
		}
	}
}

// readOnly reports whether the file system at path is mounted read-only.
func readOnly(r Root, path string) (bool, error) {
	st, _, err := statfs(r, path)
	return st.Flags&unix.ST_RDONLY != 0, err
}
