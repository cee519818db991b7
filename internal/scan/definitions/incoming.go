package definitions

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

// Quiet is how long nothing may have changed in a directory before it is taken for finished.
const Quiet = 5 * time.Second

// Sighting is what a directory looked like. It costs one fstatat(2) a file.
type Sighting struct {
	Fingerprint string    `json:"fingerprint"` // of names, inodes, sizes and times; "" where there is no definition file
	Files       int       `json:"files"`
	Changed     time.Time `json:"changed"`              // when one of its files or the directory last did (ctime)
	Unfinished  []string  `json:"unfinished,omitempty"` // what an updater seems to be writing still
}

// Settled reports whether an updater has finished, as far as can be told: nothing changed for Quiet, and nothing is there that looks like a
// download under way, unless that has been left for an hour. A clock that was set back does not keep it waiting.
func (s Sighting) Settled(now time.Time) bool {
	age := now.Sub(s.Changed)
	if age < 0 {
		return age < -Quiet
	}
	return age >= Quiet && len(s.Unfinished) == 0 || age >= time.Hour
}

// Incoming looks at a directory, whose files are not read. An error that is fs.ErrNotExist means that there is none.
func Incoming(dir string) (Sighting, error) {
	s, err := openSource(dir)
	if err != nil {
		return Sighting{}, err
	}
	defer s.Close()
	return s.sight()
}

func (s *source) sight() (Sighting, error) {
	var out Sighting
	sum := sha256.New()
	see := func(name string) error {
		var st unix.Stat_t
		err := unix.Fstatat(int(s.dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if errors.Is(err, unix.ENOENT) {
			out.Unfinished = append(out.Unfinished, name) // it has just gone: someone is at work
			return nil
		}
		if err != nil {
			return &fs.PathError{Op: "fstatat", Path: s.dir.Name() + "/" + name, Err: err}
		}
		if at := time.Unix(st.Ctim.Unix()); at.After(out.Changed) {
			out.Changed = at
		}
		if name != "." {
			fmt.Fprintf(sum, "%q %d %d %d %d %d %o %d %d\n", name, st.Dev, st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano(), st.Mode, st.Uid, st.Gid)
			out.Files++
		}
		return nil
	}
	for _, name := range append([]string{"."}, s.names...) {
		if err := see(name); err != nil {
			return Sighting{}, err
		}
	}
	for _, name := range s.other {
		if unfinished(name) {
			out.Unfinished = append(out.Unfinished, name)
		}
	}
	if out.Files > 0 {
		out.Fingerprint = hex.EncodeToString(sum.Sum(nil)[:16])
	}
	return out, nil
}
