package installer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

// ErrSymlink is in the chain of errors about a path of the connector in which there is a symbolic link.
var ErrSymlink = errors.New("symbolic link")

// Directory is the step that makes a directory, or gives it back its mode and owner. From the connector's own folder on it
// follows no symbolic link: who could set one there would have modes and owners changed wherever they like. Above of it links are
// the distribution's own (/opt is one where /usr is an image).
type Directory struct {
	Path  string
	Mode  fs.FileMode // permission bits, setuid, setgid, sticky
	Owner string      // names
	Group string

	Existed bool
	Before  DirectoryOwnership // if Existed
	Made    []string           // directories that do not exist and will be made, outermost first
}

// DirectoryOwnership is who owns a directory and may use it.
type DirectoryOwnership struct {
	Mode uint32 // as chmod(2) takes it
	UID  uint32
	GID  uint32
}

func init() { register(func() Step { return &Directory{} }) }

// Kind implements Step.
func (s *Directory) Kind() string { return "directory" }

// Title implements Step.
func (s *Directory) Title() fault.Text {
	return fault.Text{
		EN: "make %s a directory of %s:%s with mode %04o",
		JA: "ディレクトリ %s の作成または修復 (所有者 %s:%s、モード %04o)",
	}.With(s.Path, s.Owner, s.Group, bits(s.Mode))
}

// Commands implements Step.
func (s *Directory) Commands() []string {
	return []string{commandLine("install", []string{"-d", "-o", s.Owner, "-g", s.Group, "-m", fmt.Sprintf("%04o", bits(s.Mode)), s.Path})}
}

// bits turns a Go mode into the kernel's.
func bits(m fs.FileMode) uint32 {
	b := uint32(m.Perm())
	for flag, bit := range map[fs.FileMode]uint32{fs.ModeSetuid: unix.S_ISUID, fs.ModeSetgid: unix.S_ISGID, fs.ModeSticky: unix.S_ISVTX} {
		if m&flag != 0 {
			b |= bit
		}
	}
	return b
}

// want is what the directory should be like. Names are looked up when it is needed, since a step before may make the account.
func (s *Directory) want(ctx context.Context, h *Host) (DirectoryOwnership, error) {
	o := DirectoryOwnership{Mode: bits(s.Mode)}
	if s.Owner != "root" {
		u := host.AccountOf(ctx, h.Root, s.Owner).User
		if u.Err != nil || u.Value == nil {
			return o, orElse(u.Err, fmt.Errorf("%s: its owner, user %s, does not exist", s.Path, s.Owner))
		}
		o.UID = u.Value.UID
	}
	if s.Group != "root" {
		g := host.AccountOf(ctx, h.Root, s.Group).Group
		if g.Err != nil || g.Value == nil {
			return o, orElse(g.Err, fmt.Errorf("%s: its group %s does not exist", s.Path, s.Group))
		}
		o.GID = g.Value.GID
	}
	return o, nil
}

// Needed implements Step.
func (s *Directory) Needed(ctx context.Context, h *Host) (bool, error) {
	now, existed, err := s.now(h)
	if err != nil || !existed {
		return err == nil, err
	}
	want, err := s.want(ctx, h)
	return now != want, err
}

// Prepare implements Step.
func (s *Directory) Prepare(_ context.Context, h *Host) (err error) {
	s.Before, s.Existed, err = s.now(h)
	if err == nil {
		s.Made, err = s.missing(h)
	}
	return err
}

// now is how the directory is.
func (s *Directory) now(h *Host) (o DirectoryOwnership, existed bool, err error) {
	fd, err := s.open(h, false)
	if errors.Is(err, fs.ErrNotExist) {
		return o, false, nil
	}
	if err != nil {
		return o, false, err
	}
	defer fd.Close()
	o, err = ownership(fd)
	return o, true, err
}

// Apply implements Step.
func (s *Directory) Apply(ctx context.Context, h *Host) error {
	want, err := s.want(ctx, h)
	if err != nil {
		return err
	}
	fd, err := s.open(h, true)
	if err != nil {
		return explainFull(err)
	}
	defer fd.Close()
	return s.give(fd, want)
}

// Undo implements Step. What was made goes again if it is empty; what somebody has put something into stays.
func (s *Directory) Undo(_ context.Context, h *Host) error {
	if !s.Existed {
		return s.removeMade(h)
	}
	fd, err := s.open(h, false)
	if err != nil {
		return ignoreNotExist(err)
	}
	defer fd.Close()
	return s.give(fd, s.Before)
}

func (s *Directory) removeMade(h *Host) error {
	for i := len(s.Made) - 1; i >= 0; i-- {
		name, err := h.Root.Path(s.Made[i])
		if err != nil {
			return err
		}
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) { // looked for first: on a read-only disk rmdir is EROFS anyway
			continue
		}
		err = syscall.Rmdir(name)
		if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) {
			return nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &os.PathError{Op: "rmdir", Path: name, Err: err}
		}
	}
	return nil
}

// give sets owner and mode; the mode last, because changing the owner takes setuid and setgid away.
func (s *Directory) give(fd *os.File, o DirectoryOwnership) error {
	if now, err := ownership(fd); err != nil || now == o {
		return err
	}
	if err := fd.Chown(int(o.UID), int(o.GID)); err != nil {
		return explainFull(err)
	}
	killpoint("directory-owned")
	if err := unix.Fchmod(int(fd.Fd()), o.Mode); err != nil {
		return explainFull(&os.PathError{Op: "chmod", Path: s.Path, Err: err})
	}
	return fd.Sync()
}

func ownership(fd *os.File) (DirectoryOwnership, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(fd.Fd()), &st); err != nil {
		return DirectoryOwnership{}, &os.PathError{Op: "stat", Path: fd.Name(), Err: err}
	}
	return DirectoryOwnership{st.Mode & 0o7777, st.Uid, st.Gid}, nil
}

// open opens the directory element by element, making what does not exist if it is told to.
func (s *Directory) open(h *Host, make bool) (*os.File, error) {
	above, below := s.split()
	top, err := h.Root.Path(above)
	if err != nil {
		return nil, err
	}
	if make {
		if err := os.MkdirAll(top, 0o755); err != nil {
			return nil, err
		}
	}
	dir, err := os.OpenFile(top, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	for _, name := range below {
		if err != nil {
			return nil, err
		}
		above = path.Join(above, name)
		parent := dir
		if make {
			err = makeDirectory(parent, name, above)
		}
		if err == nil {
			dir, err = openDirectory(parent, name, above)
		}
		parent.Close()
	}
	return dir, err
}

func makeDirectory(parent *os.File, name, full string) error {
	if err := unix.Mkdirat(int(parent.Fd()), name, 0o755); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return &os.PathError{Op: "mkdir", Path: full, Err: err}
	}
	killpoint("directory-made")
	return parent.Sync()
}

// missing lists the path and its parents as far as they do not exist, outermost first.
func (s *Directory) missing(h *Host) ([]string, error) {
	var missing []string
	for full := path.Clean("/" + s.Path); full != "/"; full = path.Dir(full) {
		name, err := h.Root.Path(full)
		if err != nil {
			return nil, err
		}
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return missing, err
		}
		missing = append([]string{full}, missing...)
	}
	return missing, nil
}

// split parts the path into what the distribution made, in which links are followed, and what is the connector's.
func (s *Directory) split() (above string, below []string) {
	clean := path.Clean("/" + s.Path)
	if i := strings.Index(clean, "/cisco"); i >= 0 {
		return clean[:i] + "/", strings.Split(clean[i+1:], "/")
	}
	return "/", strings.Split(clean[1:], "/")
}

// openDirectory opens a directory below another one, and never through a link.
func openDirectory(dir *os.File, name, full string) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == nil {
		return os.NewFile(uintptr(fd), full), nil
	}
	var st unix.Stat_t
	if unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			return nil, fmt.Errorf("%s is a %w, a directory expected: see who made it, and remove it", full, ErrSymlink)
		case unix.S_IFDIR:
		default:
			return nil, fmt.Errorf("%s is no directory, and one is expected there: move it away: %w", full, syscall.ENOTDIR)
		}
	}
	return nil, &os.PathError{Op: "open", Path: full, Err: err}
}
