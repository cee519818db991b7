package actions

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// files are what children do to files. Each has a directory of its own, which is gone when it is over; what that makes of events
// comes last, and is not told.
func files() map[string]Action {
	all := map[string]Action{}
	for name, do := range map[string]func(*fileScript) error{
		"file-write":      writes,
		"file-names":      names,
		"file-relative":   relativeNames,
		"file-nameless":   nameless,
		"file-attributes": attributes,
		"file-map":        mapExecutable,
		"file-copy":       copies,
		"file-clone":      clone,
		"file-close":      closings,
		"file-exit":       exitWithOpenFile,
		"file-memory":     onlyDescriptors,
		"file-refused":    refusals,
		"file-deep":       deepPath,
		"file-mount":      belowMount,
		"file-chroot":     chrooted,
	} {
		all[name] = func(r *Report) error { return (&fileScript{Report: r}).run(do) }
	}
	return all
}

// filesPrefix begins the names of the directories in which actions on files take place.
const filesPrefix = "amp-actions-"

// fileScript is an action on files.
type fileScript struct {
	*Report
	dir string
}

func (s *fileScript) run(do func(*fileScript) error) error {
	dir, err := os.MkdirTemp("", filesPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s.dir = dir
	s.expect(monitor.Event{Kind: monitor.FileCreate, File: monitor.File{Path: dir}})
	return do(s)
}

func (s *fileScript) at(name string) string { return filepath.Join(s.dir, name) }

func (s *fileScript) expect(e monitor.Event) { s.Events = append(s.Events, e) }

// expects names, relative to the directory; target is "" where there is none.
func (s *fileScript) expects(kind monitor.Kind, name, target string) {
	e := monitor.Event{Kind: kind, File: monitor.File{Path: s.at(name)}}
	if target != "" {
		e.Target.Path = s.at(target)
	}
	s.expect(e)
}

// written expects what comes of a file that is made, filled and closed.
func (s *fileScript) written(name string, size uint64) {
	s.expects(monitor.FileCreate, name, "")
	s.rewritten(name, size)
}

func (s *fileScript) rewritten(name string, size uint64) {
	s.expect(monitor.Event{Kind: monitor.FileWrite, File: monitor.File{Path: s.at(name), Size: size}})
}

// make makes a file of 5 bytes.
func (s *fileScript) make(name string) error {
	s.written(name, 5)
	return os.WriteFile(s.at(name), []byte("12345"), 0o644)
}

func writes(s *fileScript) error {
	if err := s.make("a"); err != nil {
		return err
	}
	f, err := os.OpenFile(s.at("a"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	s.rewritten("a", 7)
	_, err = f.WriteString("67")
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	s.rewritten("a", 2)
	if err := os.WriteFile(s.at("a"), []byte("12"), 0); err != nil {
		return err
	}
	_, err = os.ReadFile(s.at("a")) // only read: no event
	return err
}

func names(s *fileScript) error {
	if err := s.make("a"); err != nil {
		return err
	}
	for _, do := range []struct {
		kind         monitor.Kind
		name, target string
		err          error
	}{
		{monitor.FileRename, "a", "b", os.Rename(s.at("a"), s.at("b"))},
		{monitor.FileLink, "b", "c", os.Link(s.at("b"), s.at("c"))},
		{monitor.FileCreate, "symlink", "", os.Symlink("nowhere", s.at("symlink"))},
		{monitor.FileCreate, "sub", "", os.Mkdir(s.at("sub"), 0o755)},
		{monitor.FileCreate, "fifo", "", unix.Mknod(s.at("fifo"), unix.S_IFIFO|0o600, 0)},
		{monitor.FileRename, "b", "sub/d", os.Rename(s.at("b"), s.at("sub/d"))},
		{monitor.FileRename, "sub", "sub2", os.Rename(s.at("sub"), s.at("sub2"))},
		{monitor.FileDelete, "sub2/d", "", unix.Unlink(s.at("sub2/../sub2/d"))},
		{monitor.FileDelete, "symlink", "", unix.Unlink(s.at("symlink"))},
		{monitor.FileDelete, "sub2", "", unix.Rmdir(s.at("sub2"))},
	} {
		if do.err != nil {
			return fmt.Errorf("%s %s %s: %w", do.kind, do.name, do.target, do.err)
		}
		s.expects(do.kind, do.name, do.target)
	}
	return nil
}

func relativeNames(s *fileScript) error {
	if err := s.make("a"); err != nil {
		return err
	}
	dir, err := unix.Open(s.dir, unix.O_DIRECTORY|unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := unix.Chdir(s.dir); err != nil {
		return err
	}
	defer unix.Chdir("/")
	for _, do := range []struct {
		kind         monitor.Kind
		name, target string
		err          error
	}{
		{monitor.FileCreate, "sub", "", unix.Mkdirat(dir, "sub", 0o755)},
		{monitor.FileCreate, "symlink", "", unix.Symlinkat("nowhere", dir, "symlink")},
		{monitor.FileCreate, "fifo", "", unix.Mknodat(dir, "./sub/../fifo", unix.S_IFIFO|0o600, 0)},
		{monitor.FileRename, "a", "sub/b", unix.Renameat(dir, "a", unix.AT_FDCWD, "sub//b")},
		{monitor.FileRename, "sub/b", "c", unix.Renameat2(unix.AT_FDCWD, "sub/b", dir, "c", unix.RENAME_NOREPLACE)},
		{monitor.FileLink, "c", "d", unix.Linkat(unix.AT_FDCWD, "./c", dir, "d", 0)},
		{monitor.FileDelete, "c", "", unix.Unlinkat(dir, "c", 0)},
		{monitor.FileDelete, "sub", "", unix.Unlinkat(unix.AT_FDCWD, "sub", unix.AT_REMOVEDIR)},
	} {
		if do.err != nil {
			return fmt.Errorf("%s %s %s: %w", do.kind, do.name, do.target, do.err)
		}
		s.expects(do.kind, do.name, do.target)
	}
	return nil
}

// nameless makes a file that gets its name later.
func nameless(s *fileScript) error {
	fd, err := unix.Open(s.dir, unix.O_TMPFILE|unix.O_WRONLY, 0o600)
	if err != nil {
		s.Skip = fmt.Sprintf("needs a file system with O_TMPFILE at %s: %v", s.dir, err)
		return nil
	}
	var st unix.Stat_t
	if err := errors.Join(unix.Fstat(fd, &st), unix.Linkat(fd, "", unix.AT_FDCWD, s.at("named"), unix.AT_EMPTY_PATH)); err != nil {
		return err
	}
	own := fmt.Sprintf("#%d", st.Ino)
	s.expects(monitor.FileLink, own, "named")
	s.rewritten(own+" (deleted)", 0)
	return unix.Close(fd)
}

func attributes(s *fileScript) error {
	if err := s.make("a"); err != nil {
		return err
	}
	fd, err := unix.Open(s.at("a"), unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for i, do := range []func() error{
		func() error { return unix.Fchmod(fd, 0o600) },
		func() error { return unix.Fchown(fd, 1, 2) },
		func() error { return unix.Chmod(s.at("a"), 0o640) },
		func() error { return unix.Chown(s.at("a"), 3, 4) },
		func() error { return unix.Fchmodat(unix.AT_FDCWD, s.at("a"), 0o4755, 0) },
		func() error { return unix.Lchown(s.at("a"), 5, 6) },
	} {
		if err := do(); err != nil {
			return fmt.Errorf("change %d: %w", i, err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
		s.expect(monitor.Event{Kind: monitor.FileAttributes, File: monitor.File{Path: s.at("a")}, Mode: st.Mode, Owner: st.Uid, Group: st.Gid})
	}
	return unix.Utimes(s.at("a"), []unix.Timeval{{}, {}}) // neither mode nor owner: no event
}

func mapExecutable(s *fileScript) error {
	if err := s.make("a"); err != nil {
		return err
	}
	f, err := os.Open(s.at("a"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.SchedSetaffinity(0, firstCPU()); err != nil {
		return err
	}
	s.expects(monitor.FileMap, "a", "")
	for _, protection := range []int{unix.PROT_READ, unix.PROT_READ | unix.PROT_EXEC, unix.PROT_READ | unix.PROT_EXEC} { // the third is a repetition
		b, err := unix.Mmap(int(f.Fd()), 0, 5, protection, unix.MAP_PRIVATE)
		if err != nil {
			return err
		}
		unix.Munmap(b)
	}
	return nil
}

func copies(s *fileScript) error {
	if err := s.make("a"); err != nil {
		return err
	}
	for name, copy := range map[string]func(to, from int) (int, error){
		"ranged": func(to, from int) (int, error) { return unix.CopyFileRange(from, nil, to, nil, 5, 0) },
		"sent":   func(to, from int) (int, error) { return unix.Sendfile(to, from, nil, 5) },
	} {
		from, err := unix.Open(s.at("a"), unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		to, err := unix.Open(s.at(name), unix.O_CREAT|unix.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		n, err := copy(to, from)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if n != 5 {
			return fmt.Errorf("%s: copied %d bytes, expected 5", name, n)
		}
		s.expects(monitor.FileCreate, name, "")
		s.expects(monitor.FileCopy, "a", name)
		s.rewritten(name, 5)
		if err := errors.Join(unix.Close(to), unix.Close(from)); err != nil {
			return err
		}
	}
	return nil
}

func clone(s *fileScript) error {
	if err := s.make("a"); err != nil {
		return err
	}
	from, err := os.Open(s.at("a"))
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Create(s.at("b"))
	if err != nil {
		return err
	}
	defer to.Close()
	if err := unix.IoctlFileClone(int(to.Fd()), int(from.Fd())); err != nil {
		s.Skip = fmt.Sprintf("needs a file system that shares extents at %s: %v", s.dir, err)
		return nil
	}
	s.expects(monitor.FileCreate, "b", "")
	s.expects(monitor.FileCopy, "a", "b")
	s.rewritten("b", 5)
	return nil
}

// closings are ways to close a file beside close(2).
func closings(s *fileScript) error {
	open := func(name string) (int, error) {
		fd, err := unix.Open(s.at(name), unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		if err == nil {
			_, err = unix.Write(fd, []byte("123"))
		}
		return fd, err
	}
	a, err := open("a")
	if err != nil {
		return err
	}
	b, err := open("b")
	if err != nil {
		return err
	}
	s.expects(monitor.FileCreate, "a", "")
	s.expects(monitor.FileCreate, "b", "")
	if err := unix.Dup3(a, b, unix.O_CLOEXEC); err != nil {
		return err
	}
	s.rewritten("b", 3)
	if err := unix.Close(a); err != nil { // b still has it
		return err
	}
	if err := unix.CloseRange(uint(b), uint(b), 0); err == unix.ENOSYS {
		unix.Close(b)
	} else if err != nil {
		return err
	}
	s.rewritten("a", 3)
	return nil
}

// exitWithOpenFile leaves a file to be closed by the end of the process, in a directory that it cannot remove then.
func exitWithOpenFile(s *fileScript) error {
	path := s.dir + "-left"
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	s.Other = path
	s.expect(monitor.Event{Kind: monitor.FileCreate, File: monitor.File{Path: path}})
	if _, err := unix.Write(fd, []byte("123")); err != nil {
		return err
	}
	s.expect(monitor.Event{Kind: monitor.FileWrite, File: monitor.File{Path: path, Size: 3}})
	return nil
}

// onlyDescriptors are files that no directory has: what is in memory is told of, what is a file by its mode alone is not.
func onlyDescriptors(s *fileScript) error {
	pidfd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return err
	}
	name := filepath.Base(s.dir)
	memory, err := unix.MemfdCreate("/"+name, unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	s.expect(monitor.Event{Kind: monitor.FileWrite, File: monitor.File{Path: "/memfd:/" + name + " (deleted)", Size: 3}})
	_, err = unix.Write(memory, []byte("123"))
	return errors.Join(err, unix.Close(pidfd), unix.Close(memory))
}

// refusals change nothing, and are not told.
func refusals(s *fileScript) error {
	for i, err := range []error{
		unix.Unlink(s.at("none")), unix.Rmdir(s.at("none")), unix.Rename(s.at("none"), s.at("b")), unix.Link(s.at("none"), s.at("b")),
		unix.Mkdir(s.dir, 0o755), unix.Symlink("x", s.dir), unix.Mknod(s.dir, unix.S_IFIFO, 0), unix.Chmod(s.at("none"), 0),
		unix.Chown(s.at("none"), 0, 0), unix.Rmdir(filepath.Dir(s.dir)),
	} {
		if err == nil {
			return fmt.Errorf("call %d succeeded", i)
		}
	}
	_, err := os.OpenFile(s.dir, os.O_CREATE|os.O_WRONLY, 0)
	if err == nil {
		return errors.New("opened a directory for writing")
	}
	return nil
}

// deepPath makes a file below 40 directories with names of 40 bytes.
func deepPath(s *fileScript) error {
	name := strings.TrimSuffix(strings.Repeat(strings.Repeat("d", 40)+"/", 40), "/")
	for at := 40; at <= len(name); at += 41 {
		s.expects(monitor.FileCreate, name[:at], "")
	}
	if err := os.MkdirAll(s.at(name), 0o755); err != nil {
		return err
	}
	return s.make(name + "/a")
}

// belowMount makes a file on another file system than its directory's.
func belowMount(s *fileScript) error {
	if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS|unix.CLONE_FS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")); err != nil {
		return err
	}
	s.expects(monitor.FileCreate, "m", "")
	s.expects(monitor.FileCreate, "m/n", "")
	err := errors.Join(
		os.Mkdir(s.at("m"), 0o755), unix.Mount("tmpfs", s.at("m"), "tmpfs", 0, ""),
		os.Mkdir(s.at("m/n"), 0o755), unix.Mount(s.dir, s.at("m/n"), "", unix.MS_BIND, ""),
	)
	if err != nil {
		return err
	}
	defer unix.Unmount(s.at("m"), unix.MNT_DETACH)
	err = s.make("m/a")
	if err := errors.Join(err, s.make("m/n/a"), os.Rename(s.at("m/a"), s.at("m/b"))); err != nil {
		return err
	}
	s.expects(monitor.FileRename, "m/a", "m/b")
	if err := s.changeOpen("m/n/a"); err != nil {
		return err
	}
	s.expects(monitor.FileDelete, "m/n/a", "")
	return os.Remove(s.at("m/n/a"))
}

// changeOpen changes the mode of an open file, after the last name was changed on another mount.
func (s *fileScript) changeOpen(name string) error {
	f, err := os.Open(s.at(name))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	s.expect(monitor.Event{Kind: monitor.FileAttributes, File: monitor.File{Path: s.at(name)}, Mode: unix.S_IFREG | 0o600})
	return nil
}

// chrooted makes files below another root; their paths are those from the root of all.
func chrooted(s *fileScript) error {
	root, err := os.Open("/")
	if err != nil {
		return err
	}
	defer root.Close()
	if err := errors.Join(unix.Unshare(unix.CLONE_FS), unix.Chroot(s.dir), unix.Chdir("/")); err != nil {
		return err
	}
	defer func() { root.Chdir(); unix.Chroot(".") }()
	s.written("a", 1)
	s.expects(monitor.FileRename, "a", "b")
	s.expects(monitor.FileDelete, "b", "")
	return errors.Join(os.WriteFile("/a", []byte("1"), 0o600), unix.Rename("/../a", "b"), unix.Unlink("/b"))
}

// removed removes what an action could not.
func (r *Report) removed() error {
	if r.Other == "" {
		return nil
	}
	if err := os.Remove(r.Other); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
