package definitions

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Bounds of what is taken in. ClamAV's main.cvd has 170 MB, a daily.cld 300 MB.
const (
	MaxFile  = 1 << 30 // bytes of one file
	MaxSet   = 3 << 30 // bytes of a set
	MaxFiles = 512     // definition files of one directory
	maxNames = 8192    // names of one directory, of whatever kind
	maxSign  = 64 << 10
)

// source is a directory that definitions are taken from. It is opened once, and files are opened below it, so that whoever owns it cannot put
// another in its place meanwhile.
type source struct {
	dir   *os.File
	owner uint32
	names []string // of definition files, sorted
	other []string // of everything else
}

// openSource opens a directory and lists it.
func openSource(path string) (*source, error) {
	d, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	s := &source{dir: d}
	if err := s.list(); err != nil {
		d.Close()
		return nil, err
	}
	return s, nil
}

func (s *source) Close() error { return s.dir.Close() }

func (s *source) list() error {
	var st unix.Stat_t
	if err := unix.Fstat(int(s.dir.Fd()), &st); err != nil {
		return &fs.PathError{Op: "fstat", Path: s.dir.Name(), Err: err}
	}
	s.owner = st.Uid
	if st.Mode&0o002 != 0 {
		return fmt.Errorf("%s: mode %#o: expected a directory that others cannot write to; chmod o-w mends it", s.dir.Name(), st.Mode&0o7777)
	}
	all, err := s.dir.Readdirnames(maxNames + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(all) > maxNames {
		return fmt.Errorf("%s: more than %d names: expected a directory of definitions", s.dir.Name(), maxNames)
	}
	slices.Sort(all)
	for _, name := range all {
		if isDefinition(name) {
			s.names = append(s.names, name)
		} else {
			s.other = append(s.other, name)
		}
	}
	if len(s.names) > MaxFiles {
		return fmt.Errorf("%s: %d definition files: expected at most %d", s.dir.Name(), len(s.names), MaxFiles)
	}
	return nil
}

// open opens a file without following a link or waiting for a FIFO's other end. Where it must not be read, the failed check says why.
func (s *source) open(name string) (*os.File, unix.Stat_t, []Check) {
	checks := []Check{checkName(name)}
	if checks[0].Verdict == Failed {
		return nil, unix.Stat_t{}, checks
	}
	fail := func(step Step, read, expected string) []Check {
		return append(checks, Check{File: name, Step: step, Verdict: Failed, Read: read, Expected: expected})
	}
	fd, err := unix.Openat(int(s.dir.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, unix.Stat_t{}, fail(StepFile, "symbolic link", "a regular file")
	case err != nil:
		return nil, unix.Stat_t{}, fail(StepFile, err.Error(), "a file that can be read")
	}
	f := os.NewFile(uintptr(fd), s.dir.Name()+"/"+name)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		f.Close()
		return nil, st, fail(StepFile, err.Error(), "a file that can be read")
	}
	checks = append(checks, s.checkStat(name, &st)...)
	if _, failed := failure(checks); failed {
		f.Close()
		return nil, st, checks
	}
	return f, st, checks
}

// checkStat judges what fstat(2) says of a file: its type, who may have written it, its size.
func (s *source) checkStat(name string, st *unix.Stat_t) []Check {
	file := Check{File: name, Step: StepFile, Verdict: Passed, Read: typeName(st.Mode)}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		file.Verdict, file.Expected = Failed, typeName(unix.S_IFREG)
		return []Check{file}
	}
	owner := Check{File: name, Step: StepOwner, Verdict: Passed, Read: fmt.Sprintf("uid %d, gid %d, mode %04o", st.Uid, st.Gid, st.Mode&0o7777)}
	switch {
	case st.Uid != 0 && st.Uid != s.owner:
		owner.Verdict, owner.Expected = Failed, fmt.Sprintf("root or uid %d, who owns the directory", s.owner)
	case st.Mode&0o002 != 0, st.Mode&0o020 != 0 && st.Gid != 0:
		owner.Verdict, owner.Expected = Failed, "a file that only its owner can write to; chmod go-w mends it"
	case st.Nlink > 1 && s.owner != 0:
		// Whoever owns the directory could link a file into it that only root can read, and would find it in a set that all can read.
		owner.Verdict, owner.Read, owner.Expected = Failed, fmt.Sprintf("%d names of one file", st.Nlink), "one name, since the directory is not root's"
	}
	size := Check{File: name, Step: StepSize, Verdict: Passed, Read: fmt.Sprintf("%d bytes", st.Size)}
	if least, most := sizes(name); st.Size < least || st.Size > most {
		size.Verdict, size.Expected = Failed, fmt.Sprintf("%d to %d bytes", least, most)
	}
	return []Check{file, owner, size}
}

func sizes(name string) (least, most int64) {
	switch kinds[extension(name)].form {
	case Container:
		return HeaderSize + 1, MaxFile
	case Signature:
		return 1, maxSign
	}
	return 1, MaxFile
}

var typeNames = map[uint32]string{
	unix.S_IFREG: "regular file", unix.S_IFDIR: "directory", unix.S_IFLNK: "symbolic link", unix.S_IFIFO: "FIFO",
	unix.S_IFSOCK: "socket", unix.S_IFCHR: "character device", unix.S_IFBLK: "block device",
}

func typeName(mode uint32) string {
	if n, ok := typeNames[mode&unix.S_IFMT]; ok {
		return n
	}
	return fmt.Sprintf("type %#o", mode&unix.S_IFMT)
}

// unfinished are names under which updaters keep what they are still writing: freshclam(1) a folder tmp.HEX, others a suffix.
func unfinished(name string) bool {
	for _, suffix := range []string{".tmp", ".part", ".partial", ".download", ".new"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return strings.HasPrefix(name, "tmp.") || strings.HasPrefix(name, ".") && isDefinition(strings.TrimLeft(name, "."))
}
