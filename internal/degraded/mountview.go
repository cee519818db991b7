package degraded

import "os"

// mountView is the mount namespace that is watched: where its table of mounts is, and below which path its mount points are found.
type mountView struct{ table, root string }

// hostMounts is the view of process 1, where this process has a mount namespace of its own, as systemd gives it with ProtectSystem= and
// its kind: a mark on a mount tells only of those who come by that very mount, and those of a namespace of one's own are copies by which
// nobody else comes. /proc/1/root leads to the others. Where it cannot be followed, as without CAP_SYS_PTRACE, the own mounts are
// better than none.
func hostMounts(proc string) mountView {
	own := mountView{table: proc + "/self/mountinfo"}
	self, err := os.Readlink(proc + "/self/ns/mnt")
	if err != nil {
		return own
	}
	first, err := os.Readlink(proc + "/1/ns/mnt")
	if err != nil || first == self {
		return own
	}
	if _, err := os.Stat(proc + "/1/root/"); err != nil {
		return own
	}
	return mountView{table: proc + "/1/mountinfo", root: proc + "/1/root"}
}
