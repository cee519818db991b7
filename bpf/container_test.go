package bpf

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// containerEnv is a folder in which a child makes its container before it does anything.
const containerEnv = "AMP_BPF_TEST_CONTAINER"

// contained are actions of all kinds, files by every way to a path.
var contained = []string{
	"file-attributes", "file-close", "file-copy", "file-deep", "file-map", "file-mount", "file-names", "file-relative", "file-write",
	"tcp", "tcp6", "udp-connected", "udp-unconnected", "setuid",
}

// In a container of its own mounts (an overlay), processes and network, actions give the events that they give on the host: with the pid
// that the host has for the process, and the paths that the container has for files.
func TestContainer(t *testing.T) {
	needsRoot(t)
	inEachSet(t, func(t *testing.T, w *watch) {
		for _, name := range contained {
			t.Run(name, func(t *testing.T) {
				pid, r := act(t, name, inContainer(t.TempDir()))
				switch {
				case fileActions()[name] != nil:
					w.checkFileEvents(t, pid, r)
				case networkActions()[name] != nil:
					want := w.withoutBlindSpots(name, r.Events)
					checkEvents(t, w.finished(t, pid, len(want), monitor.NetworkKinds), want)
				default:
					checkEvents(t, w.finished(t, pid, len(r.Events), systemKinds), r.Events)
				}
			})
		}
	})
}

// inContainer has a child begin in namespaces of its own.
func inContainer(dir string) func(*exec.Cmd) {
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
