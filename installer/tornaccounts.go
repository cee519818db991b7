package installer

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/host"
)

// A power loss ends an account tool in the middle of its work. It replaces passwd(5) or group(5) first and shadow(5) or gshadow(5) after
// that, each by renaming a file with a "+" at its end (shadow, commonio.c, commonio_close), and synchronizes no folder. So an entry may
// come to be in one file of the two, with the rest of the work beside the other one.

// accountPair is a file of entries, and the one that holds their passwords; a host may have none of the latter.
type accountPair struct{ entries, passwords string }

var (
	userFiles  = accountPair{host.PasswdPath, host.ShadowPath}
	groupFiles = accountPair{host.GroupPath, host.GShadowPath}
)

// mend clears what an interrupted tool left of an entry, so that its name is in both files or in the first one only.
func (p accountPair) mend(ctx context.Context, h *Host, name string) error {
	if err := p.clear(h); err != nil {
		return err
	}
	first, second, err := p.has(h, name)
	if err != nil || first || !second {
		return err
	}
	err = rewriteAccountFile(ctx, h, p.passwords, func(b []byte) ([]byte, error) { return withoutEntry(b, name), nil })
	if err == nil {
		h.Log.WarnContext(ctx, "removed what an interrupted account tool left", "file", p.passwords, "entry", name)
	}
	return err
}

// clear removes what an interrupted tool left beside the files.
func (p accountPair) clear(h *Host) error {
	return errors.Join(clearPart(h, p.entries), clearPart(h, p.passwords))
}

// half reports whether only the first of the two files has the entry.
func (p accountPair) half(h *Host, name string) (bool, error) {
	first, second, err := p.has(h, name)
	return first && !second, err
}

// has reports which of the files have the entry. A file that the host does not have counts as if it had it with the other one.
func (p accountPair) has(h *Host, name string) (first, second bool, err error) {
	if first, err = fileHasEntry(h, p.entries, name); err != nil {
		return first, false, err
	}
	second, err = fileHasEntry(h, p.passwords, name)
	if errors.Is(err, fs.ErrNotExist) {
		return first, first, nil
	}
	return first, second, err
}

func fileHasEntry(h *Host, file, name string) (bool, error) {
	b, err := h.Root.ReadFile(file, maxAccountFile)
	return !bytes.Equal(b, withoutEntry(b, name)), err
}

// withoutEntry is the text of an account file without the lines of a name.
func withoutEntry(b []byte, name string) []byte {
	var kept []byte
	for line := range bytes.Lines(b) {
		if !bytes.HasPrefix(line, []byte(name+":")) {
			kept = append(kept, line...)
		}
	}
	return kept
}

// clearPart removes the new file that a tool was about to put in the place of an account file when it ended. Nobody can be writing it
// while we have the locks.
func clearPart(h *Host, file string) error {
	path, err := h.Root.Path(file)
	if err != nil {
		return err
	}
	_, partErr := os.Lstat(path + "+")
	lock, err := readAccountLock(h, file+".lock")
	if err != nil || partErr != nil && (lock == nil || !lock.dead()) {
		return err
	}
	unlock, err := lockAccountFile(h, file)
	if err != nil {
		return err
	}
	defer unlock()
	_, err = durable.Remove(path + "+")
	return err
}
