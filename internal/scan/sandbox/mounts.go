package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// view is where the service finds its things.
type view struct{ service, definitions, scratch string }

// seen is the view inside mounts of its own.
var seen = view{service: "/ampscansvc", definitions: "/definitions", scratch: "/scratch"}

// root is where the new root is put together. Each system has this directory; what is in it is not needed any more, and not seen by others.
const root = "/proc"

// libraries are where a dynamic loader looks. Symbolic links among them are made anew. What lies mounted below them stays outside.
var libraries = []string{"/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/lib", "/lib64"}

// files that a library or the loader reads if they are there: where libraries are, and the certificates that official databases are
// signed with (ClamAV 1.5).
var files = []string{"/etc/ld.so.cache", "/etc/clamav/certs", "/etc/certs"}

// mounts makes the service's view of the file system and changes into it. Where that fails, the old one is left as it was.
func (s stage) mounts() (view, error) {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return view{}, fmt.Errorf("unshare: %w", err)
	}
	// Else what is mounted here would be on the host too.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return view{}, fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=1m,nr_inodes=256,mode=0755"); err != nil {
		return view{}, fmt.Errorf("mount a root: %w", err)
	}
	if err := s.furnish(); err != nil {
		return view{}, errors.Join(err, unix.Unmount(root, unix.MNT_DETACH))
	}
	return seen, nil
}

// furnish fills the new root and changes into it.
func (s stage) furnish() error {
	for _, path := range append(libraries, files...) {
		if err := show(path, path, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, device := range []string{"/dev/null", "/dev/urandom"} {
		if err := show(device, device, unix.MS_NOEXEC); err != nil {
			return err
		}
	}
	if err := show(s.service, seen.service, 0); err != nil {
		return err
	}
	if err := show(s.definitions, seen.definitions, unix.MS_NOEXEC); err != nil {
		return err
	}
	scratch := root + seen.scratch
	if err := os.Mkdir(scratch, 0o700); err != nil {
		return err
	}
	options := fmt.Sprintf("size=%d,nr_inodes=65536,mode=0700,uid=%d,gid=%d", s.scratch, s.user, s.group)
	if err := unix.Mount("tmpfs", scratch, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options); err != nil {
		return fmt.Errorf("mount %s: %w", seen.scratch, err)
	}
	if err := unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
		return fmt.Errorf("make the root read-only: %w", err)
	}
	return pivot()
}

// show makes a directory, file or device of the host visible in the new root, read-only. Where there is a symbolic link, so it is inside.
func show(path, inside string, flags uintptr) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	target := filepath.Join(root, inside)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 && path == inside {
		to, err := os.Readlink(path)
		if err != nil {
			return err
		}
		return os.Symlink(to, target)
	}
	if info, err = os.Stat(path); err != nil {
		return err
	}
	if info.IsDir() {
		err = os.Mkdir(target, 0o755)
	} else {
		err = os.WriteFile(target, nil, 0o444)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(path, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", path, err)
	}
	flags |= unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY | unix.MS_NOSUID
	if info.Mode()&fs.ModeDevice == 0 {
		flags |= unix.MS_NODEV
	}
	if err := unix.Mount("", target, "", flags, ""); err != nil {
		return errors.Join(fmt.Errorf("make %s read-only: %w", inside, err), unix.Unmount(target, unix.MNT_DETACH))
	}
	return nil
}

// pivot makes the new root the root, and lets go of the old one. With "." for both the old one lies on the new one for a moment, and no
// directory is needed for it (pivot_root(2)).
func pivot() error {
	if err := unix.Chdir(root); err != nil {
		return fmt.Errorf("chdir: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return errors.Join(fmt.Errorf("pivot_root: %w", err), unix.Chdir("/"))
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the old root: %w", err)
	}
	return unix.Chdir("/")
}
