package actions

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Actions of all kinds that are done in a container too, files by every way to a path.
var (
	ContainedFiles = []string{
		"file-attributes", "file-close", "file-copy", "file-deep", "file-map", "file-mount", "file-names", "file-relative", "file-write",
	}
	ContainedNetwork = []string{"tcp", "tcp6", "udp-connected", "udp-unconnected"}
)

// InContainer has a child begin in namespaces of its own, and make its container in dir.
func InContainer(dir string) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, containerEnv+"="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC}
	}
}

// enterContainer gives the process a root of its own, an overlay over the host's in dir, as container engines do: what it writes goes to a
// file system in memory. Its network has a loopback device. No dir is no container.
func enterContainer(dir string) error {
	if dir == "" {
		return nil
	}
	upper, work, merged := filepath.Join(dir, "upper"), filepath.Join(dir, "work"), filepath.Join(dir, "merged")
	err := errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("tmpfs", dir, "tmpfs", 0, ""),
		os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755), os.Mkdir(merged, 0o755),
	)
	if err != nil {
		return err
	}
	if err := unix.Mount("overlay", merged, "overlay", 0, "lowerdir=/,upperdir="+upper+",workdir="+work); err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	old := filepath.Join(merged, "mnt")
	err = errors.Join(unix.PivotRoot(merged, old), os.Chdir("/"), unix.Mount("proc", "/proc", "proc", 0, ""), unix.Unmount("/mnt", unix.MNT_DETACH))
	return errors.Join(err, os.MkdirAll(os.TempDir(), 0o755), loopbackUp())
}
